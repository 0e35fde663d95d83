//! The contract between web frameworks and HTTP servers.
//!
//! A framework, or any tower service, is handed to a server as an [`App`]. A server is anything that implements
//! [`Server`]: started once, it gives back a [`Running`] server, which is stopped or dropped. What a server knows
//! about a request beyond the `http` types (the peer, TLS, abort, upgrade, ...) it offers as *features*: traits
//! that are looked up in the request's [`FeatureCollection`].
//!
//! This crate spawns nothing, opens nothing and knows neither TLS nor an HTTP engine, so that both sides can depend
//! on it for years.
//!
//! ```
//! use server_abstractions::{App, Body, HttpConnectionFeature, RequestFeatures};
//! use http::{Request, Response};
//!
//! // Any tower service is an app, and so is a closure.
//! let app = App::new(async |request: Request<Body>| {
//!     let peer = request.features().get::<dyn HttpConnectionFeature>().and_then(|c| c.remote_address());
//!     Response::new(Body::from(match peer {
//!         Some(address) => format!("Hello, {address}"),
//!         None => "Hello, whoever you are".to_owned(),
//!     }))
//! });
//! # let _ = app;
//! ```
//!
//! # Which protocol offers which feature
//!
//! What the Kestrel server of this workspace offers; "set" means that nobody offers it until a layer sets it.
//!
//! | feature | scope | HTTP/1.1 | HTTP/2 |
//! |---|---|---|---|
//! | [`HttpRequestFeature`], [`HttpResponseFeature`] | the `http` types themselves | yes | yes |
//! | [`HttpRequestIdentifierFeature`], [`HttpRequestLifetimeFeature`] | request | yes | yes |
//! | [`HttpRequestBodyDetectionFeature`], [`HttpMaxRequestBodySizeFeature`], [`HttpRequestTrailersFeature`] | request | yes | yes |
//! | [`HttpUpgradeFeature`] | request | if the client asks for an upgrade | no |
//! | [`HttpExtendedConnectFeature`] | request | no | for extended CONNECT (RFC 8441) |
//! | [`HttpResponseTrailersFeature`], [`HttpResetFeature`] | request | no (a body may still end in trailers) | yes |
//! | [`HttpMinRequestBodyDataRateFeature`], [`HttpMinResponseDataRateFeature`] | request | yes | to switch it off |
//! | [`Http2StreamIdFeature`] | request | no | no: the HTTP engine does not tell it |
//! | [`HttpSchemeFeature`] | connection | yes | yes |
//! | [`HttpPathBaseFeature`] | request | set | set |
//! | [`HttpConnectionFeature`], [`ConnectionItemsFeature`], [`ConnectionLifetimeFeature`], [`ConnectionEndFeature`], [`ConnectionStatisticsFeature`], [`EndpointFeature`] | connection | yes | yes |
//! | [`TlsConnectionFeature`], [`TlsHandshakeFeature`] | connection | over TLS | over TLS |
//! | [`ServerAddressesFeature`], [`ServerDrainFeature`], [`ServerLivenessFeature`] | server | yes | yes |

mod address;
mod address_value;
mod app;
mod body;
mod client_certificate;
mod connection;
mod context;
mod features;
mod histogram_bounds;
mod lifetime;
mod observer;
mod path;
mod path_base;
mod server;

pub use address::{Address, AddressError, AddressTarget};
pub use address_value::address_value;
pub use app::{App, IntoService};
pub use body::Body;
#[cfg(feature = "x509")]
pub use client_certificate::CertificateParseError;
pub use client_certificate::{CertificateFacts, ClientCertificate, SubjectAlternativeName};
pub use connection::{BoxConnectionService, Connection, FromFnLayer, Io, Listener, Next, from_fn};
pub use context::HttpContext;
pub use features::{
    AddressesFixed, ConnectionEndFeature, ConnectionItemsFeature, ConnectionLifetimeFeature, ConnectionPhase,
    ConnectionStatisticsFeature, EndpointFeature, FeatureCollection, FeatureQuery, FeatureSource,
    Http2StreamIdFeature, HttpConnectionFeature, HttpExtendedConnectFeature, HttpMaxRequestBodySizeFeature,
    HttpMinRequestBodyDataRateFeature, HttpMinResponseDataRateFeature, HttpPathBaseFeature,
    HttpRequestBodyDetectionFeature, HttpRequestFeature, HttpRequestIdentifierFeature,
    HttpRequestLifetimeFeature, HttpRequestTrailersFeature, HttpResetFeature, HttpResponseFeature,
    HttpResponseTrailersFeature, HttpSchemeFeature, HttpUpgradeFeature, MinDataRate, PathBase, ProxiedTls,
    ProxyProtocolFeature, RequestFeatures, ServerAddresses, ServerAddressesFeature, ServerDrainFeature,
    ServerLivenessFeature, TlsConnectionFeature, TlsHandshakeFeature, TlsProtocol, TooLate, Upgrade,
    UpgradeError,
};
pub use histogram_bounds::{HistogramBounds, HistogramBoundsError};
pub use http;
pub use lifetime::{Lifetime, LifetimeGuard};
pub use observer::{ConnectionEvent, ConnectionObserver};
pub use path::decode_path;
pub use path_base::take_path_base;
pub use server::{Running, Server, ServerError, StartError, Stopped};

/// Any error, boxed: what bodies and connection services fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
