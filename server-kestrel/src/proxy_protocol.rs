//! The PROXY protocol: who is behind a proxy that passes on bytes.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use http::uri::Scheme;
use ipnet::IpNet;
use server_abstractions::{
    AddressTarget, BoxConnectionService, BoxError, BoxFuture, Connection, FeatureCollection,
    HttpConnectionFeature, HttpSchemeFeature, ProxiedTls, ProxyProtocolFeature, StartError,
};
use tower_layer::Layer;
use tower_service::Service;

use crate::connection::{Accepted, given_up};
use crate::end_reason::EndReason;

mod header;
mod prefixed;
mod tlv;
mod v1;
mod v2;

pub use header::{ProxiedAddresses, ProxyHeader, ProxyHeaderError, ProxyVersion};
pub use tlv::Tlv;

use prefixed::Prefixed;

/// The PROXY protocol on an endpoint: each connection begins with a header, by which a proxy that passes on bytes
/// (HAProxy in TCP mode, a network load balancer) says from where the client came.
///
/// The header is required. A peer that is not trusted, and one that sends something else, is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyProtocolOptions {
    /// Which proxies are believed, by the address of the socket. It may be empty only if `trust_unix_sockets` is true, and the
    /// endpoint is none of TCP: otherwise every connection would be cut off. Default is loopback: `127.0.0.0/8` and `::1`.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether peers without an IP address are believed: those of a Unix socket, whose file says who may connect. An endpoint
    /// on a Unix socket needs it. Default is false.
    pub trust_unix_sockets: bool,
    /// How long the header may take; more than 0. Default is 5 seconds.
    pub header_timeout: Duration,
}

impl Default for ProxyProtocolOptions {
    fn default() -> Self {
        let loopback = [
            IpNet::new_assert([127, 0, 0, 0].into(), 8),
            IpNet::from(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
        ];
        Self {
            trusted_proxies: loopback.into(),
            trust_unix_sockets: false,
            header_timeout: Duration::from_secs(5),
        }
    }
}

impl ProxyProtocolOptions {
    /// Whether there can be a connection with these options on a socket of this kind; `None` is any kind.
    pub(crate) fn check(&self, target: Option<&AddressTarget>) -> Result<(), &'static str> {
        if self.header_timeout.is_zero() {
            return Err("header_timeout of ProxyProtocolOptions is 0; it must be more than that");
        }
        let may_have_address = !matches!(target, Some(AddressTarget::Unix(_) | AddressTarget::Abstract(_)));
        if !may_have_address && !self.trust_unix_sockets {
            return Err(
                "trust_unix_sockets of ProxyProtocolOptions is false, so that every connection of the Unix socket would be cut off; set it to true",
            );
        }
        let may_be_unix = target.is_none() || !may_have_address;
        if self.trusted_proxies.is_empty() && !(may_be_unix && self.trust_unix_sockets) {
            return Err(
                "trusted_proxies of ProxyProtocolOptions is empty, so that every connection would be cut off; name the addresses or networks of the proxies, such as 10.0.0.0/8, or leave the PROXY protocol out",
            );
        }
        Ok(())
    }

    fn trusts(&self, peer: Option<SocketAddr>) -> bool {
        match peer.map(|peer| peer.ip().to_canonical()) {
            Some(address) => {
                // An address of IPv4 may be written mapped to IPv6 in the options.
                let mapped = match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().into(),
                    IpAddr::V6(_) => address,
                };
                let mut proxies = self.trusted_proxies.iter();
                proxies.any(|network| network.contains(&address) || network.contains(&mapped))
            }
            None => self.trust_unix_sockets,
        }
    }
}

/// The connection layer that takes the header of the PROXY protocol, versions 1 and 2.
///
/// What lies further in sees the addresses of the header as those of the connection, [`ProxyProtocolFeature`] with all
/// the rest, and the scheme `https` if the proxy has taken off the client's TLS. With `LOCAL` and `UNKNOWN`, which a proxy
/// sends for its own connections, the addresses stay those of the socket.
///
/// [`Endpoint::proxy_protocol`](crate::Endpoint::proxy_protocol) adds it, outside TLS; it is public for pipelines of another order.
#[derive(Clone, Debug)]
pub struct ProxyProtocolLayer(Arc<ProxyProtocolOptions>);

impl ProxyProtocolLayer {
    /// A layer with these options.
    ///
    /// # Errors
    /// When they trust nobody, or leave no time for the header.
    pub fn new(options: ProxyProtocolOptions) -> Result<Self, StartError> {
        options.check(None).map_err(StartError::configuration)?;
        Ok(Self(Arc::new(options)))
    }
}

