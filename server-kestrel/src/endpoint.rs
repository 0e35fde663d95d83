use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use server_abstractions::{Address, AddressError, AddressTarget, BoxConnectionService, Connection, Listener};
use tower_layer::Layer;
use tower_service::Service;

use crate::listener::ErasedListener;
use crate::socket_options::SocketKind;
use crate::{
    ConnectionLoggingLayer, HttpProtocols, HttpsOptions, LimitError, ProxyProtocolOptions, SocketOptions,
};

/// Something to listen on: where, in which protocols, with or without TLS, through which connection layers.
///
/// ```
/// use server_kestrel::{Endpoint, HttpProtocols, HttpsOptions};
/// # fn main() -> Result<(), server_abstractions::AddressError> {
/// let endpoints = [
///     Endpoint::localhost(5000),
///     Endpoint::any_ip(8443).https(HttpsOptions::pem_files("cert.pem", "key.pem")),
///     Endpoint::unix("/run/shop.sock").unix_mode(0o660).protocols(HttpProtocols::Http1),
///     Endpoint::url("http://unix:@shop")?,
/// ];
/// # let _ = endpoints; Ok(()) }
/// ```
#[doc(alias = "ListenOptions")]
#[derive(Clone)]
pub struct Endpoint {
    /// The name, for events, for the endpoint feature, and to find the inherited socket that is meant for it.
    /// Default is none.
    pub name: Option<String>,
    /// The versions of HTTP. Default is HTTP/1.1 and HTTP/2.
    pub protocols: HttpProtocols,
    /// TLS. Default is none, and for an `https` address [`KestrelOptions::https_defaults`].
    ///
    /// [`KestrelOptions::https_defaults`]: crate::KestrelOptions::https_defaults
    pub https: Option<HttpsOptions>,
    /// The PROXY protocol, before TLS. Default is none: connections begin as the client's do.
    pub proxy_protocol: Option<ProxyProtocolOptions>,
    /// The bytes of its connections as events, for debugging; below TLS or above it. Default is none.
    pub connection_log: Option<ConnectionLog>,
    /// What the system is told about its sockets.
    pub socket_options: SocketOptions,
    /// The key, or what else says where it listens.
    pub(crate) configured_at: Option<String>,
    pub(crate) source: EndpointSource,
    pub(crate) layers: Vec<ConnectionLayer>,
}

/// Where the bytes of an endpoint's connections are shown, and how many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[doc(alias = "UseConnectionLogging")]
pub struct ConnectionLog {
    /// Whether it shows what the peer sends and gets, with TLS as it is on the wire (behind a header of the PROXY protocol),
    /// and not what HTTP sees. Default is false. Without TLS both are the same.
    pub below_tls: bool,
    /// How much is shown.
    pub limits: ConnectionLoggingLayer,
}

/// Where the listening socket comes from.
#[derive(Clone)]
pub(crate) enum EndpointSource {
    Address(Address),
    Descriptor(Handed<OwnedFd>),
    Listener(CustomListener),
}

/// A listener that was handed in.
#[derive(Clone)]
pub(crate) struct CustomListener {
    address: Address,
    pub(crate) listener: Handed<Box<dyn ErasedListener>>,
}

/// Something to listen on that was handed in. It can be listened on once: the server takes it, so that what is left of
/// the options does not keep it open.
pub(crate) struct Handed<T>(Arc<Mutex<Option<T>>>);

impl<T> Handed<T> {
    fn new(handed: T) -> Self {
        Self(Arc::new(Mutex::new(Some(handed))))
    }

    pub(crate) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for Handed<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Clone)]
pub(crate) struct ConnectionLayer(Arc<dyn Fn(BoxConnectionService) -> BoxConnectionService + Send + Sync>);

impl ConnectionLayer {
    pub(crate) fn apply(&self, inner: BoxConnectionService) -> BoxConnectionService {
        (self.0)(inner)
    }
}

impl Endpoint {
    fn from_source(source: EndpointSource) -> Self {
        let protocols = HttpProtocols::default();
        Self {
            name: None,
            protocols,
            https: None,
            proxy_protocol: None,
            connection_log: None,
            socket_options: SocketOptions::default(),
            configured_at: None,
            source,
            layers: Vec::new(),
        }
    }

