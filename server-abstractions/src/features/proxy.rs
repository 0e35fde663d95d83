use std::net::SocketAddr;

/// What a proxy that passes on bytes said about the connection, by the PROXY protocol; present on connections that began
/// with its header.
///
/// The client's address is that of the connection ([`HttpConnectionFeature`](crate::HttpConnectionFeature)).
pub trait ProxyProtocolFeature: Send + Sync {
    /// The version of the header: 1 or 2.
    fn version(&self) -> u8;

    /// The proxy's own address, which is that of the socket's peer; none for Unix sockets and memory.
    fn proxy_address(&self) -> Option<SocketAddr>;

    /// The server name that the client asked for, as the proxy saw it.
    fn authority(&self) -> Option<&str>;

    /// The application protocol that the proxy agreed on with the client (ALPN).
    fn application_protocol(&self) -> Option<&[u8]>;

    /// What the proxy calls the connection, for logs.
    fn unique_id(&self) -> Option<&[u8]>;

    /// The TLS between the client and the proxy, if the proxy told of it.
    fn tls(&self) -> Option<&ProxiedTls>;

    /// The first field (TLV) of this type, such as 0xEA for the endpoint of a private network at AWS.
    fn value(&self, kind: u8) -> Option<&[u8]>;
}

/// The TLS between a client and a proxy, as the proxy describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxiedTls {
    is_tls: bool,
    protocol: Option<String>,
    cipher: Option<String>,
    is_client_verified: bool,
    client_common_name: Option<String>,
}

impl ProxiedTls {
    /// Whether the client came over TLS, and nothing else.
    pub fn new(is_tls: bool) -> Self {
        Self { is_tls, ..Self::default() }
    }

    /// With the version of TLS.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Option<String>) -> Self {
        self.protocol = protocol;
        self
    }

    /// With the cipher suite.
    #[must_use]
    pub fn with_cipher(mut self, cipher: Option<String>) -> Self {
        self.cipher = cipher;
        self
    }

    /// With the client's certificate: whether it sent one that the proxy believed, and its common name.
    #[must_use]
    pub fn with_client_certificate(mut self, is_verified: bool, common_name: Option<String>) -> Self {
        self.is_client_verified = is_verified;
        self.client_common_name = common_name;
        self
    }

    /// Whether the client came over TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// The version of TLS as the proxy spells it, such as `TLSv1.3`.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// The cipher suite as the proxy spells it.
    pub fn cipher(&self) -> Option<&str> {
        self.cipher.as_deref()
    }

    /// Whether the client sent a certificate, and the proxy believed it.
    pub fn is_client_verified(&self) -> bool {
        self.is_client_verified
    }

    /// The common name of the client's certificate, whether it was believed or not: see
    /// [`is_client_verified`](Self::is_client_verified).
    pub fn client_common_name(&self) -> Option<&str> {
        self.client_common_name.as_deref()
    }
}
