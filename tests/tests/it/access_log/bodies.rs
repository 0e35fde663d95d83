//! When a line is written, and what it says of the bodies.

use hosting::{AccessLogField as Field, Body, Request, Response};
use http_body_util::BodyExt;

use super::Logged;
use crate::support::{Memory, channel, count, data, endless, frames, hello, manual, soon, status, trailers};
use crate::upgrade::{UPGRADE, by_feature};

const TOLD: [Field; 5] =
    [Field::Method, Field::ProtocolStatus, Field::ResponseBytes, Field::RequestBytes, Field::ErrorType];

#[tokio::test]
async fn the_bytes_of_both_bodies_are_counted() {
    let log = Logged::of(&TOLD);
    let server = Memory::start(log.around(count)).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1234\r\n\r\n").await;
    client.send([b'x'; 1234]).await;
    assert_eq!(client.response().await.body, "1234");
    client.exchange("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n2\r\nfg\r\n0\r\n\r\n").await;
    client.get("/").await;
    assert_eq!(log.lines(3).await, ["POST 200 4 1234 -", "POST 200 1 7 -", "GET 200 1 0 -"]);
}

#[tokio::test]
async fn a_stream_is_told_when_it_has_ended_and_with_all_its_bytes() {
    for is_http2 in [false, true] {
        let log = Logged::of(&TOLD);
        let (sender, body) = channel();
        let body = std::sync::Mutex::new(Some(body));
        let body = std::sync::Arc::new(body);
        let app = move |_: Request<Body>| {
            std::future::ready(Response::new(body.lock().unwrap().take().unwrap_or_default()))
        };
        let server = Memory::start(log.around(app)).await;
        let mut sender = sender;
        let exchange = async {
            if is_http2 {
                assert_eq!(server.http2().await.get("/").await.body.len(), 11);
            } else {
                assert_eq!(server.client().await.get("/").await.body.len(), 11);
            }
        };
        let sending = async {
            soon(sender.send_data("Hello, ".into())).await.unwrap();
            crate::support::settle().await;
            log.log.flush().await;
            assert_eq!(log.log.written_lines(), 0, "it has not ended");
            soon(sender.send_data("Ada!".into())).await.unwrap();
            drop(sender);
        };
        tokio::join!(exchange, sending);
        assert_eq!(log.line().await, "GET 200 11 0 -");
    }
}

#[tokio::test]
async fn a_body_that_ends_in_trailers_or_has_a_declared_length_has_a_good_end() {
    for is_declared in [false, true] {
        let log = Logged::of(&TOLD);
        let app = async move |_: Request<Body>| {
            let response = Response::builder();
            if is_declared {
                return response.header("content-length", 4).body(frames([data("ab"), data("cd")])).unwrap();
            }
            response.body(frames([data("ab"), data("cd"), trailers(&[("x-t", "1")])])).unwrap()
        };
        let server = Memory::start(log.around(app)).await;
        assert_eq!(server.client().await.get("/").await.body, "abcd");
        assert_eq!(server.http2().await.get("/").await.body, "abcd");
        assert_eq!(log.lines(2).await, ["GET 200 4 0 -", "GET 200 4 0 -"], "{is_declared}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_has_a_good_end_and_no_bytes() {
    let log = Logged::of(&TOLD);
    let app = async |request: Request<Body>| match request.uri().path() {
        "/304" => status(304),
        _ => Response::new(frames([data("never sent")])),
    };
    let server = Memory::start(log.around(app)).await;
    let mut client = server.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response_to_head().await;
    client.get("/304").await;
    assert_eq!(log.lines(2).await, ["HEAD 200 0 0 -", "GET 304 0 0 -"]);
}

#[tokio::test]
async fn an_upgrade_is_told_when_it_is_accepted() {
    let log = Logged::of(&TOLD);
    let server = Memory::start(log.around(by_feature)).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(UPGRADE).await.status, 101);
    assert_eq!(log.line().await, "GET 101 0 0 -");
    client.send("x").await;
    assert_eq!(client.take(1).await, "X");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_has_a_line_without_a_status() {
    let log = Logged::of(&TOLD);
    let (app, mut calls) = manual();
    let server = Memory::start(log.around(app)).await;
    let http2 = server.http2().await;
    let request = Request::get("http://a/").body(()).unwrap();
    let (response, mut stream) = http2.send(request, true).await;
    let mut call = soon(calls.recv()).await.unwrap();
    stream.send_reset(h2::Reason::CANCEL);
    drop(response);
    call.dropped().await;
    assert_eq!(log.line().await, "GET - 0 0 aborted");
}

#[tokio::test]
async fn a_client_that_leaves_during_the_answer_has_a_line_with_a_reason() {
    let log = Logged::of(&[Field::ProtocolStatus, Field::ErrorType]);
    let server =
        Memory::start(log.around(async |_: Request<Body>| Response::new(endless(b"more and more")))).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.try_begin().await.unwrap();
    drop(client);
    let line = log.line().await;
    assert!(["200 connection_reset", "200 aborted"].contains(&line.as_str()), "{line}");
}

#[tokio::test]
async fn a_body_of_the_application_that_fails_is_told() {
    let log = Logged::of(&TOLD);
    let app = async |_: Request<Body>| Response::new(frames([data("ab"), Err("on purpose".into())]));
    let server = Memory::start(log.around(app)).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.try_response().await.unwrap_err();
    assert_eq!(log.line().await, "GET 200 2 0 error_after_starting_response");
}

#[tokio::test]
async fn a_panic_of_the_application_is_a_500() {
    let log = Logged::of(&TOLD);
    let app = async |request: Request<Body>| -> Response<Body> { panic!("on purpose: {}", request.uri()) };
    let server = Memory::start(log.around(app)).await;
    server.client().await.get("/").await;
    assert_eq!(log.line().await, "GET 500 0 0 -");
}

/// Answers 500 to a body that cannot be read.
async fn stubborn(request: Request<Body>) -> Response<Body> {
    match request.into_body().collect().await {
        Ok(_) => hello(Request::new(Body::empty())).await,
        Err(_) => status(500),
    }
}

#[tokio::test]
async fn a_body_above_the_limit_has_one_line_with_the_status_that_the_client_sees() {
    let log = Logged::of(&TOLD);
    let server =
        Memory::start_with(|options| options.limits.max_request_body_size = Some(3), log.around(stubborn))
            .await;
    let response =
        server.client().await.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd").await;
    assert_eq!(response.status, 413);
    assert_eq!(server.http2().await.post("/", "abcd").await.status, 413);
    let expected = "POST 413 0 0 max_request_body_size_exceeded";
    assert_eq!(log.lines(2).await, [expected, expected]);
}

#[tokio::test]
async fn a_body_that_is_malformed_has_one_line_with_the_status_that_the_client_sees() {
    let log = Logged::of(&TOLD);
    let server = Memory::start(log.around(stubborn)).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n";
    assert_eq!(server.client().await.exchange(request).await.status, 400);
    assert_eq!(log.line().await, "POST 400 0 0 invalid_request_body");
}
