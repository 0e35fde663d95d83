use std::net::SocketAddr;
use std::sync::MutexGuard;

use http::Extensions;
use http::uri::Scheme;

use crate::{Address, ClientCertificate};

/// The connection a request came on.
///
/// A layer that learns the client's real address from a trusted proxy overrides this feature.
#[doc(alias = "IHttpConnectionFeature")]
pub trait HttpConnectionFeature: Send + Sync {
    /// The id of the connection: 13 characters out of `0-9A-V`, unique within the process.
    fn connection_id(&self) -> &str;

    /// The local address; none for transports without IP, such as Unix sockets and memory.
    fn local_address(&self) -> Option<SocketAddr>;

    /// The peer's address; none for transports without IP.
    fn remote_address(&self) -> Option<SocketAddr>;
}

/// The scheme that the client used. The server knows it from the transport; a layer that knows better overrides it.
pub trait HttpSchemeFeature: Send + Sync {
    /// `http` or `https`, or what a trusted proxy said.
    fn scheme(&self) -> Scheme;
}

/// Room for what an application keeps with a connection, shared by all requests on it.
///
/// ```no_run
/// # fn demo(feature: &dyn server_abstractions::ConnectionItemsFeature) {
/// let requests = feature.items().get_or_insert_with(|| 0_u32).wrapping_add(1);
/// feature.items().insert(requests);
/// # }
/// ```
#[doc(alias = "IConnectionItemsFeature")]
pub trait ConnectionItemsFeature: Send + Sync {
    /// The items, keyed by type. The lock is for a look or a change, not to be held.
    fn items(&self) -> MutexGuard<'_, Extensions>;
}

/// Why a connection ended.
///
/// For layers around a connection that count or log, once what they wrap is done.
#[doc(alias = "IConnectionMetricsTagsFeature")]
pub trait ConnectionEndFeature: Send + Sync {
    /// What the connection ended for in place of a good end, as the attribute `error.type` names it, such as
    /// `keep_alive_timeout`, `request_headers_timeout`, `min_request_body_data_rate`, `min_response_data_rate`,
    /// `invalid_request_line`, `invalid_request_headers`, `invalid_request_body`, `max_request_body_size_exceeded`,
    /// `tls_handshake_failed`, `proxy_protocol_error`, `connection_reset`, `aborted_by_app` or `app_shutdown_timeout`. The first reason is the one. None: so far nothing, or the
    /// connection ended as connections should.
    fn error_type(&self) -> Option<&'static str>;
}

/// What a connection does and has done, for those who show or log it. The numbers are those of the moment.
pub trait ConnectionStatisticsFeature: Send + Sync {
    /// What the connection is doing.
    fn phase(&self) -> ConnectionPhase;

    /// The bytes that have come in above TLS.
    fn bytes_received(&self) -> u64;

    /// The bytes that have gone out above TLS.
    fn bytes_sent(&self) -> u64;

    /// The requests that have begun.
    fn requests(&self) -> u64;
}

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionPhase {
    /// HTTP has not begun: the connection layers are at work, such as a TLS handshake, or nothing has come yet.
    Starting,
    /// No request is under way.
    Idle,
    /// A part of a request's head has arrived.
    Head,
    /// Requests are under way.
    Busy,
    /// The bytes are no longer HTTP.
    Upgraded,
    /// Everything is said, or the peer has gone.
    Closing,
}

impl ConnectionPhase {
    /// The phase in a word: `starting`, `idle`, `head`, `busy`, `upgraded` or `closing`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Busy => "busy",
            Self::Upgraded => "upgraded",
            Self::Closing => "closing",
        }
    }
}

/// Which of the server's endpoints the connection came through.
#[doc(alias = "IConnectionEndPointFeature")]
pub trait EndpointFeature: Send + Sync {
    /// The name of the endpoint, if it was given one.
    fn name(&self) -> Option<&str>;

    /// The address that the endpoint listens on.
    fn address(&self) -> &Address;
}

/// The client certificate of a TLS connection; present on every TLS connection, with or without a certificate.
#[doc(alias = "ITlsConnectionFeature")]
pub trait TlsConnectionFeature: Send + Sync {
    /// The client's certificate, if it presented one and the server accepted it. A session that is resumed has that of its
    /// first connection.
    fn client_certificate(&self) -> Option<&ClientCertificate>;

    /// The certificates that the client sent after its own, in its order, in DER.
    fn client_certificate_chain(&self) -> &[Vec<u8>];
}

/// What was agreed on in the TLS handshake.
#[doc(alias = "ITlsHandshakeFeature")]
#[doc(alias = "ITlsApplicationProtocolFeature")]
pub trait TlsHandshakeFeature: Send + Sync {
    /// The version of TLS.
    fn protocol(&self) -> TlsProtocol;

    /// The cipher suite by its registered name, such as `TLS13_AES_128_GCM_SHA256`.
    fn cipher_suite(&self) -> &str;

    /// The server name that the client asked for (SNI, RFC 6066), if it named one.
    #[doc(alias = "HostName")]
    fn server_name(&self) -> Option<&str>;

    /// The application protocol agreed on (ALPN, RFC 7301), such as `h2`, if there was one.
    fn application_protocol(&self) -> Option<&[u8]>;
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProtocol {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsProtocol {
    /// `TLSv1.2` or `TLSv1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}
