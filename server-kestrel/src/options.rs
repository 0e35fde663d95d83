use std::num::NonZeroUsize;

use crate::{Endpoint, HttpsOptions, Limits, SocketOptions};

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
    /// The versions of HTTP of endpoints that are made from urls. Default is HTTP/1.1 and HTTP/2.
    #[doc(alias = "EndpointDefaults")]
    pub default_protocols: HttpProtocols,
    /// The sockets of endpoints that are made from urls, as far as [they are for them](SocketOptions::for_target). Of
    /// inherited sockets that nothing is configured for they say what connections are like (`no_delay`,
    /// `keep_alive`); what the parent process has made of the listening socket stays.
    #[doc(alias = "EndpointDefaults")]
    pub default_socket_options: SocketOptions,
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
            default_protocols: HttpProtocols::default(),
            default_socket_options: SocketOptions::default(),
            threads: Threads::default(),
            inherit_listeners: true,
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