    /// An endpoint on an address.
    pub fn new(address: Address) -> Self {
        let https = address.is_https().then(HttpsOptions::default);
        Self { https, ..Self::from_source(EndpointSource::Address(address)) }
    }

    /// An endpoint on an address as text; see [`Address`].
    ///
    /// # Errors
    /// When the text is no address.
    pub fn url(url: &str) -> Result<Self, AddressError> {
        Ok(Self::new(url.parse()?))
    }

    /// An endpoint on one IP address; port 0 lets the system choose.
    #[doc(alias = "Listen")]
    pub fn tcp(address: SocketAddr) -> Self {
        Self::new(Address::new(false, AddressTarget::Ip(address)))
    }

    /// An endpoint on both loopback addresses. Port 0 is refused at start.
    #[doc(alias = "ListenLocalhost")]
    pub fn localhost(port: u16) -> Self {
        Self::new(Address::new(false, AddressTarget::Localhost { host: "localhost".to_owned(), port }))
    }

    /// An endpoint on every address of the machine, IPv6 and IPv4.
    #[doc(alias = "ListenAnyIP")]
    pub fn any_ip(port: u16) -> Self {
        Self::new(Address::new(false, AddressTarget::Any { host: "*".to_owned(), port }))
    }

    /// An endpoint on a Unix socket. A socket file on which nobody answers is replaced; when the server stops, it
    /// removes the file it made.
    #[doc(alias = "ListenUnixSocket")]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Address::new(false, AddressTarget::Unix(path.into())))
    }

    /// An endpoint on a socket that is bound and listens already: a descriptor from another process, or a listener
    /// of the standard library or tokio (by way of its `into_std`).
    #[doc(alias = "ListenHandle")]
    pub fn descriptor(socket: impl Into<OwnedFd>) -> Self {
        Self::from_source(EndpointSource::Descriptor(Handed::new(socket.into())))
    }

    /// An endpoint on any [`Listener`], such as the in-memory one of [`memory`](crate::memory). It has one accept
    /// loop.
    pub fn listener<L: Listener<Connection = Connection>>(listener: L) -> Self {
        let address = listener.address().clone();
        let listener = Handed::new(Box::new(listener) as Box<dyn ErasedListener>);
        Self::from_source(EndpointSource::Listener(CustomListener { address, listener }))
    }

    /// Sets [`name`](Self::name).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Says what has its address, such as the key `Kestrel:Endpoints:Web:Url` or the option `--urls`: whoever reads that the
    /// address cannot be listened on looks there. Default is none.
    #[must_use]
    pub fn configured_at(mut self, key: impl Into<String>) -> Self {
        self.configured_at = Some(key.into());
        self
    }

    /// Sets [`protocols`](Self::protocols).
    #[must_use]
    pub fn protocols(mut self, protocols: HttpProtocols) -> Self {
        self.protocols = protocols;
        self
    }

    /// Makes the endpoint speak TLS.
    #[must_use]
    #[doc(alias = "UseHttps")]
    pub fn https(mut self, https: HttpsOptions) -> Self {
        self.https = Some(https);
        if let EndpointSource::Address(address) = &mut self.source {
            *address = Address::new(true, address.target().clone());
        }
        self
    }

    /// Has every connection begin with a header of the PROXY protocol, from a proxy that is trusted. It comes before TLS, and
    /// limits of addresses count the client's.
    #[must_use]
    pub fn proxy_protocol(mut self, options: ProxyProtocolOptions) -> Self {
        self.proxy_protocol = Some(options);
        self
    }

    /// Shows the bytes of the connections as events of level trace.
    #[must_use]
    #[doc(alias = "UseConnectionLogging")]
    pub fn connection_log(mut self, log: ConnectionLog) -> Self {
        self.connection_log = Some(log);
        self
    }

    /// Sets [`socket_options`](Self::socket_options).
    #[must_use]
    pub fn socket_options(mut self, options: SocketOptions) -> Self {
        self.socket_options = options;
        self
    }

    /// Sets the [permissions](SocketOptions::unix_mode) of the file of a Unix socket.
    #[must_use]
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.socket_options.unix_mode = Some(mode);
        self
    }

    /// Adds a connection layer inside TLS: it sees the bytes of HTTP. The first one added is the outermost.
    ///
    /// What must see the bytes below TLS wraps [`TlsLayer`](crate::TlsLayer) itself: leave [`https`](Self::https)
    /// unset, add that layer, then `TlsLayer`.
    #[must_use]
    #[doc(alias = "Use")]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<BoxConnectionService> + Send + Sync + 'static,
        L::Service: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
        <L::Service as Service<Connection>>::Error: Into<server_abstractions::BoxError>,
        <L::Service as Service<Connection>>::Future: Send,
    {
        self.layers
            .push(ConnectionLayer(Arc::new(move |inner| BoxConnectionService::new(layer.layer(inner)))));
        self
    }

    /// Where it listens, as configured; of a descriptor that is known only once it is bound.
    pub fn target(&self) -> Option<&AddressTarget> {
        self.address().map(Address::target)
    }

    /// The address as configured; of a descriptor it is known only once it is bound.
    pub fn address(&self) -> Option<&Address> {
        match &self.source {
            EndpointSource::Address(address) => Some(address),
            EndpointSource::Listener(custom) => Some(&custom.address),
            EndpointSource::Descriptor(_) => None,
        }
    }

    /// Whether the socket can be as the options say.
    pub(crate) fn check_socket(&self) -> Result<(), LimitError> {
        match &self.source {
            EndpointSource::Address(address) => self.socket_options.check(address.target()),
            EndpointSource::Descriptor(_) => self.socket_options.check_kind(SocketKind::Inherited),
            EndpointSource::Listener(_) => self.socket_options.check_kind(SocketKind::Custom),
        }
    }

    /// Whether anybody can connect through the proxies that it trusts.
    pub(crate) fn check_proxies(&self) -> Result<(), &'static str> {
        let Some(proxies) = &self.proxy_protocol else { return Ok(()) };
        match &self.source {
            EndpointSource::Address(address) => proxies.check(Some(address.target())),
            EndpointSource::Descriptor(_) | EndpointSource::Listener(_) => proxies.check(None),
        }
    }

    /// The endpoint as errors call it: with its name, if it has one.
    pub(crate) fn in_full(&self) -> impl fmt::Display {
        fmt::from_fn(move |f| match &self.name {
            Some(name) => write!(f, "{self} (endpoint {name:?})"),
            None => write!(f, "{self}"),
        })
    }

    /// Whether one socket can be that of both, however they serve it.
    pub(crate) fn same_socket(&self, other: &Self) -> bool {
        self.same_source(other) && self.socket_options == other.socket_options
    }

    /// Whether both listen on the same thing, however its socket is.
    pub(crate) fn same_source(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (EndpointSource::Address(one), EndpointSource::Address(two)) => one.target() == two.target(),
            (EndpointSource::Descriptor(one), EndpointSource::Descriptor(two)) => one.is(two),
            (EndpointSource::Listener(one), EndpointSource::Listener(two)) => one.listener.is(&two.listener),
            _ => false,
        }
    }
}

/// Two endpoints are equal if they listen on the same thing and serve it the same way.
impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.same_socket(other)
            && self.name == other.name
            && self.protocols == other.protocols
            && self.https == other.https
            && self.proxy_protocol == other.proxy_protocol
            && self.connection_log == other.connection_log
            && self.layers.len() == other.layers.len()
            && self.layers.iter().zip(&other.layers).all(|(one, two)| Arc::ptr_eq(&one.0, &two.0))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "{address}"),
            None => f.write_str("an inherited socket"),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("name", &self.name)
            .field("address", &format_args!("{self}"))
            .field("protocols", &self.protocols)
            .field("https", &self.https)
            .field("proxy_protocol", &self.proxy_protocol)
            .field("connection_log", &self.connection_log)
            .field("socket_options", &self.socket_options)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}
