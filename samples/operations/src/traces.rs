//! Traces: the span of each request, and what the application does within it, to the collector.

use hosting::{ConfigurationMonitor, RequestTraceLayer, TraceContext};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TracerProvider};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::collector::{Collector, resource};
use crate::{Error, log};

/// What sends the spans of the program.
pub(crate) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Installs the subscriber of the process: the log as before, and the spans for the collector.
    pub(crate) fn install(collector: &Collector, monitor: &ConfigurationMonitor) -> Result<Self, Error> {
        let exporter = SpanExporter::builder().with_http().with_http_client(collector.client()).build()?;
        let provider =
            SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("operations"));
        let wanted = [("hosting::traces", LevelFilter::INFO), ("operations", LevelFilter::INFO)];
        let spans = spans.with_filter(Targets::new().with_targets(wanted));
        let (lines, levels) = log::layer(&monitor.current());
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines).with(spans))?;
        levels.follow(monitor);
        Ok(Self { provider })
    }

    /// Sends what is left. Blocks for five seconds at the most.
    pub(crate) fn shut_down(self) -> OTelSdkResult {
        self.provider.shutdown()
    }
}

/// Spans with the ids of the tracer, which goes on with the trace that a request brought.
pub(crate) fn layer() -> RequestTraceLayer {
    let named = |span: &Span, name: &str| span.context().span().update_name(name.to_owned());
    RequestTraceLayer::default().with_namer(named).with_tracer(|span, parent| {
        if let Some(parent) = parent {
            span.set_parent(Context::new().with_remote_span_context(remote(parent))).ok()?;
        }
        let context = span.context();
        let ids = context.span().span_context().clone();
        let own = TraceContext::of_ids(
            u128::from_be_bytes(ids.trace_id().to_bytes()),
            u64::from_be_bytes(ids.span_id().to_bytes()),
            ids.trace_flags().to_u8(),
        )?;
        Some(match parent {
            Some(parent) => own.with_parent(parent),
            None => own,
        })
    })
}

fn remote(parent: &TraceContext) -> SpanContext {
    let state = parent.state().and_then(|state| state.parse().ok()).unwrap_or_default();
    let (trace, span) = (TraceId::from(parent.trace_id()), SpanId::from(parent.span_id()));
    SpanContext::new(trace, span, TraceFlags::new(parent.flags()), true, state)
}
