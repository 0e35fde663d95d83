//! Kestrel with a tower service, with `--metrics` also with metrics of requests and connections, and with `--sdk` with the SDK
//! of OpenTelemetry that collects them. Takes `--urls` as the hosted programs do.

use std::convert::Infallible;
use std::sync::Arc;

use benches::Error;
use hosting::{HttpMetricsLayer, HttpMetricsOptions};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use opentelemetry::global;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use server_abstractions::{App, Body, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelMetrics, KestrelMetricsOptions, KestrelOptions};
use tower::{ServiceBuilder, service_fn};

async fn plaintext(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Hello, World!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let is_given = |option: &str| std::env::args().any(|argument| argument == option);
    if is_given("--sdk") {
        let exporter = opentelemetry_prometheus::exporter().with_registry(prometheus::Registry::new());
        global::set_meter_provider(SdkMeterProvider::builder().with_reader(exporter.build()?).build());
    }
    let endpoints = vec![Endpoint::url(&benches::url()?)?];
    let mut kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let mut app = App::new(service_fn(plaintext));
    if is_given("--metrics") {
        let meter = global::meter("benches");
        let metrics = KestrelMetrics::new(&meter, &KestrelMetricsOptions::default());
        kestrel = kestrel.observer(Arc::new(metrics));
        let layer = HttpMetricsLayer::new(&meter, &HttpMetricsOptions::default());
        app = App::new(ServiceBuilder::new().layer(layer).service(service_fn(plaintext)));
    }
    let mut running = Box::new(kestrel).start(app).await?;
    running.finished().await?;
    Ok(())
}
