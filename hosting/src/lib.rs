//! Hosts a web application: configuration, lifetime, launch profiles, the pipeline and the test server.
//!
//! ```no_run
//! use hosting::{Body, Request, Response, WebApplication};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), hosting::Error> {
//!     let hello = async |_: Request<Body>| Response::new(Body::from("Hello, World!"));
//!     WebApplication::builder().build(hello)?.run().await
//! }
//! ```
//!
//! Any tower service stands in the place of `hello`: an `axum::Router`, the `Routes` of tonic, a
//! `tower::ServiceBuilder` stack. What the application listens on comes from its configuration: `--urls`,
//! `ASPNETCORE_URLS`, `appsettings.json`, a launch profile.
//!
//! | to | see |
//! |---|---|
//! | host an application with everything | [`WebApplication`] |
//! | replace `axum::serve` in one line | [`serve`] |
//! | host an application on a server of your own | [`Host`] |
//! | put layers and branches before a service | [`ApplicationBuilder`] |
//! | read options, and follow their changes | [`Configuration`], [`ConfigurationMonitor`] |
//! | send clients to https, and keep them there | [`HttpsRedirectionLayer`], [`HstsLayer`] |
//! | live behind a proxy, below a path, under IIS | [`ForwardedHeadersLayer`], [`HostFilteringLayer`], [`CertificateForwardingLayer`], [`PathBaseLayer`], [`IisIntegration`] |
//! | let slow streams live | [`MinDataRates`] |
//! | change the size of bodies for a part of an application | [`MaxRequestBodySize`] |
//! | run work beside the server | [`HostedService`] |
//! | test an application without a port | [`TestServer`] |
//!
//! The feature traits of a request stand in [`server_abstractions`].
//!
//! # Cargo features
//!
//! * `kestrel` (default): the default server, [`WebApplication`], [`serve`] and [`TestServer`].
//! * `aws-lc-rs` (default), `ring`: the crypto provider of TLS.
//! * `proxy-integration` (default): the layers of [`server_proxy_integration`], and in [`WebApplication`] the keys that
//!   switch them on.
//! * `axum`: `axum::extract::ConnectInfo<SocketAddr>` in every request.
//! * `tonic`: `tonic::transport::server::TcpConnectInfo` in every request, and no [`MinDataRates`] for calls of gRPC.
//! * `schema`: the JSON Schemas of `appsettings.json` and `launchSettings.json`, for editors.

mod application_builder;
mod configuration;
#[cfg(feature = "kestrel")]
mod connect_info;
#[cfg(feature = "kestrel")]
mod dev_certificate;
mod environment;
mod error;
mod host;
mod https;
#[cfg(feature = "kestrel")]
mod kestrel_section;
#[cfg(feature = "kestrel")]
mod kestrel_source;
mod launch_settings;
mod lifetime;
mod logging;
mod max_request_body_size;
mod min_data_rates;
#[cfg(feature = "kestrel")]
mod module_endpoints;
mod notify;
#[cfg(feature = "kestrel")]
mod proxy;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "kestrel")]
mod serve;
mod service;
mod signals;
#[cfg(feature = "kestrel")]
mod startup;
mod surroundings;
#[cfg(feature = "kestrel")]
mod test_server;
#[cfg(feature = "kestrel")]
mod urls;
#[cfg(feature = "kestrel")]
mod web_application;

#[doc = include_str!("../../CONFIGURATION.md")]
#[cfg(feature = "kestrel")]
pub mod configuration_keys {}

pub use application_builder::ApplicationBuilder;
pub use configuration::{
    Configuration, ConfigurationBuilder, ConfigurationError, ConfigurationMonitor, ConfigurationSection,
    duration as configuration_duration,
};
pub use environment::HostEnvironment;
pub use error::Error;
pub use host::{Host, HostOptions, RunningHost};
pub use http::{self, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
pub use https::{
    Hsts, HstsFuture, HstsLayer, HstsOptions, HttpsRedirection, HttpsRedirectionFuture,
    HttpsRedirectionLayer, HttpsRedirectionOptions,
};
#[cfg(feature = "kestrel")]
pub use kestrel_section::endpoints as kestrel_endpoints;
pub use launch_settings::{
    AncmHostingModel, ExecutableLaunch, IisBinding, IisSettings, LaunchProfile, LaunchSettings,
    LaunchSettingsError, ModuleLaunch, SelectedProfile,
};
pub use lifetime::ApplicationLifetime;
pub use logging::LogLevels;
pub use max_request_body_size::{MaxRequestBodySize, WithMaxRequestBodySize};
pub use min_data_rates::{MinDataRates, WithMinDataRates};
#[cfg(feature = "kestrel")]
pub use serve::{IntoEndpoint, Serve, serve};
pub use server_abstractions::{
    self, Address, AddressError, App, Body, BoxError, BoxFuture, FeatureCollection, HttpContext,
    HttpRequestFeature, IntoService, MinDataRate, RequestFeatures, Running, Server, StartError, Stopped,
};
#[cfg(feature = "kestrel")]
pub use server_kestrel::{
    self, BoundEndpoint, Endpoint, Http2Limits, HttpProtocols, HttpsOptions, KestrelOptions, Limits,
    ServerCertificate, SocketOptions, TcpKeepAlive, Threads,
};
#[cfg(feature = "proxy-integration")]
pub use server_proxy_integration::{
    self, CertificateForwardingLayer, CertificateForwardingOptions, CertificateSource, ForwardedFields,
    ForwardedHeadersLayer, ForwardedHeadersOptions, ForwardedSource, HostFilteringLayer,
    HostFilteringOptions, IisIntegration, IisIntegrationLayer, IisIntegrationOptions, PathBaseLayer,
};
pub use service::{BackgroundService, HostedService, background};
#[cfg(feature = "kestrel")]
pub use test_server::{TestClient, TestServer};
pub use tokio_util::sync::CancellationToken;
#[cfg(feature = "kestrel")]
pub use web_application::{WebApplication, WebApplicationBuilder, WebApplicationOptions};
