//! Those of requests.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hosting::{HttpMetricsLayer, HttpMetricsOptions, HttpMetricsTags, HttpRoute, MatchedRouteLayer};
use http::{Request, Response};
use http_body_util::BodyExt;
use opentelemetry::KeyValue;
use server_abstractions::{App, Body};
use tower_layer::Layer;

use super::{Collected, Series, described, map};
use crate::support::{Client, Memory, channel, data, frames, manual, soon, start_on_tcp, status, until};

const DURATION: &str = "http.server.request.duration";
const ACTIVE: &str = "http.server.active_requests";

/// A service with metrics around it.
fn measured(collected: &Collected, app: App) -> App {
    App::new(HttpMetricsLayer::new(&collected.meter(), &HttpMetricsOptions::default()).layer(app))
}

/// The durations, once there are so many measurements.
async fn durations(collected: &Collected, count: u64) -> Vec<Series> {
    until(|| collected.of(DURATION).iter().map(|series| series.count).sum::<u64>() >= count).await;
    collected.of(DURATION)
}

fn active(collected: &Collected) -> i64 {
    collected.of(ACTIVE).iter().map(|series| series.value).sum()
}

async fn answers(request: Request<Body>) -> Response<Body> {
    match request.uri().path() {
        "/error" => status(503),
        "/route" => {
            let mut response = status(200);
            response.extensions_mut().insert(HttpRoute::new("/{name}"));
            response
        }
        "/tags" => {
            let mut response = status(200);
            let tags = vec![KeyValue::new("shop.kind", "book"), KeyValue::new("url.scheme", "mine")];
            response.extensions_mut().insert(HttpMetricsTags { tags, is_disabled: false });
            response
        }
        "/secret" => {
            let mut response = status(200);
            response
                .extensions_mut()
                .insert(HttpMetricsTags { is_disabled: true, ..HttpMetricsTags::default() });
            response
        }
        "/missing" => status(404),
        _ => Response::new(Body::from("hello")),
    }
}

/// Attributes of a request over HTTP/1.1 in cleartext.
fn of(method: &str, status: &str, more: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let own = [
        ("url.scheme", "http"),
        ("http.request.method", method),
        ("http.response.status_code", status),
        ("network.protocol.version", "1.1"),
    ];
    map(&[&own[..], more].concat())
}

#[tokio::test]
async fn both_instruments_are_as_the_conventions_say() {
    let collected = Collected::start();
    let server = Memory::start(measured(&collected, App::new(answers))).await;
    let mut client = server.client().await;
    for path in ["/", "/error", "/route"] {
        client.get(path).await;
    }
    let all = collected.collect();
    let described = described(&all);
    let kinds = ["url.scheme", "http.request.method"];
    assert_eq!(described[ACTIVE], ("up-down counter", "{request}", BTreeSet::from(kinds)));
    let mut keys = BTreeSet::from(kinds);
    keys.extend(["http.response.status_code", "http.route", "network.protocol.version", "error.type"]);
    assert_eq!(described[DURATION], ("histogram", "s", keys));
    let short = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    assert_eq!(collected.of(DURATION)[0].bounds, short);
}

#[tokio::test]
async fn a_request_is_told_by_what_came_of_it() {
    let collected = Collected::start();
    let server = Memory::start(measured(&collected, App::new(answers))).await;
    let mut client = server.client().await;
    let ask = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/missing"),
        ("GET", "/error"),
        ("GET", "/route"),
        ("GET", "/tags"),
        ("GET", "/secret"),
        ("BREW", "/"),
        ("get", "/"),
        ("DELETE", "/"),
    ] {
        client.exchange(&ask(method, path)).await;
    }
    client.send(ask("HEAD", "/")).await;
    client.response_to_head().await;
    let told: Vec<_> =
        durations(&collected, 9).await.into_iter().map(|series| (series.attributes, series.count)).collect();
    let expected = [
        (of("GET", "200", &[]), 1),
        (of("GET", "404", &[]), 1),
        (of("GET", "503", &[("error.type", "503")]), 1),
        (of("GET", "200", &[("http.route", "/{name}")]), 1),
        (of("GET", "200", &[("shop.kind", "book")]), 1),
        (of("_OTHER", "200", &[]), 2),
        (of("DELETE", "200", &[]), 1),
        (of("HEAD", "200", &[]), 1),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for one in expected {
        assert!(told.contains(&one), "{one:?} is not in {told:#?}");
    }
    assert_eq!(active(&collected), 0);
}

