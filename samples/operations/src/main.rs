//! An application as it runs in production: `cargo run -p operations`, then `curl localhost:5000/orders/7`.
//!
//! Each file has a subject of its own; `README.md` says what to try, and `docs/production.md` how to install it.

mod collector;
mod forwarded;
mod log;
mod metrics;
mod orders;
mod private;
mod streams;
mod traces;
mod websocket;

use axum::Router;
use axum::routing::get;
use hosting::{HealthChecks, MatchedRouteLayer, WebApplication, WebApplicationBuilder};

use self::collector::Collector;
use self::metrics::Metrics;
use self::orders::Orders;
use self::traces::Traces;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    let builder = WebApplication::builder();
    let collector = Collector::from_environment().map_err(own)?;
    // Before the application is built, which makes its instruments then.
    let metrics = Metrics::install(collector.as_ref()).map_err(hosting::Error::other).map_err(own)?;
    let traces = collector
        .as_ref()
        .map(|collector| Traces::install(collector, builder.configuration_monitor()))
        .transpose()
        .map_err(hosting::Error::other)
        .map_err(own)?;
    let result = run(builder, &metrics, traces.is_some()).await;
    collector::shut_down(collector, metrics, traces).await;
    result
}

/// An error of the application's own, which goes where those of the host do.
fn own(error: impl Into<hosting::Error>) -> hosting::Error {
    error.into().told()
}

async fn run(
    builder: WebApplicationBuilder,
    metrics: &Metrics,
    has_traces: bool,
) -> Result<(), hosting::Error> {
    let orders = Orders::configured(&builder).map_err(own)?;
    let forwarded = forwarded::layer(builder.configuration()).map_err(own)?;
    let checked = orders.clone();
    let checks = HealthChecks::new().check("orders", move || checked.clone().check());
    let mut builder = builder.health_checks(checks);
    if let Some(forwarded) = forwarded {
        builder = builder.pipeline(|pipeline| pipeline.layer(forwarded));
    }
    if has_traces {
        builder = builder.request_traces(traces::layer());
    }
    let router = Router::new()
        .route("/", get(async || "See README.md for what there is.\n"))
        .route("/orders/{id}", get(orders::one))
        .route("/metrics", get(metrics.scrape()))
        .route("/events", get(streams::events))
        .route("/poll", get(streams::poll))
        .route("/websocket", get(websocket::echo))
        .with_state(orders)
        .layer(MatchedRouteLayer::new());
    builder.build(router)?.run().await
}
