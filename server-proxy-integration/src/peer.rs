//! Who is at the other end, and whom a layer believes.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{Extensions, Request};
use ipnet::IpNet;
use server_abstractions::{
    AddressTarget, EndpointFeature, FeatureCollection, HttpConnectionFeature, ProxyProtocolFeature,
    RequestFeatures,
};

use crate::forwarded_headers::Effective;

/// The address of whoever has sent the request over the connection, whatever layers say about the client; none for
/// transports without IP, if nobody knows it, and behind a PROXY protocol that did not tell the client.
///
/// For layers that judge by the peer of the socket and stand behind those of this crate. Where the PROXY protocol tells the
/// client, that is who it is.
pub fn socket_address<B>(request: &Request<B>) -> Option<SocketAddr> {
    Peer::of_the_socket(request).address
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// None for transports without IP, and if nobody knows it.
    pub(crate) address: Option<SocketAddr>,
    /// Whether the connection came through a Unix socket.
    pub(crate) is_unix: bool,
}

impl Peer {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address: Some(address), is_unix: false }
    }

    /// Who the client is as far as the layers before this one know.
    pub(crate) fn effective<B>(
        request: &Request<B>,
        connection: Option<&Arc<dyn HttpConnectionFeature>>,
    ) -> Self {
        if request.features().get::<Effective>().is_some_and(|effective| effective.is_writer_unknown()) {
            return Self { address: None, is_unix: false };
        }
        let address = connection.and_then(|connection| connection.remote_address());
        Self::of(request.features(), address.or_else(|| connect_info(request.extensions())))
    }

    /// Who has sent the request over the connection, whatever layers say about the client. Connection layers count: what
    /// they say is true of every request.
    pub(crate) fn of_the_socket<B>(request: &Request<B>) -> Self {
        Self::behind(request.features(), connect_info(request.extensions()))
    }

    /// The same, for features and what axum was told.
    pub(crate) fn behind(features: &FeatureCollection, connect_info: Option<SocketAddr>) -> Self {
        if let Some(effective) = features.get::<Effective>() {
            return effective.socket_peer();
        }
        let connection = features.get_outer::<dyn HttpConnectionFeature>();
        let address = connection.and_then(|connection| connection.remote_address());
        Self::of(features, address.or(connect_info))
    }

    fn of(features: &FeatureCollection, address: Option<SocketAddr>) -> Self {
        // A proxy of the PROXY protocol passes on bytes: where it does not tell the client, the address is its own, and the
        // fields are those of nobody who is known.
        if let Some(proxy) = features.get::<dyn ProxyProtocolFeature>()
            && proxy.proxy_address() == address
        {
            return Self { address: None, is_unix: false };
        }
        match address {
            Some(address) => Self::at(address),
            None => Self { address: None, is_unix: came_through_unix_socket(features) },
        }
    }
}

fn came_through_unix_socket(features: &FeatureCollection) -> bool {
    features.get::<dyn EndpointFeature>().is_some_and(|endpoint| {
        matches!(endpoint.address().target(), AddressTarget::Unix(_) | AddressTarget::Abstract(_))
    })
}

/// What axum was told of the peer.
#[cfg(feature = "axum")]
pub(crate) fn connect_info(extensions: &Extensions) -> Option<SocketAddr> {
    extensions.get::<axum::extract::ConnectInfo<SocketAddr>>().map(|info| info.0)
}

#[cfg(not(feature = "axum"))]
pub(crate) fn connect_info(_: &Extensions) -> Option<SocketAddr> {
    None
}

/// Tells axum's extractor of the client, if it was told of the peer.
#[cfg(feature = "axum")]
pub(crate) fn replace_connect_info(extensions: &mut Extensions, client: SocketAddr) {
    if let Some(info) = extensions.get_mut::<axum::extract::ConnectInfo<SocketAddr>>() {
        info.0 = client;
    }
}

#[cfg(not(feature = "axum"))]
pub(crate) fn replace_connect_info(_: &mut Extensions, _: SocketAddr) {}

/// The peers that a layer believes.
#[derive(Clone, Debug)]
pub(crate) struct KnownPeers {
    proxies: Vec<IpAddr>,
    networks: Vec<IpNet>,
    unix_sockets: bool,
    everyone: bool,
}

impl KnownPeers {
    pub(crate) fn new(proxies: &[IpAddr], networks: &[IpNet], unix_sockets: bool) -> Self {
        Self {
            proxies: proxies.iter().map(IpAddr::to_canonical).collect(),
            networks: networks.to_vec(),
            unix_sockets,
            everyone: false,
        }
    }

    /// The same peers, or everyone if there are none.
    pub(crate) fn or_everyone(mut self) -> Self {
        self.everyone = self.proxies.is_empty() && self.networks.is_empty() && !self.unix_sockets;
        self
    }

    /// Whether the peer is believed. One that is not known is not.
    pub(crate) fn include(&self, peer: Peer) -> bool {
        let Some(address) = peer.address else {
            return self.everyone || self.unix_sockets && peer.is_unix;
        };
        // An IPv4 address may come mapped to IPv6, and be written so in the options.
        let address = address.ip();
        let canonical = address.to_canonical();
        self.everyone
            || self.proxies.contains(&canonical)
            || self.networks.iter().any(|network| network.contains(&address) || network.contains(&canonical))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_is_the_same_whether_it_is_mapped_or_not() {
        let peer = |address: &str| Peer::at(SocketAddr::new(address.parse().unwrap(), 1));
        for known in ["172.123.142.121", "::ffff:172.123.142.121"] {
            let known = KnownPeers::new(&[known.parse().unwrap()], &[], false);
            assert!(known.include(peer("172.123.142.121")));
            assert!(known.include(peer("::ffff:172.123.142.121")));
            assert!(!known.include(peer("172.123.142.122")));
        }
        for network in ["172.0.0.0/8", "::ffff:172.0.0.0/104"] {
            let known = KnownPeers::new(&[], &[network.parse().unwrap()], false);
            assert!(known.include(peer("::ffff:172.1.2.3")), "{network}");
        }
    }

    #[test]
    fn whoever_is_not_known_is_not_believed_unless_everyone_is() {
        let (nobody, unix) = (Peer { address: None, is_unix: false }, Peer { address: None, is_unix: true });
        let loopback = [IpAddr::from([127, 0, 0, 1])];
        let known = KnownPeers::new(&loopback, &[], true).or_everyone();
        assert!(!known.include(nobody) && known.include(unix));
        let only_unix = KnownPeers::new(&[], &[], true).or_everyone();
        assert!(!only_unix.include(nobody) && only_unix.include(unix));
        assert!(!only_unix.include(Peer::at(SocketAddr::new(loopback[0], 1))));
        let everyone = KnownPeers::new(&[], &[], false).or_everyone();
        assert!(everyone.include(nobody) && everyone.include(unix));
        assert!(!KnownPeers::new(&[], &[], false).include(nobody));
    }
}
