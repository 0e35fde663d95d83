//! Kestrel: a web server for any tower service, fit to face the Internet.
//!
//! HTTP/1.1 and HTTP/2, cleartext and TLS, on TCP, Unix sockets and inherited descriptors; several endpoints per
//! server; limits on every wait; a stop that loses nothing.
//!
//! ```
//! use http::{Request, Response};
//! use server_abstractions::{App, Body};
//! use server_kestrel::{Endpoint, Kestrel, KestrelOptions};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = KestrelOptions {
//!     endpoints: vec![Endpoint::url("http://127.0.0.1:0")?],
//!     ..KestrelOptions::default()
//! };
//! let app = App::new(async |_: Request<Body>| Response::new(Body::from("Hello, World!")));
//!
//! let running = Kestrel::new(options).start(app).await?;
//! println!("listening on {}", running.addresses()[0]);
//!
//! // Finish what runs, for five seconds at the most.
//! running.stop(tokio::time::sleep(std::time::Duration::from_secs(5))).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! [`Limits`] bounds what a peer may send, take and wait for, and how many peers there are; the defaults are those of a
//! server that faces the Internet. What is refused, and every connection that is cut off, is an event
//! of level debug (over HTTP/2 but for what the engine refuses by itself: a malformed head, and a list of fields far above
//! the limits), and the feature
//! [`ConnectionEndFeature`](server_abstractions::ConnectionEndFeature) tells a connection layer why a connection ended: [`EndReason`] has all reasons.
//! An app changes the size of a body and the data rates for a request by features of the request.
//!
//! Events go to `tracing`; without a subscriber nothing is shown. What a peer did wrong, such as a handshake that
//! failed, is an event of level debug.
//!
//! # Cargo features
//!
//! `aws-lc-rs` (default) and `ring` choose the crypto provider of TLS; with both, aws-lc-rs is used. ring has no
//! post-quantum key exchange. Neither is installed for the whole process.
//!
//! `metrics` has `KestrelMetrics`, which records what happens on connections through the API of OpenTelemetry.
//!
//! The way of a request: [`Endpoint`] -> [`Listener`](server_abstractions::Listener) -> connection layers (PROXY
//! protocol, TLS and those of [`Endpoint::layer`]) -> HTTP/1.1 or HTTP/2 -> [`App`](server_abstractions::App).

mod accept;
mod activity;
mod bind;
mod bound;
mod capacity;
mod connection;
mod detect;
mod drain;
mod driver;
mod end_reason;
mod endpoint;
mod frames;
mod http1;
mod http2;
mod inherited;
mod io;
mod limits;
mod listener;
mod liveness;
mod logging;
mod meter;
#[cfg(feature = "metrics")]
mod metrics;
mod observers;
mod options;
mod plan;
mod protocol;
mod proxy_protocol;
mod refusal;
mod request;
mod request_body;
mod response;
mod scanner;
mod server;
mod socket_options;
mod threads;
mod tls;
mod unix_stream;

pub use bound::BoundEndpoint;
pub use end_reason::EndReason;
pub use endpoint::{ConnectionLog, Endpoint};
pub use ipnet;
pub use limits::{Http2Limits, LimitError, Limits};
pub use listener::{MemoryConnector, MemoryListener, memory};
pub use logging::ConnectionLoggingLayer;
#[cfg(feature = "metrics")]
pub use metrics::{KestrelMetrics, KestrelMetricsOptions};
pub use options::{HttpProtocols, KestrelOptions, Threads};
pub use proxy_protocol::{
    ProxiedAddresses, ProxyHeader, ProxyHeaderError, ProxyProtocol, ProxyProtocolLayer, ProxyProtocolOptions,
    ProxyVersion, Tlv,
};
pub use rustls;
pub use server::Kestrel;
pub use socket_options::{SocketOptions, TcpKeepAlive};
pub use tls::{
    CertificateFile, CertificateSelector, ClientCertificateMode, ClientCertificateRoots,
    ClientCertificateValidation, ClientCertificates, ClientHello, ConfiguredAt, FindCertificate,
    HttpsOptions, OnClientHello, ServerCertificate, SessionOptions, SniOptions, StoredCertificate,
    TicketKeys, Tls, TlsLayer, TlsVersions,
};
pub use unix_stream::QuietUnixStream;
