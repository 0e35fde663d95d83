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
//! | see what the server does at this moment | [`Diagnostics`] |
//! | follow a request through services and logs | [`RequestTraceLayer`], [`TraceContext`], [`RequestIdLayer`] |
//! | have a line in a log for each request | [`AccessLog`], [`AccessLogLayer`] |
//! | let slow streams live | [`MinDataRates`] |
//! | change the size of bodies for a part of an application | [`MaxRequestBodySize`] |
//! | tell load balancers and orchestrators whether the application is ready | [`HealthLayer`], [`HealthChecks`], [`HostOptions::shutdown_delay`] |
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
//! * `axum`: `axum::extract::ConnectInfo<SocketAddr>` in every request, and `MatchedRouteLayer`.
//! * `tonic`: `tonic::transport::server::TcpConnectInfo` in every request, and no [`MinDataRates`] for calls of gRPC.
//! * `metrics`: metrics of requests and connections through the API of OpenTelemetry, in `HttpMetricsLayer` and by the
//!   section `Metrics` of the configuration.
//! * `schema`: the JSON Schemas of `appsettings.json` and `launchSettings.json`, for editors.

mod access_log;
mod application_builder;
#[cfg(feature = "kestrel")]
mod certificates;
mod characters;
mod configuration;
#[cfg(feature = "kestrel")]
mod connect_info;
#[cfg(feature = "kestrel")]
mod dev_certificate;
#[cfg(feature = "kestrel")]
mod diagnostics;
mod environment;
mod error;
mod health;
mod host;
#[cfg(feature = "metrics")]
mod http_metrics;
mod http_route;
mod https;
#[cfg(feature = "kestrel")]
mod kestrel_section;
#[cfg(feature = "kestrel")]
mod kestrel_source;
mod launch_settings;
mod lifetime;
mod logging;
mod max_request_body_size;
#[cfg(feature = "kestrel")]
mod metrics_section;
mod min_data_rates;
#[cfg(feature = "kestrel")]
mod misspelt;
#[cfg(feature = "kestrel")]
mod module_endpoints;
mod nearest;
mod notify;
mod peer;
#[cfg(feature = "kestrel")]
mod proxy;
mod reload;
mod request_id;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "kestrel")]
mod serve;
mod service;
mod signals;
#[cfg(feature = "kestrel")]
#[cfg(feature = "kestrel")]
mod start_keys;
#[cfg(feature = "kestrel")]
mod startup;
mod stop_progress;
mod surroundings;
#[cfg(feature = "kestrel")]
mod test_server;
mod traces;
#[cfg(feature = "kestrel")]
mod urls;
mod watchdog;
#[cfg(feature = "kestrel")]
mod web_application;

#[doc = include_str!("../../CONFIGURATION.md")]
#[cfg(feature = "kestrel")]
pub mod configuration_keys {}

pub use access_log::{
    AccessLog, AccessLogField, AccessLogFiles, AccessLogFormat, AccessLogFuture, AccessLogLayer,
    AccessLogOptions, AccessLogOutput, AccessLogUser, RefusedRequest, WithAccessLog,
};
pub use application_builder::ApplicationBuilder;
pub use characters::is_hidden as is_hidden_character;
pub use configuration::{
    Configuration, ConfigurationBuilder, ConfigurationError, ConfigurationMonitor, ConfigurationSection,
    duration as configuration_duration,
};
#[cfg(feature = "kestrel")]
pub use diagnostics::{
    Diagnostics, DiagnosticsFuture, DiagnosticsLayer, DiagnosticsOptions, WithDiagnostics,
};
pub use environment::HostEnvironment;
pub use error::Error;
pub use health::{
    Health, HealthCheckOptions, HealthChecks, HealthFuture, HealthLayer, HealthOptions, HealthStatus,
};
pub use host::{Host, HostOptions, RunningHost};
pub use http::{self, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
#[cfg(feature = "metrics")]
pub use http_metrics::{
    HttpMetricsFuture, HttpMetricsLayer, HttpMetricsOptions, HttpMetricsTags, WithHttpMetrics,
};
pub use http_route::HttpRoute;
#[cfg(feature = "axum")]
pub use http_route::{MatchedRoute, MatchedRouteFuture, MatchedRouteLayer};
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
pub use logging::{LogLevels, is_standard_output_the_journal};
pub use max_request_body_size::{MaxRequestBodySize, WithMaxRequestBodySize};
pub use min_data_rates::{MinDataRates, WithMinDataRates};
pub use request_id::{RequestId, RequestIdFuture, RequestIdLayer, RequestIdOptions, WithRequestId};
#[cfg(feature = "kestrel")]
pub use serve::{IntoEndpoint, Serve, serve};
pub use server_abstractions::{
    self, Address, AddressError, App, Body, BoxError, BoxFuture, ConnectionEvent, ConnectionObserver,
    FeatureCollection, HistogramBounds, HttpContext, HttpRequestFeature, IntoService, MinDataRate,
    RequestFeatures, Running, Server, StartError, Stopped,
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
pub use traces::{
    Believed, RequestTrace, RequestTraceFuture, RequestTraceLayer, RequestTraceOptions, TraceContext,
    TrustedPeers,
};
#[cfg(feature = "kestrel")]
pub use web_application::{WebApplication, WebApplicationBuilder, WebApplicationOptions};
