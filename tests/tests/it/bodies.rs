//! Request bodies of HTTP/1.1: trailers, `Expect: 100-continue`, limits, bodies that nobody reads or that break off.

use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt, LengthLimitError};
use server_abstractions::{
    Body, HttpMaxRequestBodySizeFeature, HttpRequestBodyDetectionFeature, HttpRequestTrailersFeature,
    RequestFeatures, TooLate,
};
use tokio::sync::Notify;

use crate::support::{Memory, channel, count, echo, hello, settle, status};

const WITH_TRAILERS: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
    3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n";

#[tokio::test]
async fn trailers_of_a_request_are_the_last_frame_of_its_body() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let body = request.into_body().collect().await.unwrap();
        let sum = body.trailers().map(|trailers| trailers["x-sum"].as_bytes().to_vec());
        Response::new(Body::from(sum.unwrap_or_default()))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(WITH_TRAILERS).await.text(), "7");
    assert_eq!(client.get("/").await.text(), "");
}

#[tokio::test]
async fn trailers_of_a_request_are_a_feature_once_the_body_is_read() {
    async fn app(mut request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpRequestTrailersFeature>().unwrap();
        let before = (feature.available(), feature.trailers());
        while request.body_mut().frame().await.is_some() {}
        let after = feature.trailers().map(|trailers| format!("{:?}", trailers.get("x-sum")));
        Response::new(Body::from(format!("{before:?} {} {after:?}", feature.available())))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(WITH_TRAILERS).await.text(), r#"(false, None) true Some("Some(\"7\")")"#);
    assert_eq!(client.get("/").await.text(), r#"(true, Some({})) true Some("None")"#);
}

const EXPECTS: &str = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";

#[tokio::test]
async fn a_client_is_told_to_continue_when_the_app_reads() {
    let read = Arc::new(Notify::new());
    let reads = read.clone();
    let server = Memory::start(move |request: Request<Body>| {
        let reads = reads.clone();
        async move {
            reads.notified().await;
            count(request).await
        }
    })
    .await;
    let mut client = server.client().await;
    client.send(EXPECTS).await;
    assert!(client.is_silent().await);
    read.notify_one();
    assert_eq!(client.response().await.head, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc").await;
    assert_eq!(client.response().await.text(), "3");
}

#[tokio::test]
async fn a_client_is_not_told_to_continue_when_the_app_does_not_read() {
    let server = Memory::start(|_: Request<Body>| async { status(403) }).await;
    let mut client = server.client().await;
    let answer = client.exchange(EXPECTS).await;
    assert_eq!(answer.status, 403);
    // Nobody knows whether the body still comes, and the client is told so.
    assert!(answer.head.contains("connection: close\r\n"), "{}", answer.head);
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_is_refused_is_not_told_to_continue_though_the_app_holds_the_body() {
    let held = Arc::new(std::sync::Mutex::new(Vec::new()));
    let holds = held.clone();
    let server = Memory::start(move |request: Request<Body>| {
        holds.lock().unwrap().push(request);
        async { status(401) }
    })
    .await;
    let mut client = server.client().await;
    let answer = client.exchange(EXPECTS).await;
    assert_eq!(answer.status, 401);
    assert!(answer.head.contains("connection: close\r\n"), "{}", answer.head);
    held.lock().unwrap().clear();
    client.closed().await;
}

#[tokio::test]
async fn the_last_expectation_counts() {
    let server = Memory::start(echo).await;
    let mut client = server.client().await;
    client.send(EXPECTS.replace("Expect:", "Expect: miracles\r\nExpect:")).await;
    assert_eq!(client.response().await.head, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc").await;
    client.take_until("abc").await;
}

/// The app answers before it reads, and reads while it answers.
async fn is_told_to_continue_before_the_answer(server: &Memory) {
    let mut client = server.client().await;
    client.send(EXPECTS).await;
    assert_eq!(client.response().await.head, "HTTP/1.1 100 Continue\r\n\r\n");
    // There are proxies that stall if both come in one piece.
    assert!(client.is_silent().await);
    client.send("abc").await;
    let head = client.take_until("\r\n\r\n").await;
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{head:?}");
    client.take_until("abc").await;
    // One that does not wait gets the same.
    let mut client = server.client().await;
    client.send([EXPECTS, "abc"].concat()).await;
    assert_eq!(client.response().await.status, 100);
    client.take_until("\r\n\r\n").await;
    client.take_until("abc").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_a_second_for_a_client_that_was_told_to_continue() {
    let server = Memory::start(echo).await;
    let mut client = server.client().await;
    client.send(EXPECTS).await;
    assert_eq!(client.response().await.status, 100);
    let told = tokio::time::Instant::now();
    client.take_until("HTTP/1.1 200 OK\r\n").await;
    client.take_until("\r\n\r\n").await;
    assert_eq!(told.elapsed().as_secs(), 1);
    client.send("abc").await;
    client.take_until("abc").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_a_body_that_is_dropped_meanwhile() {
    let server = Memory::start(|request: Request<Body>| async move {
        tokio::spawn(async move {
            settle().await;
            drop(request);
        });
        status(200)
    })
    .await;
    let mut client = server.client().await;
    client.send(EXPECTS).await;
    let began = tokio::time::Instant::now();
    assert_eq!(client.response().await.status, 100);
    assert_eq!(client.response().await.status, 200);
    assert!(began.elapsed().is_zero());
}

#[tokio::test]
async fn a_client_is_told_to_continue_before_an_answer_that_is_its_body() {
    is_told_to_continue_before_the_answer(&Memory::start(echo).await).await;
}

#[tokio::test]
async fn a_client_is_told_to_continue_before_an_answer_of_a_task_that_will_read() {
    let server = Memory::start(|request: Request<Body>| async move {
        let (mut sender, body) = channel();
        tokio::spawn(async move {
            // The answer has begun by then.
            settle().await;
            let body = request.into_body().collect().await.unwrap();
            let _ = sender.send_data(body.to_bytes()).await;
        });
        Response::new(body)
    })
    .await;
    is_told_to_continue_before_the_answer(&server).await;
}

#[tokio::test]
async fn nobody_is_told_to_continue_with_too_much_while_it_is_answered() {
    let server = Memory::start_with(|options| options.limits.max_request_body_size = Some(2), echo).await;
    let mut client = server.client().await;
    client.send(EXPECTS).await;
    assert!(!String::from_utf8_lossy(&client.rest().await).contains("100 Continue"));
}

#[tokio::test]
async fn a_client_that_announces_too_much_is_refused_before_it_continues() {
    let server = Memory::start_with(|options| options.limits.max_request_body_size = Some(2), count).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(EXPECTS).await.status, 413);
    client.closed().await;
}

#[tokio::test]
async fn other_expectations_are_ignored() {
    let server = Memory::start(echo).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(server.client().await.exchange(request).await.text(), "abc");
}

#[tokio::test]
async fn http_1_0_is_never_told_to_continue() {
    let server = Memory::start(echo).await;
    let request = "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    assert_eq!(server.client().await.exchange(request).await.status, 200);
}

fn limit_of_5(options: &mut server_kestrel::KestrelOptions) {
    options.limits.max_request_body_size = Some(5);
}

const DECLARED_6: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabcdef";
const CHUNKED_6: &str =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";

#[tokio::test]
async fn a_body_of_the_limit_is_taken() {
    let server = Memory::start_with(limit_of_5, count).await;
    let mut client = server.client().await;
    let declared = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde";
    assert_eq!(client.exchange(declared).await.text(), "5");
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    assert_eq!(client.exchange(chunked).await.text(), "5");
}

#[tokio::test]
async fn a_body_above_the_limit_is_answered_with_413_and_a_close() {
    // `count` answers 418 when it sees a `LengthLimitError`; the server's status goes out in its place.
    let server = Memory::start_with(limit_of_5, count).await;
    for request in [DECLARED_6, CHUNKED_6] {
        let mut client = server.client().await;
        let response = client.exchange(request).await;
        assert_eq!((response.status, response.text(), response.closes()), (413, "", true), "{request}");
        client.closed().await;
    }
}

#[tokio::test]
async fn the_app_sees_that_a_body_is_above_the_limit() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let error = request.into_body().collect().await.err().unwrap();
        Response::new(Body::from(error.is::<LengthLimitError>().to_string()))
    }
    let server = Memory::start_with(limit_of_5, app).await;
    for request in [DECLARED_6, CHUNKED_6] {
        let mut client = server.client().await;
        let response = client.exchange(request).await;
        // An app that makes a success of it is left to it.
        assert_eq!((response.status, response.text(), response.closes()), (200, "true", true));
        client.closed().await;
    }
}

#[tokio::test]
async fn the_app_changes_the_limit_of_one_request() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpMaxRequestBodySizeFeature>().unwrap();
        assert_eq!((feature.max_request_body_size(), feature.is_read_only()), (Some(5), false));
        let limit = match request.uri().path() {
            "/none" => None,
            path => Some(path[1..].parse().unwrap()),
        };
        feature.set_max_request_body_size(limit).unwrap();
        assert_eq!(feature.max_request_body_size(), limit);
        count(request).await
    }
    let server = Memory::start_with(limit_of_5, app).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(&DECLARED_6.replace("/ ", "/none ")).await.text(), "6");
    assert_eq!(client.exchange(&CHUNKED_6.replace("/ ", "/6 ")).await.text(), "6");
    assert_eq!(client.exchange(&DECLARED_6.replace("/ ", "/2 ")).await.status, 413);
    client.closed().await;
}

#[tokio::test]
async fn the_limit_is_fixed_once_the_body_is_read() {
    async fn app(mut request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpMaxRequestBodySizeFeature>().unwrap();
        let _ = request.body_mut().frame().await;
        assert!(feature.is_read_only());
        assert_eq!(feature.set_max_request_body_size(None), Err(TooLate));
        hello(request).await
    }
    let server = Memory::start(app).await;
    assert_eq!(server.client().await.exchange(DECLARED_6).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_read_does_not_harm_the_next_request() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        assert_eq!(client.exchange(DECLARED_6).await.text(), "Hello, World!");
    }
    assert_eq!(client.get("/").await.text(), "Hello, World!");
    // Of one in chunks no more than what is at hand is passed over, so the connection may end as well.
    assert_eq!(client.exchange(CHUNKED_6).await.text(), "Hello, World!");
    client.closed().await;
}

#[tokio::test]
async fn a_body_that_is_not_read_and_does_not_come_ends_the_connection() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    let response = client.exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n").await;
    assert_eq!(response.text(), "Hello, World!");
    client.closed().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_to_the_app() {
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let send = send.clone();
        async move {
            let result = request.into_body().collect().await;
            send.send(result.is_err()).unwrap();
            hello(Request::new(Body::empty())).await
        }
    })
    .await;
    for request in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let mut client = server.client().await;
        client.send(request).await;
        client.finish_sending().await;
        client.rest().await;
        assert!(crate::support::soon(receive.recv()).await.unwrap(), "{request}");
    }
}

#[tokio::test]
async fn chunks_that_are_none_end_the_connection_with_400() {
    for chunks in ["x\r\n", "3\r\nabcd\r\n", "3\r\nabc0\r\n\r\n", "-1\r\n", "ffffffffffffffffff\r\n"] {
        let server = Memory::start(count).await;
        let mut client = server.client().await;
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let response = client.exchange(&request).await;
        assert_eq!((response.status, response.closes()), (400, true), "{chunks:?}");
        client.closed().await;
    }
}

#[tokio::test]
async fn whether_there_can_be_a_body_is_known_before_it_is_read() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpRequestBodyDetectionFeature>().unwrap();
        Response::new(Body::from(feature.can_have_body().to_string()))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    assert_eq!(client.get("/").await.text(), "false");
    let empty = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.exchange(empty).await.text(), "false");
    assert_eq!(client.exchange(DECLARED_6).await.text(), "true");
    assert_eq!(client.exchange(CHUNKED_6).await.text(), "true");
}
