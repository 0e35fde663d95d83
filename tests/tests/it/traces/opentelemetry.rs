//! Spans of requests as those of OpenTelemetry.

use hosting::{HttpRoute, RequestTraceLayer, TraceContext};
use http::{Request, Response};
use opentelemetry::Context;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TracerProvider,
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use server_abstractions::Body;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

use super::traced_with;
use crate::support::Client;

/// Has the tracer go on with the trace that a request brought, and takes the ids that it gives the span.
fn layer() -> RequestTraceLayer {
    let layer = RequestTraceLayer::default()
        .with_namer(|span, name| span.context().span().update_name(name.to_owned()));
    layer.with_tracer(|span, parent| {
        if let Some(parent) = parent {
            let remote = SpanContext::new(
                TraceId::from(parent.trace_id()),
                SpanId::from(parent.span_id()),
                TraceFlags::new(parent.flags()),
                true,
                parent.state().and_then(|state| state.parse().ok()).unwrap_or_default(),
            );
            span.set_parent(Context::new().with_remote_span_context(remote)).ok()?;
        }
        let context = span.context();
        let ids = context.span().span_context().clone();
        let own = TraceContext::of_ids(
            u128::from_be_bytes(ids.trace_id().to_bytes()),
            u64::from_be_bytes(ids.span_id().to_bytes()),
            ids.trace_flags().to_u8(),
        )?;
        Some(parent.map_or_else(|| own.clone(), |parent| own.clone().with_parent(parent)))
    })
}

async fn app(request: Request<Body>) -> Response<Body> {
    let span = tracing::info_span!("look in the warehouse");
    span.in_scope(|| tracing::info!("found"));
    let mut response = crate::support::status(if request.uri().path() == "/fails" { 503 } else { 200 });
    response.extensions_mut().insert(HttpRoute::new("/orders/{id}"));
    if let Some(trace) = request.extensions().get::<TraceContext>() {
        trace.inject(response.headers_mut());
    }
    response
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().filter(|attribute| attribute.key.as_str() == name);
    let values: Vec<_> = found.map(|attribute| attribute.value.to_string()).collect();
    values.last().cloned()
}

#[tokio::test]
async fn a_span_of_a_request_goes_on_with_the_trace_and_is_exported() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let subscriber = tracing_subscriber::registry()
        .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("tests")));
    let _guard = tracing::subscriber::set_default(subscriber);
    let (_running, address) = traced_with(layer(), app).await;
    let mut client = Client::tcp(address).await;
    let parent =
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n";
    let answer = client.exchange(&format!("GET /orders/7?q=1 HTTP/1.1\r\nHost: shop\r\n{parent}\r\n")).await;
    let failed = client.exchange("GET /fails HTTP/1.1\r\nHost: shop\r\n\r\n").await;

    let spans = exporter.get_finished_spans().unwrap();
    let requests: Vec<_> = spans.iter().filter(|span| span.span_kind == SpanKind::Server).collect();
    let [first, second] = requests[..] else { panic!("{spans:#?}") };
    assert_eq!(first.name, "GET /orders/{id}");
    assert_eq!(first.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(first.parent_span_id.to_string(), "b7ad6b7169203331");
    assert!(first.parent_span_is_remote);
    for (name, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/orders/{id}"),
        ("http.response.status_code", "200"),
        ("url.path", "/orders/7"),
        ("url.query", "q=REDACTED"),
        ("server.address", "shop"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(attribute(first, name).as_deref(), Some(value), "{name}: {first:#?}");
    }
    assert_eq!(first.status, Status::Unset);
    // What is sent on names the exported span.
    let sent = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", first.span_context.span_id());
    assert_eq!((answer.header("traceparent"), answer.header("tracestate")), (Some(&*sent), Some("a=1")));
    assert_eq!(attribute(first, "span_id"), Some(first.span_context.span_id().to_string()));

    // What happened for it lies in it.
    let child = spans.iter().find(|span| span.name == "look in the warehouse").unwrap();
    assert_eq!(child.parent_span_id, first.span_context.span_id());

    assert!(matches!(second.status, Status::Error { .. }), "{second:#?}");
    assert_eq!(attribute(second, "error.type").as_deref(), Some("503"));
    assert_ne!(second.span_context.trace_id(), first.span_context.trace_id());
    assert!(failed.header("traceparent").unwrap().contains(&second.span_context.trace_id().to_string()));
}