impl<S> Layer<S> for ProxyProtocolLayer
where
    S: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Service = ProxyProtocol;

    fn layer(&self, inner: S) -> ProxyProtocol {
        ProxyProtocol { options: Arc::clone(&self.0), next: BoxConnectionService::new(inner) }
    }
}

/// The service of [`ProxyProtocolLayer`].
#[derive(Clone, Debug)]
pub struct ProxyProtocol {
    options: Arc<ProxyProtocolOptions>,
    next: BoxConnectionService,
}

impl Service<Connection> for ProxyProtocol {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: Connection) -> Self::Future {
        let Self { options, next } = self.clone();
        Box::pin(async move {
            let accepted = connection.features.get::<Accepted>();
            match Box::pin(take_header(&options, connection)).await {
                Ok(Some(connection)) => next.run(connection).await,
                Ok(None) => Ok(()),
                Err(error) => {
                    if let Some(accepted) = accepted {
                        accepted.ends_with(EndReason::ProxyProtocolError);
                    }
                    Err(error.into())
                }
            }
        })
    }
}

/// Takes the header off the connection. `None`: the server stops.
async fn take_header(
    options: &ProxyProtocolOptions,
    connection: Connection,
) -> io::Result<Option<Connection>> {
    let Connection { mut io, mut features } = connection;
    let socket = features.get::<dyn HttpConnectionFeature>();
    let peer = socket.as_ref().and_then(|socket| socket.remote_address());
    if !options.trusts(peer) {
        let message = match peer {
            Some(_) => {
                "the peer is none of the proxies that are trusted to send the header of the PROXY protocol; if it is one, add its address or network to TrustedProxies of the endpoint's ProxyProtocol (trusted_proxies of ProxyProtocolOptions)"
            }
            None => {
                "the peer has no address, and Unix sockets are not trusted to send the header of the PROXY protocol; if it is a proxy, set TrustUnixSockets of the endpoint's ProxyProtocol (trust_unix_sockets of ProxyProtocolOptions)"
            }
        };
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    let mut received = BytesMut::new();
    let header = tokio::time::timeout(options.header_timeout, ProxyHeader::read(&mut io, &mut received));
    let header = tokio::select! {
        biased;
        header = header => header,
        () = given_up(&features) => return Ok(None),
    };
    let header = header.map_err(|_| {
        io::Error::new(io::ErrorKind::TimedOut, "the header of the PROXY protocol took too long")
    })??;
    if !received.is_empty() {
        io = Box::new(Prefixed::new(received.freeze(), io));
    }
    tell(header, socket, &mut features);
    Ok(Some(Connection { io, features }))
}

/// What lies further in sees what the header says.
fn tell(
    header: ProxyHeader,
    socket: Option<Arc<dyn HttpConnectionFeature>>,
    features: &mut FeatureCollection,
) {
    if header.tls().is_some_and(|tls| tls.is_tls()) {
        features.set::<dyn HttpSchemeFeature>(Arc::new(Https));
    }
    let proxied = Arc::new(Proxied { header, socket });
    if *proxied.header.addresses() != ProxiedAddresses::Own {
        features.set::<dyn HttpConnectionFeature>(proxied.clone());
    }
    features.set::<dyn ProxyProtocolFeature>(proxied);
}

struct Https;

impl HttpSchemeFeature for Https {
    fn scheme(&self) -> Scheme {
        Scheme::HTTPS
    }
}

/// A connection as its header describes it.
struct Proxied {
    header: ProxyHeader,
    socket: Option<Arc<dyn HttpConnectionFeature>>,
}

impl HttpConnectionFeature for Proxied {
    fn connection_id(&self) -> &str {
        self.socket.as_ref().map_or("", |socket| socket.connection_id())
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.header.addresses().destination()
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        self.header.addresses().source()
    }
}

impl ProxyProtocolFeature for Proxied {
    fn version(&self) -> u8 {
        self.header.version() as u8
    }

    fn proxy_address(&self) -> Option<SocketAddr> {
        self.socket.as_ref().and_then(|socket| socket.remote_address())
    }

    fn authority(&self) -> Option<&str> {
        self.header.authority()
    }

    fn application_protocol(&self) -> Option<&[u8]> {
        self.header.application_protocol()
    }

    fn unique_id(&self) -> Option<&[u8]> {
        self.header.unique_id()
    }

    fn tls(&self) -> Option<&ProxiedTls> {
        self.header.tls()
    }

    fn value(&self, kind: u8) -> Option<&[u8]> {
        self.header.tlvs().iter().find(|tlv| tlv.kind == kind).map(|tlv| &*tlv.value)
    }
}

impl fmt::Debug for Proxied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxied").field("header", &self.header).finish_non_exhaustive()
    }
}
