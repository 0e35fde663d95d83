//! What a connection is told by.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use http::Version;
use opentelemetry::KeyValue;
use server_abstractions::{
    AddressTarget, ConnectionItemsFeature, EndpointFeature, FeatureCollection, HttpConnectionFeature,
    TlsHandshakeFeature, TlsProtocol,
};

/// The attributes that all instruments of a connection have in common. They are made once, and kept with the connection: what
/// counts up and what counts down must be the same.
#[derive(Clone)]
pub(super) struct ConnectionAttributes(Arc<[KeyValue]>);

impl ConnectionAttributes {
    pub(super) fn of(features: &FeatureCollection) -> Self {
        let Some(items) = features.get::<dyn ConnectionItemsFeature>() else { return Self::new(features) };
        // Nothing else is locked meanwhile: the items belong to the application as well.
        if let Some(kept) = items.items().get::<Self>() {
            return kept.clone();
        }
        let made = Self::new(features);
        items.items().insert(made.clone());
        made
    }

    /// Those of the socket, whatever layers say about the client.
    fn new(features: &FeatureCollection) -> Self {
        let socket = features.get_outer::<dyn HttpConnectionFeature>();
        if let Some(local) = socket.and_then(|socket| socket.local_address()) {
            return Self(of_ip(local).into());
        }
        let endpoint = features.get::<dyn EndpointFeature>();
        let (address, transport) = match endpoint.as_ref().map(|endpoint| endpoint.address().target()) {
            Some(AddressTarget::Unix(path)) => (path.to_string_lossy().into_owned(), "unix"),
            Some(AddressTarget::Abstract(name)) => (format!("@{name}"), "unix"),
            Some(AddressTarget::Pipe(name)) => (name.clone(), "pipe"),
            // A listener of the program's own, whose connections tell no address.
            Some(_) => (endpoint.map(|endpoint| endpoint.address().to_string()).unwrap_or_default(), "pipe"),
            None => return Self(Arc::new([])),
        };
        Self([KeyValue::new("server.address", address), KeyValue::new("network.transport", transport)].into())
    }
}

fn of_ip(local: SocketAddr) -> [KeyValue; 4] {
    let address = local.ip().to_canonical();
    [
        KeyValue::new("server.address", address.to_string()),
        KeyValue::new("server.port", i64::from(local.port())),
        KeyValue::new("network.type", if address.is_ipv4() { "ipv4" } else { "ipv6" }),
        KeyValue::new("network.transport", "tcp"),
    ]
}

impl Deref for ConnectionAttributes {
    type Target = [KeyValue];

    fn deref(&self) -> &[KeyValue] {
        &self.0
    }
}

pub(super) fn protocol_version(version: Version) -> &'static str {
    if version == Version::HTTP_2 { "2" } else { "1.1" }
}

pub(super) fn tls_version(features: &FeatureCollection) -> Option<&'static str> {
    features.get::<dyn TlsHandshakeFeature>().map(|tls| match tls.protocol() {
        TlsProtocol::Tls12 => "1.2",
        _ => "1.3",
    })
}
