//! How long a span lasts, and how it ends.

use http::{Request, Response};
use server_abstractions::Body;

use super::{Spans, traced};
use crate::support::{Client, Http2, channel, data, frames, soon, status, until};

#[tokio::test]
async fn a_span_lasts_until_the_body_has_ended() {
    let spans = Spans::default();
    let _guard = spans.start();
    let (sender, body) = channel();
    let body = std::sync::Mutex::new(Some(body));
    let body = std::sync::Arc::new(body);
    let app = move |_: Request<Body>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    };
    let (_running, address) = traced(app).await;
    let mut client = Client::tcp(address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut sender = sender;
    soon(sender.send_data("one".into())).await.unwrap();
    client.take_until("one").await;
    let span = spans.one();
    assert_eq!(span.field("http.response.status_code"), "200");
    assert!(!span.is_closed, "the body goes on");
    drop(sender);
    until(|| spans.one().is_closed).await;
    assert!(!spans.one().has("error.type"), "{:#?}", spans.one());
}

#[tokio::test]
async fn a_body_that_fails_and_a_client_that_leaves_are_errors() {
    let spans = Spans::default();
    let _guard = spans.start();
    let app = async |request: Request<Body>| match request.uri().path() {
        "/fails" => Response::new(frames([data("a"), Err("broken".into())])),
        "/endless" => Response::new(crate::support::endless(b"more")),
        _ => std::future::pending().await,
    };
    let (_running, address) = traced(app).await;
    let mut client = Client::tcp(address).await;
    client.send("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.rest().await;
    until(|| spans.all().last().is_some_and(|span| span.is_closed)).await;
    let span = spans.all().pop().unwrap();
    assert_eq!(span.field("error.type"), "error_after_starting_response");
    assert_eq!((span.field("otel.status_code"), span.field("http.response.status_code")), ("ERROR", "200"));

    for path in ["/endless", "/never"] {
        let mut client = Client::tcp(address).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let is_begun = || spans.all().last().is_some_and(|span| span.field("url.path") == path);
        until(is_begun).await;
        drop(client);
        until(|| spans.all().last().is_some_and(|span| span.is_closed)).await;
        let span = spans.all().pop().unwrap();
        assert!(["aborted", "connection_reset"].contains(&span.field("error.type")), "{span:#?}");
        assert_eq!(span.field("otel.status_code"), "ERROR");
        assert_eq!(span.has("http.response.status_code"), path == "/endless");
    }
}

#[tokio::test]
async fn statuses_are_errors_from_500_on() {
    let spans = Spans::default();
    let _guard = spans.start();
    let app =
        async |request: Request<Body>| status(request.uri().path().trim_start_matches('/').parse().unwrap());
    let (_running, address) = traced(app).await;
    let mut client = Client::tcp(address).await;
    for code in [200, 204, 304, 404, 499, 500, 503, 599] {
        assert_eq!(client.get(&format!("/{code}")).await.status, code);
        let span = spans.all().pop().unwrap();
        assert!(span.is_closed, "{code}");
        let error = (code >= 500).then(|| (code.to_string(), "ERROR".to_owned()));
        let told = span.fields.get("error.type").cloned().zip(span.fields.get("otel.status_code").cloned());
        assert_eq!(told, error);
    }
}

#[tokio::test]
async fn what_happens_for_a_request_happens_in_its_span() {
    let spans = Spans::default();
    let _guard = spans.start();
    let app = async |_: Request<Body>| {
        tracing::info!("in the handler");
        tokio::task::yield_now().await;
        tracing::info!("after a while");
        let mut count = 0;
        Response::new(frames(std::iter::from_fn(move || {
            count += 1;
            tracing::info!("in the body");
            (count < 3).then(|| data("x"))
        })))
    };
    let (_running, address) = traced(app).await;
    let mut client = Client::tcp(address).await;
    assert_eq!(client.get("/").await.text(), "xx");
    let events = spans.one().events;
    assert_eq!(events[..3], ["in the handler", "after a while", "in the body"], "{events:?}");
    tracing::info!("outside");
    assert!(!spans.one().events.contains(&"outside".to_owned()));
}

#[tokio::test]
async fn requests_of_http_2_have_spans_of_their_own() {
    let spans = Spans::default();
    let _guard = spans.start();
    let (_running, address) = traced(crate::support::echo).await;
    let client = Http2::new(tokio::net::TcpStream::connect(address).await.unwrap()).await;
    let (one, two) = tokio::join!(client.post("/one", "1"), client.post("/two", "22"));
    assert_eq!((one.body, two.body), ("1".into(), "22".into()));
    until(|| spans.all().iter().all(|span| span.is_closed)).await;
    let spans = spans.all();
    let mut paths: Vec<_> = spans.iter().map(|span| span.field("url.path")).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/one", "/two"]);
    for span in &spans {
        assert_eq!(span.field("network.protocol.version"), "2");
        assert!(span.has("server.address") && !span.has("error.type"), "{span:#?}");
    }
}
