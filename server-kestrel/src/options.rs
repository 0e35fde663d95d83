use std::num::NonZeroUsize;
use std::time::Duration;

use crate::{Endpoint, HttpsOptions};

/// How a [`Kestrel`](crate::Kestrel) serves.
#[doc(alias = "KestrelServerOptions")]
#[derive(Clone, Debug, PartialEq)]
pub struct KestrelOptions {
    /// The endpoints to listen on. With none, the addresses of the host are used, and without those
    /// `http://localhost:5000`. Default is none.
    pub endpoints: Vec<Endpoint>,
    /// Whether responses carry `Server: Kestrel`, unless the app sets the field itself. Default is true.
    pub add_server_header: bool,
    /// Whether the `:scheme` of an HTTP/2 request may differ from that of the connection, as it does behind proxies
    /// that end TLS and pass the client's scheme on. The scheme that the app sees stays the connection's. Default is
    /// false: such a request is malformed.
    pub allow_alternate_schemes: bool,
    /// The limits on connections and requests.
    pub limits: Limits,
    /// TLS for `https` addresses and for endpoints whose own [`HttpsOptions`] name no certificate. Default is none:
    /// then an `https` address without a certificate of its own fails the start.
    pub https_defaults: Option<HttpsOptions>,
    /// Where connections are served. Default is [`Threads::Shared`].
    pub threads: Threads,
    /// Whether sockets that a parent process hands over (`LISTEN_FDS`, as systemd does) are taken. Each one belongs
    /// to the endpoint that `LISTEN_FDNAMES` names, else to the endpoint with the equal address; without any
    /// endpoint or address configured each one serves plain HTTP. Default is true.
    #[doc(alias = "UseSystemd")]
    pub inherit_listeners: bool,
}

impl Default for KestrelOptions {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            add_server_header: true,
            allow_alternate_schemes: false,
            limits: Limits::default(),
            https_defaults: None,
            threads: Threads::default(),
            inherit_listeners: true,
        }
    }
}

/// The limits on connections and requests.
#[doc(alias = "KestrelServerLimits")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may be idle: before its first byte, and between requests. Then it is closed without a
    /// response. Default is 130 seconds.
    pub keep_alive_timeout: Duration,
    /// How long the head of a request may take from its first byte on. Then the connection is closed. Default is
    /// 30 seconds.
    pub request_headers_timeout: Duration,
    /// The bytes that the head of an HTTP/1.1 request may have, and the header list of an HTTP/2 request. Above it
    /// the request is answered with 431. Default is 40,960: the 8,192 of a request line and the 32,768 of header
    /// fields.
    pub max_request_head_size: u32,
    /// The header fields that an HTTP/1.1 request may have. Above it the request is answered with 431. Default is
    /// 100.
    pub max_request_header_count: usize,
    /// The bytes that a request body may have, unless the app says otherwise for a request; `None` is unlimited.
    /// Reading more fails, and the answer is 413. Default is 30,000,000.
    pub max_request_body_size: Option<u64>,
    /// The concurrent streams of one HTTP/2 connection. Default is 100.
    pub max_streams_per_connection: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keep_alive_timeout: Duration::from_secs(130),
            request_headers_timeout: Duration::from_secs(30),
            max_request_head_size: 40_960,
            max_request_header_count: 100,
            max_request_body_size: Some(30_000_000),
            max_streams_per_connection: 100,
        }
    }
}

/// The versions of HTTP that an endpoint speaks.
///
/// With both, TLS chooses by ALPN, and cleartext by the first bytes of the connection: a client that knows that the
/// server speaks HTTP/2 begins with its preface (RFC 9113, section 3.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpProtocols {
    /// HTTP/1.1 and HTTP/1.0 only.
    Http1,
    /// HTTP/2 only.
    Http2,
    /// Both.
    #[default]
    Http1AndHttp2,
}

/// Where connections are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Threads {
    /// On the runtime that started the server, with one accept loop per worker thread. Handlers may use everything
    /// that the runtime offers.
    #[default]
    Shared,
    /// On threads of the server's own, each with a current-thread runtime and its own accept loops; `None` is one
    /// per core. A connection stays on its thread: nothing is stolen and little is shared, which suits many small
    /// requests; a handler that computes for long, or blocks, holds up the other connections of its thread, and
    /// `block_in_place` panics. Tasks that handlers spawn end with the server.
    PerCore(Option<NonZeroUsize>),
}
