//! The sample `operations`: a scrape, an export, and streams that end at once when it stops.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Request;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use server_abstractions::Body;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use crate::program::{Launch, curl};
use crate::support::{Client, soon, start_on_tcp, status};

fn operations() -> Launch {
    Launch::of("operations").file("orders.json", r#"[{ "id": 7, "item": "lamp", "count": 1 }]"#).args([
        "--Kestrel:Endpoints:Private:Url",
        "http://127.0.0.1:0",
        "--Metrics:Enabled",
        "true",
    ])
}

/// Prometheus' text format, line by line: names with labels, and values.
fn parse(text: &str) -> BTreeMap<(String, BTreeMap<String, String>), f64> {
    let mut kinds = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kinds.insert(name.to_owned(), kind.to_owned()), None, "{name} comes twice");
            continue;
        }
        if line.starts_with("# HELP ") || line.is_empty() {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let is_known = kinds.keys().any(|kind| name == kind || name.starts_with(&format!("{kind}_")));
        assert!(is_known, "{name} has no type");
        let is_name =
            |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
        assert!(is_name(name), "{name}");
        let mut of = BTreeMap::new();
        let mut rest = labels;
        while let Some((key, value)) = rest.trim_start_matches(',').split_once("=\"") {
            assert!(is_name(key), "{key}");
            // None of them has a quote in it.
            let (value, behind) = value.split_once('"').unwrap();
            of.insert(key.to_owned(), value.to_owned());
            rest = behind;
        }
        assert_eq!(rest, "}", "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("{line:?}"));
        assert_eq!(samples.insert((name.to_owned(), of), value), None, "{line} comes twice");
    }
    samples
}

#[tokio::test]
async fn a_scrape_tells_what_has_happened() {
    let program = operations().start().await;
    let mut client = Client::tcp(program.address()).await;
    for _ in 0..3 {
        client.get("/orders/7").await;
    }
    let answer = curl([program.url("/metrics").as_str()]).await;
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{answer:?}");
    let samples = parse(answer.text());
    let find = |name: &str, wanted: &[(&str, &str)]| {
        let mut found = samples.iter().filter(|((other, labels), _)| {
            other == name
                && wanted.iter().all(|(key, value)| labels.get(*key).is_some_and(|own| own == value))
        });
        *found.next().unwrap_or_else(|| panic!("{name} {wanted:?} is not in {samples:#?}")).1
    };
    let port = program.address().port().to_string();
    let order =
        [("http_route", "/orders/{id}"), ("http_response_status_code", "200"), ("url_scheme", "http")];
    assert_eq!(find("http_server_request_duration_seconds_count", &order), 3.0);
    // The scrape is under way itself, on the second connection.
    assert_eq!(find("http_server_active_requests", &[("http_request_method", "GET")]), 1.0);
    assert_eq!(find("kestrel_active_connections", &[("server_port", &port), ("network_type", "ipv4")]), 2.0);
    assert_eq!(find("kestrel_queued_connections", &[("server_port", &port)]), 0.0);
    assert_eq!(find("target_info", &[("service_name", "operations")]), 1.0);
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn metrics_are_exported_to_a_collector_also_at_the_end() {
    let (send, mut received) = unbounded_channel();
    let collector = move |request: Request<Body>| {
        let send = send.clone();
        async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            send.send((head, ExportMetricsServiceRequest::decode(bytes).unwrap())).unwrap();
            status(200)
        }
    };
    let (_running, address) = start_on_tcp(collector).await;
    let program = operations().env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")).start().await;
    curl([program.url("/orders/7").as_str()]).await;
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    let (head, export) = soon(received.recv()).await.unwrap();
    assert_eq!((head.method.as_str(), head.uri.path()), ("POST", "/v1/metrics"));
    assert_eq!(head.headers["content-type"], "application/x-protobuf");
    let scopes = export.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let metrics: BTreeMap<_, _> =
        scopes.flat_map(|scope| &scope.metrics).map(|metric| (&*metric.name, metric)).collect();
    let duration = metrics["http.server.request.duration"];
    let Some(Data::Histogram(histogram)) = &duration.data else { panic!("{duration:?}") };
    assert_eq!((duration.unit.as_str(), histogram.data_points[0].count), ("s", 1));
    let connections = metrics["kestrel.connection.duration"];
    let Some(Data::Histogram(histogram)) = &connections.data else { panic!("{connections:?}") };
    assert_eq!(histogram.data_points[0].explicit_bounds.len(), 14);
    let active = metrics["kestrel.active_connections"];
    let Some(Data::Sum(sum)) = &active.data else { panic!("{active:?}") };
    assert!(!sum.is_monotonic);
}

#[tokio::test]
async fn streams_end_at_once_when_it_stops() {
    let program = operations().start().await;
    let mut events = Client::tcp(program.address()).await;
    events.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await;
    events.take_until("data: 0").await;
    let mut poll = Client::tcp(program.address()).await;
    poll.send("GET /poll HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut socket = Client::tcp(program.address()).await;
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    let upgrade = format!(
        "GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n"
    );
    assert_eq!(socket.exchange(&upgrade).await.status, 101);
    // The poll has arrived once another request is answered.
    Client::tcp(program.address()).await.get("/").await;
    let begun = Instant::now();
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
    assert_eq!(poll.response().await.status, 503);
    let rest = events.rest().await;
    assert!(rest.windows(8).any(|bytes| bytes == b"stopping"), "{rest:?}");
    // A close frame with the code 1001.
    let close = socket.rest().await;
    assert_eq!(close[..4], [0x88, close[1], 0x03, 0xe9], "{close:?}");
}
