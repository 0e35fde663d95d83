//! Traces: what the span of a request tells, how long it lasts, and how a trace goes on; ids of requests.

mod context;
mod hosted;
mod ids;
mod life;
mod opentelemetry;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hosting::{Believed, HttpRoute, RequestTraceLayer, RequestTraceOptions, Running};
use http::{Request, Response};
use server_abstractions::{App, Body};
use tower_layer::Layer as _;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::support::{Client, start_on_tcp};

/// The spans of requests that a thread has seen.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

/// A span as it is told so far.
#[derive(Clone, Debug, Default)]
struct Seen {
    id: u64,
    fields: BTreeMap<&'static str, String>,
    /// The events in it.
    events: Vec<String>,
    is_closed: bool,
}

impl Seen {
    #[track_caller]
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or_else(|| panic!("no {name}: {self:#?}"))
    }

    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }
}

impl Spans {
    /// Sees the spans of this thread from now on.
    fn start(&self) -> tracing::subscriber::DefaultGuard {
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    /// The only one there is.
    #[track_caller]
    fn one(&self) -> Seen {
        let spans = self.all();
        let [span] = &spans[..] else { panic!("{} spans: {spans:#?}", spans.len()) };
        span.clone()
    }

    fn change(&self, id: &Id, change: impl FnOnce(&mut Seen)) {
        let mut spans = self.0.lock().unwrap();
        if let Some(span) = spans.iter_mut().rev().find(|span| span.id == id.into_u64() && !span.is_closed) {
            change(span);
        }
    }
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        if attributes.metadata().target() != "hosting::traces" {
            return;
        }
        let mut seen = Seen { id: id.into_u64(), ..Seen::default() };
        attributes.record(&mut Fields(&mut seen.fields));
        self.0.lock().unwrap().push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.change(id, |seen| values.record(&mut Fields(&mut seen.fields)));
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        let mut fields = BTreeMap::new();
        event.record(&mut Fields(&mut fields));
        for span in context.event_scope(event).into_iter().flatten() {
            self.change(&span.id(), |seen| seen.events.extend(fields.get("message").cloned()));
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        self.change(&id, |seen| seen.is_closed = true);
    }
}

/// A server on TCP whose app has a span for each request.
async fn traced<M>(app: impl hosting::IntoService<M>) -> (Running, SocketAddr) {
    traced_with(RequestTraceLayer::default(), app).await
}

async fn traced_with<M>(
    layer: RequestTraceLayer,
    app: impl hosting::IntoService<M>,
) -> (Running, SocketAddr) {
    start_on_tcp(App::new(layer.layer(App::new(app)))).await
}

fn parents(parents: Believed) -> RequestTraceLayer {
    RequestTraceLayer::new(RequestTraceOptions { parents, ..RequestTraceOptions::default() })
}

#[tokio::test]
async fn a_request_is_one_span_with_the_attributes_of_the_conventions() {
    let spans = Spans::default();
    let _guard = spans.start();
    let app = async |_: Request<Body>| {
        let mut response = Response::builder().status(201).body(Body::from("made")).unwrap();
        response.extensions_mut().insert(HttpRoute::new("/orders/{id}"));
        response
    };
    let (_running, address) = traced(app).await;
    let mut client = Client::tcp(address).await;
    let request = "POST /orders/7?a=1&sig=secret HTTP/1.1\r\nHost: Shop.example:8080\r\nUser-Agent: test/1\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.exchange(request).await.status, 201);
    let span = spans.one();
    for (name, value) in [
        ("otel.kind", "server"),
        ("otel.name", "POST /orders/{id}"),
        ("http.request.method", "POST"),
        ("http.route", "/orders/{id}"),
        ("url.scheme", "http"),
        ("url.path", "/orders/7"),
        ("url.query", "a=REDACTED&sig=REDACTED"),
        ("server.address", "Shop.example"),
        ("server.port", "8080"),
        ("client.address", "127.0.0.1"),
        ("network.peer.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "test/1"),
        ("http.response.status_code", "201"),
    ] {
        assert_eq!(span.field(name), value, "{name}");
    }
    assert_eq!(span.field("client.port"), span.field("network.peer.port"));
    assert_eq!((span.field("trace_id").len(), span.field("span_id").len()), (32, 16));
    assert!(span.field("request_id").ends_with(":00000001"), "{}", span.field("request_id"));
    for absent in ["http.request.method_original", "error.type", "otel.status_code", "parent_id"] {
        assert!(!span.has(absent), "{absent}: {span:#?}");
    }
    assert!(span.is_closed);
}

#[tokio::test]
async fn what_a_request_does_not_say_is_not_told() {
    let spans = Spans::default();
    let _guard = spans.start();
    let (_running, address) = traced(crate::support::hello).await;
    Client::tcp(address).await.exchange("BREW / HTTP/1.0\r\n\r\n").await;
    let span = spans.one();
    assert_eq!((span.field("otel.name"), span.field("http.request.method")), ("HTTP", "_OTHER"));
    assert_eq!(span.field("http.request.method_original"), "BREW");
    assert_eq!(span.field("network.protocol.version"), "1.0");
    for absent in ["url.query", "user_agent.original", "http.route", "server.address", "server.port"] {
        assert!(!span.has(absent), "{absent}: {span:#?}");
    }
}

#[tokio::test]
async fn under_axum_serve_the_peer_is_that_of_connect_info() {
    let spans = Spans::default();
    let _guard = spans.start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new()
        .route("/orders/{id}", axum::routing::get(async || "hello"))
        .layer(hosting::MatchedRouteLayer::new())
        .layer(RequestTraceLayer::default())
        .into_make_service_with_connect_info::<SocketAddr>();
    let serve = async move { axum::serve(listener, router).await };
    let _server = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(serve));
    assert_eq!(Client::tcp(address).await.get("/orders/7").await.text(), "hello");
    let span = spans.one();
    assert_eq!(span.field("client.address"), "127.0.0.1");
    assert_eq!(span.field("network.peer.address"), "127.0.0.1");
    assert_eq!((span.field("url.path"), span.field("http.response.status_code")), ("/orders/7", "200"));
    assert_eq!((span.field("http.route"), span.field("otel.name")), ("/orders/{id}", "GET /orders/{id}"));
    assert!(span.is_closed);
}

#[tokio::test]
async fn hostile_fields_stay_values() {
    let spans = Spans::default();
    let _guard = spans.start();
    let (_running, address) = traced(crate::support::hello).await;
    let request =
        b"GET /%0a%1b?x=\"><script> HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\x80\" trace_id=1\r\n\r\n";
    let mut client = Client::tcp(address).await;
    client.send(request).await;
    client.rest().await;
    // `<` in a target is refused before there is a request.
    assert!(spans.all().is_empty());
    let mut client = Client::tcp(address).await;
    client.send(b"GET /%0a%1b?x=' HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\x80\" trace_id=1\r\n\r\n").await;
    client.response().await;
    let span = spans.one();
    assert_eq!((span.field("url.path"), span.field("url.query")), ("/%0a%1b", "x=REDACTED"));
    assert_eq!(span.field("user_agent.original"), "\u{fffd}\u{fffd}\" trace_id=1");
    assert_eq!(span.field("trace_id").len(), 32);
}

#[tokio::test]
async fn texts_from_outside_are_cut() {
    let spans = Spans::default();
    let _guard = spans.start();
    let app = async |_: Request<Body>| {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(HttpRoute::new(format!("/{}", "ä".repeat(2000))));
        response
    };
    let (_running, address) = traced(app).await;
    let long = "x".repeat(2000);
    let request = format!(
        "{} /{long}?{} HTTP/1.1\r\nHost: {long}\r\nUser-Agent: {long}\r\n\r\n",
        "M".repeat(1500),
        "q=&".repeat(700)
    );
    Client::tcp(address).await.exchange(&request).await;
    let span = spans.one();
    for name in
        ["url.path", "url.query", "user_agent.original", "http.request.method_original", "server.address"]
    {
        assert_eq!(span.field(name).len(), 1024, "{name}");
    }
    assert_eq!(span.field("http.route").len(), 1023, "no character is divided");
    assert!(span.field("otel.name").len() < 1100);
}
