//! Why connections end, as the layers around them and the log are told.

mod everywhere;
mod http2;
mod transport;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use server_abstractions::{
    Body, Connection, ConnectionEndFeature, ConnectionLifetimeFeature, HttpRequestLifetimeFeature,
    IntoService, Next, RequestFeatures, from_fn,
};
use server_kestrel::{Endpoint, HttpProtocols, KestrelMetrics, KestrelMetricsOptions, KestrelOptions};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::metrics::{Collected, Series};
use crate::support::{Client, Memory, count, endless, hello, status, within};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a connection ended for; `None` is a good end.
type Reason = Option<&'static str>;

/// Tells why each connection of the endpoint ended, once the services within have done.
fn watched(endpoint: Endpoint) -> (Endpoint, UnboundedReceiver<Reason>) {
    let (send, ends) = unbounded_channel();
    let layer = from_fn(move |connection: Connection, next: Next| {
        let send = send.clone();
        let end = connection.features.get::<dyn ConnectionEndFeature>().unwrap();
        async move {
            let result = next.run(connection).await;
            send.send(end.error_type()).unwrap_or_default();
            result
        }
    });
    (endpoint.layer(layer), ends)
}

/// A server in memory that tells why its connections ended.
struct Watched {
    server: Memory,
    ends: UnboundedReceiver<Reason>,
    metrics: Collected,
    /// How many connections have ended, and for what, as far as that was asked for.
    ended: u64,
    told: BTreeMap<Reason, u64>,
    events: Events,
    _events: tracing::subscriber::DefaultGuard,
}

impl Watched {
    async fn start<M>(app: impl IntoService<M>) -> Self {
        Self::start_with(|_| (), |endpoint| endpoint, app).await
    }

    async fn start_with<M>(
        change: impl FnOnce(&mut KestrelOptions),
        change_endpoint: impl FnOnce(Endpoint) -> Endpoint,
        app: impl IntoService<M>,
    ) -> Self {
        let mut receiver = None;
        let events = Events::default();
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(events.clone()));
        let watch = |options: &mut KestrelOptions| {
            let (endpoint, ends) = watched(options.endpoints.remove(0));
            receiver = Some(ends);
            options.endpoints.insert(0, change_endpoint(endpoint));
            change(options);
        };
        let metrics = Collected::start();
        let observer = KestrelMetrics::new(&metrics.meter(), &KestrelMetricsOptions::default());
        let server = Memory::start_observed(watch, [Arc::new(observer) as _], app).await;
        Self {
            server,
            ends: receiver.unwrap(),
            metrics,
            ended: 0,
            told: BTreeMap::new(),
            events,
            _events: guard,
        }
    }

    /// Why the next connection ends. The metrics say the same.
    async fn end(&mut self) -> Reason {
        let reason = within(DAY, self.ends.recv()).await.unwrap();
        self.measured(reason).await;
        reason
    }

    /// There is one connection more whose duration was recorded, with this reason, and none that is still counted.
    async fn measured(&mut self, reason: Reason) {
        let is_counted = |series: &Series| series.name == "kestrel.connection.duration";
        let ended =
            |metrics: &Collected| metrics.collect().into_iter().filter(is_counted).collect::<Vec<_>>();
        let total = |ended: &[Series]| ended.iter().map(|series| series.count).sum::<u64>();
        // Those that were told before.
        while total(&ended(&self.metrics)) < self.ended + 1 {
            tokio::task::yield_now().await;
        }
        self.ended += 1;
        let of = |series: &&Series| series.attributes.get("error.type").map(String::as_str) == reason;
        let told = ended(&self.metrics).iter().filter(of).map(|series| series.count).sum();
        let before = self.told.insert(reason, told).unwrap_or_default();
        assert_eq!(told, before + 1, "{reason:?}: {:#?}", ended(&self.metrics));
    }

    /// Sends these bytes on a connection and returns why it ended, and the events that tell of it.
    async fn reason_of(&mut self, bytes: impl AsRef<[u8]>) -> Reason {
        let mut client = self.server.client().await;
        let _ = client.try_send(bytes).await;
        within(DAY, client.rest_whenever()).await;
        self.end().await
    }

    /// The connection is refused for this reason, and one event says so.
    async fn refuses(&mut self, bytes: impl AsRef<[u8]>, reason: &'static str) {
        let shown = bytes.as_ref()[..bytes.as_ref().len().min(100)].escape_ascii().to_string();
        self.events.take();
        assert_eq!(self.reason_of(bytes).await, Some(reason), "{shown}");
        self.events.tell_once(reason);
    }
}

