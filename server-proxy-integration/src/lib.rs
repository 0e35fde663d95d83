//! Layers that give an application back what a reverse proxy took from its requests: scheme, host, remote address, path
//! base and client certificate, believed only from whom they trust.
//!
//! ```
//! use http::{Request, Response};
//! use server_abstractions::{App, Body, HttpRequestFeature};
//! use server_proxy_integration::{
//!     ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions, HostFilteringLayer, HostFilteringOptions,
//! };
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let forwarded = ForwardedHeadersOptions {
//!     fields: ForwardedFields::FOR | ForwardedFields::PROTO,
//!     // The list takes the place of the default, which is loopback over IPv4 and so stands here again.
//!     known_networks: vec!["10.0.0.0/8".parse()?, "127.0.0.0/8".parse()?],
//!     ..ForwardedHeadersOptions::default()
//! };
//! let app = App::new(
//!     ServiceBuilder::new()
//!         .layer(HostFilteringLayer::new(&HostFilteringOptions::from_list("example.com;*.example.com"))?)
//!         .layer(ForwardedHeadersLayer::new(&forwarded)?)
//!         .service(App::new(async |request: Request<Body>| {
//!             Response::new(Body::from(format!("{}", request.scheme())))
//!         })),
//! );
//!
//! // A field from somebody who is no known proxy changes nothing; another host is refused.
//! for (host, status) in [("www.example.com", 200), ("evil.example", 400)] {
//!     let request = Request::get("/").header("host", host).header("x-forwarded-proto", "https");
//!     let response = app.handle(request.body(Body::empty())?).await;
//!     assert_eq!(response.status(), status);
//! }
//! # Ok(()) }
//! ```
//!
//! | to | see |
//! |---|---|
//! | learn client, scheme, host and prefix from `X-Forwarded-*` or `Forwarded` | [`ForwardedHeadersLayer`] |
//! | refuse requests for hosts that are not yours | [`HostFilteringLayer`] |
//! | learn the client's certificate from the proxy that ended TLS | [`CertificateForwardingLayer`] |
//! | live below a path of the proxy | [`PathBaseLayer`] |
//! | have several of these, in the right order and for less | [`ProxyIntegrationLayer`] |
//! | be started by IIS, or by any module that sets its variables | [`IisIntegration`] |
//!
//! # Any server
//!
//! The layers are tower layers over `http` requests with any body. Under a server of `server-abstractions` they read the
//! peer from the request's features. Under `axum::serve`, or anything else that puts an
//! `axum::extract::ConnectInfo<SocketAddr>` into the request, they read that, with the cargo feature `axum`; axum does it in
//! `into_make_service_with_connect_info::<SocketAddr>()` alone. If there is neither, the peer is not known, and so not
//! trusted. A layer tells of the first fields that it does not believe at the level info, with what is missing, and of all
//! else at debug (`RUST_LOG=info,server_proxy_integration=debug`). What the layers find out stands in the features of the request,
//! which [`RequestFeatures`](server_abstractions::RequestFeatures) and
//! [`HttpRequestFeature`](server_abstractions::HttpRequestFeature) read without a server of that contract, too.
//!
//! # Order
//!
//! Outermost first: [`IisIntegrationLayer`], [`HostFilteringLayer`], [`ForwardedHeadersLayer`],
//! [`CertificateForwardingLayer`], [`PathBaseLayer`], then the rest. [`ProxyIntegrationLayer`] has that order from the first to the
//! last of the four. The certificate is judged by the peer of the socket,
//! so its layer may stand anywhere.
//!
//! # Cargo features
//!
//! * `axum`: `ConnectInfo<SocketAddr>` is read and replaced.
//!
//! ```toml
//! [dependencies]
//! server-proxy-integration = { path = "../the-clone/server-proxy-integration", features = ["axum"] }
//! ```

mod answer;
mod certificate_forwarding;
mod error;
mod fields;
mod forwarded_headers;
mod host;
mod host_filtering;
mod iis_integration;
mod integration;
mod path_base;
mod peer;
mod reload;
mod stranger;

pub use answer::AnswerFuture;
pub use certificate_forwarding::{
    CertificateForwarding, CertificateForwardingLayer, CertificateForwardingOptions, CertificateSource,
};
pub use error::OptionsError;
pub use forwarded_headers::{
    ForwardedFields, ForwardedHeaders, ForwardedHeadersLayer, ForwardedHeadersOptions, ForwardedSource,
};
pub use host_filtering::{HostFiltering, HostFilteringLayer, HostFilteringOptions};
pub use iis_integration::{
    IisIntegration, IisIntegrationLayer, IisIntegrationOptions, IisIntegrationService,
};
pub use integration::{ProxyIntegration, ProxyIntegrationLayer};
pub use ipnet;
pub use path_base::{PathBase, PathBaseLayer};
pub use peer::socket_address;

/// The programs of the readme, to be compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