#[tokio::test]
async fn a_request_is_active_until_its_body_has_ended() {
    let collected = Collected::start();
    let (app, mut calls) = manual();
    let server = Memory::start(measured(&collected, app)).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let call = soon(calls.recv()).await.unwrap();
    assert_eq!(active(&collected), 1);
    let (mut sender, body) = channel();
    call.answer(Response::new(body));
    sender.send_data("half".into()).await.unwrap();
    client.take_until("half\r\n").await;
    assert_eq!((active(&collected), collected.of(DURATION).len()), (1, 0));
    drop(sender);
    assert_eq!(durations(&collected, 1).await[0].attributes, of("GET", "200", &[]));
    assert_eq!(active(&collected), 0);
    assert_eq!(
        collected.of(ACTIVE)[0].attributes,
        map(&[("url.scheme", "http"), ("http.request.method", "GET")])
    );
}

#[tokio::test]
async fn what_goes_wrong_has_a_reason() {
    // The client goes before there is an answer.
    let collected = Collected::start();
    let (app, mut calls) = manual();
    let server = Memory::start(measured(&collected, app)).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let _call = soon(calls.recv()).await.unwrap();
    drop(client);
    server.running.stop(std::future::ready(())).await;
    let mut aborted = of("GET", "", &[("error.type", "aborted")]);
    aborted.remove("http.response.status_code");
    assert_eq!(durations(&collected, 1).await[0].attributes, aborted);
    assert_eq!(active(&collected), 0);

    // The body fails; the client goes in the middle of it.
    let collected = Collected::start();
    let app = async |request: Request<Body>| match request.uri().path() {
        "/fails" => Response::new(frames([data("half"), Err("a fault".into())])),
        _ => Response::new(crate::support::endless(&[b'x'; 10_000])),
    };
    let server = Memory::start(measured(&collected, App::new(app))).await;
    let mut client = server.client().await;
    client.send("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.rest().await;
    let failed = of("GET", "200", &[("error.type", "error_after_starting_response")]);
    assert_eq!(durations(&collected, 1).await[0].attributes, failed);
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.take(1000).await;
    drop(client);
    let aborted = of("GET", "200", &[("error.type", "aborted")]);
    let told = durations(&collected, 2).await;
    assert!(told.iter().any(|series| series.attributes == aborted), "{told:#?}");
    assert_eq!(active(&collected), 0);
}

#[tokio::test(start_paused = true)]
async fn a_duration_is_that_of_the_request() {
    let collected = Collected::start();
    let app = async |_: Request<Body>| {
        tokio::time::sleep(Duration::from_secs(3)).await;
        status(200)
    };
    let server = Memory::start(measured(&collected, App::new(app))).await;
    server.client().await.get("/").await;
    let told = durations(&collected, 1).await;
    assert!((3.0..3.1).contains(&told[0].sum), "{told:?}");
}

#[tokio::test]
async fn over_http_2() {
    let collected = Collected::start();
    let server = Memory::start(measured(&collected, App::new(answers))).await;
    let client = server.http2().await;
    assert_eq!(client.get("/").await.body, "hello");
    assert_eq!(client.get("/missing").await.status, 404);
    let told = durations(&collected, 2).await;
    for (series, status) in told.iter().zip(["200", "404"]) {
        assert_eq!(series.attributes["network.protocol.version"], "2", "{series:?}");
        assert!(
            told.iter().any(|series| series.attributes["http.response.status_code"] == status),
            "{told:?}"
        );
    }
    assert_eq!(active(&collected), 0);
}

/// The layer and the route as they are used with axum, under this server and under its own.
#[tokio::test]
async fn routes_of_axum_are_told_under_any_server() {
    let hello = async || Ok::<_, Infallible>("hello");
    let router = |collected: &Collected| {
        Router::new()
            .route("/orders/{id}", get(hello))
            .layer(MatchedRouteLayer::new())
            .layer(HttpMetricsLayer::new(&collected.meter(), &HttpMetricsOptions::default()))
    };
    let ours = Collected::start();
    let (_running, our_address) = start_on_tcp(router(&ours)).await;
    let axums = Collected::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router(&axums);
    let _server = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(async move {
        axum::serve(listener, service).await
    }));
    for (collected, address) in [(&ours, our_address), (&axums, address)] {
        let mut client = Client::tcp(address).await;
        client.get("/orders/7").await;
        client.get("/orders/8").await;
        client.get("/nowhere").await;
        let told: Vec<_> = durations(collected, 3)
            .await
            .into_iter()
            .map(|series| (series.attributes, series.count))
            .collect();
        assert!(told.contains(&(of("GET", "200", &[("http.route", "/orders/{id}")]), 2)), "{told:#?}");
        assert!(told.contains(&(of("GET", "404", &[]), 1)), "{told:#?}");
    }
}

/// A body of a request is nothing to the layer.
#[tokio::test]
async fn bodies_pass_through() {
    let collected = Collected::start();
    let app = async |request: Request<Body>| {
        Response::new(Body::from(request.into_body().collect().await.unwrap().to_bytes()))
    };
    let server = Memory::start(measured(&collected, App::new(app))).await;
    let mut client = server.client().await;
    let answer = client.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody").await;
    assert_eq!(answer.text(), "body");
}