/// The events with a reason, field by field.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

impl Events {
    fn take(&self) -> Vec<BTreeMap<&'static str, String>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// There is one event that names a reason, which is this, and the peer.
    #[track_caller]
    fn tell_once(&self, reason: &str) {
        let events = self.take();
        let [event] = &events[..] else { panic!("{} events: {events:#?}", events.len()) };
        assert_eq!(event.get("error.type").map(String::as_str), Some(reason), "{event:?}");
        // In memory there is no address of a peer.
        assert!(event.contains_key("connection"), "{event:?}");
    }
}

impl<S: tracing::Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Fields(BTreeMap<&'static str, String>);
        impl Visit for Fields {
            fn record_str(&mut self, field: &Field, value: &str) {
                self.0.insert(field.name(), value.to_owned());
            }

            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                self.0.insert(field.name(), format!("{value:?}"));
            }
        }
        let mut fields = Fields(BTreeMap::new());
        event.record(&mut fields);
        if fields.0.contains_key("error.type") || fields.0.contains_key("reason") {
            self.0.lock().unwrap().push(fields.0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn heads_that_are_refused() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let set = |endpoint: Endpoint| endpoint.protocols(protocols);
        let mut server = Watched::start_with(|_| (), set, hello).await;
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8192));
        let large = format!("GET / HTTP/1.1\r\nHost: a\r\nName: {}\r\n\r\n", "x".repeat(32_768));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "Name: a\r\n".repeat(101));
        for (head, reason) in [
            ("GET\r\nHost: a\r\n\r\n", "invalid_request_line"),
            ("GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", "invalid_request_line"),
            ("GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", "invalid_request_line"),
            (&long, "invalid_request_line"),
            ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", "invalid_http_version"),
            ("GET / HTTP/1.1\r\n\r\n", "invalid_request_headers"),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "invalid_request_headers"),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "invalid_request_headers"),
            ("GET / HTTP/1.1\r\nHost: a\r\nName\r\n\r\n", "invalid_request_headers"),
            (&large, "max_request_headers_total_size_exceeded"),
            (&many, "max_request_header_count_exceeded"),
            ("\x16\x03\x01\0\r\n", "tls_not_supported"),
        ] {
            server.refuses(head, reason).await;
            // Behind a good one as well.
            server.refuses(format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{head}"), reason).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_speaks_http_2_where_there_is_none() {
    let set = |endpoint: Endpoint| endpoint.protocols(HttpProtocols::Http1);
    let mut server = Watched::start_with(|_| (), set, hello).await;
    server.refuses(crate::support::PREFACE, "invalid_http_version").await;
}

fn post(rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{rest}")
}

#[tokio::test(start_paused = true)]
async fn bodies_that_are_refused() {
    let set = |options: &mut KestrelOptions| options.limits.max_request_body_size = Some(5);
    let mut server = Watched::start_with(set, |endpoint| endpoint, count).await;
    for (rest, reason) in [
        ("Content-Length: 6\r\n\r\nabcdef", "max_request_body_size_exceeded"),
        ("Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n", "max_request_body_size_exceeded"),
        ("Transfer-Encoding: chunked\r\n\r\nx\r\n", "invalid_request_body"),
        ("Transfer-Encoding: chunked\r\n\r\n1\r\nab", "invalid_request_body"),
        ("Transfer-Encoding: chunked\r\n\r\n0\r\nName\r\n\r\n", "invalid_request_body"),
        ("Content-Length: 5\r\n\r\nabc", "min_request_body_data_rate"),
    ] {
        server.refuses(post(rest), reason).await;
    }
    let trailers = "Name: value\r\n".repeat(100);
    let rest = format!("Transfer-Encoding: chunked\r\n\r\n0\r\n{trailers}\r\n");
    server.refuses(post(&rest), "max_request_headers_total_size_exceeded").await;
}

#[tokio::test]
async fn a_client_that_goes_in_the_middle_of_its_body() {
    let mut server = Watched::start(count).await;
    for rest in ["Content-Length: 5\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n5\r\nabc"] {
        let mut client = server.server.client().await;
        client.send(post(rest)).await;
        client.finish_sending().await;
        client.rest().await;
        assert_eq!(server.end().await, Some("unexpected_end_of_request_content"), "{rest}");
    }
}

#[tokio::test(start_paused = true)]
async fn times_that_are_over() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let mut server = Watched::start_with(|_| (), |endpoint| endpoint.protocols(protocols), hello).await;
        for (bytes, reason) in [
            ("", "keep_alive_timeout"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "keep_alive_timeout"),
            ("GET / HT", "request_headers_timeout"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT", "request_headers_timeout"),
            ("PRI * H", "request_headers_timeout"),
        ] {
            assert_eq!(server.reason_of(bytes).await, Some(reason), "{protocols:?} {bytes:?}");
            let told = server.events.take();
            assert_eq!(told.len(), usize::from(reason != "keep_alive_timeout"), "{bytes:?} {told:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken() {
    let app = |_: Request<Body>| async { Response::new(endless(&[b'x'; 10_000])) };
    let mut server = Watched::start(app).await;
    let mut client = server.server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(server.end().await, Some("min_response_data_rate"));
    server.events.tell_once("min_response_data_rate");
}

#[tokio::test]
async fn the_app_ends_it() {
    let app = |request: Request<Body>| async move {
        let features = request.features();
        match request.uri().path() {
            "/connection" => features.get::<dyn ConnectionLifetimeFeature>().unwrap().abort(),
            _ => features.get::<dyn HttpRequestLifetimeFeature>().unwrap().abort(),
        }
        std::future::pending::<Response<Body>>().await
    };
    let mut server = Watched::start(app).await;
    for path in ["/connection", "/request"] {
        server.refuses(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"), "aborted_by_app").await;
    }
}

#[tokio::test]
async fn the_server_stops_and_waits_no_longer() {
    let (app, mut calls) = crate::support::manual();
    let Watched { server, mut ends, events, _events, .. } = Watched::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let _call = calls.recv().await.unwrap();
    server.running.stop(std::future::ready(())).await;
    assert_eq!(within(DAY, ends.recv()).await, Some(Some("app_shutdown_timeout")));
    events.tell_once("app_shutdown_timeout");
}

/// An answer, and then a good end.
async fn ends_well(server: &mut Watched, client: &mut Client) {
    within(DAY, client.rest_whenever()).await;
    assert_eq!(server.end().await, None);
    assert_eq!(server.events.take().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn good_ends_have_no_reason() {
    let set = |options: &mut KestrelOptions| {
        options.limits.max_requests_per_connection = Some(2);
        options.limits.max_connection_age = Some(Duration::from_secs(60));
    };
    let app = |request: Request<Body>| async move {
        if request.uri().path() == "/close" {
            request.features().get::<dyn ConnectionLifetimeFeature>().unwrap().request_close();
        }
        status(200)
    };
    let mut server = Watched::start_with(set, |endpoint| endpoint, app).await;
    for sent in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /close HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // It grows too old.
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = server.server.client().await;
        client.send(sent).await;
        assert_eq!(client.response().await.status, 200);
        ends_well(&mut server, &mut client).await;
    }
    // The client goes, without a request and after one.
    for sent in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let mut client = server.server.client().await;
        client.send(sent).await;
        crate::support::settle().await;
        client.finish_sending().await;
        ends_well(&mut server, &mut client).await;
    }
}
