//! Metrics: as Prometheus' text for whoever scrapes, and to a collector if there is one.

use std::future::{Ready, ready};

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use opentelemetry::global;
use opentelemetry_otlp::{MetricExporter, WithHttpConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};

use crate::Error;
use crate::collector::{Collector, resource};
use crate::private::is_private;

/// What collects the metrics of the program.
pub(crate) struct Metrics {
    registry: Registry,
    provider: SdkMeterProvider,
}

impl Metrics {
    /// Installs the meter provider of the process.
    pub(crate) fn install(collector: Option<&Collector>) -> Result<Self, Error> {
        let registry = Registry::new();
        let prometheus = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build()?;
        let mut provider = SdkMeterProvider::builder().with_resource(resource()).with_reader(prometheus);
        if let Some(collector) = collector {
            let exporter = MetricExporter::builder().with_http().with_http_client(collector.client());
            // Every minute, or as OTEL_METRIC_EXPORT_INTERVAL says.
            provider = provider.with_periodic_exporter(exporter.build()?);
        }
        let provider = provider.build();
        global::set_meter_provider(provider.clone());
        Ok(Self { registry, provider })
    }

    /// The handler of `/metrics`: to everybody else there is no such thing.
    pub(crate) fn scrape(&self) -> impl FnOnce(Request) -> Ready<Response> + Clone + Send + Sync + 'static {
        let registry = self.registry.clone();
        move |request| {
            ready(match is_private(&request) {
                true => text(&registry).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()),
                false => StatusCode::NOT_FOUND.into_response(),
            })
        }
    }

    /// Sends what is left. Blocks for five seconds at the most.
    pub(crate) fn shut_down(&self) -> OTelSdkResult {
        self.provider.shutdown()
    }
}

fn text(registry: &Registry) -> prometheus::Result<Response> {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    encoder.encode(&registry.gather(), &mut text)?;
    Ok(([(header::CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response())
}
