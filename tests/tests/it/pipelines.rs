//! Requests that wait behind others: whatever comes in which pieces, each one is read once and answered in its turn, and
//! a refusal is the last answer.

use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::BodyExt;
use server_abstractions::{Body, HttpRequestLifetimeFeature, RequestFeatures};
use tokio::time::sleep;

use crate::support::{Client, Memory, count, data, frames, start_on_tcp, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const REFUSED: &str = "GET / HTTP/7.7\r\n\r\n";

/// More than a connection that is idle keeps its memory for; what has come of a head is handed back then.
const REST: Duration = Duration::from_secs(4);

#[tokio::test(start_paused = true)]
async fn a_head_that_rests_after_each_of_its_bytes_is_read_once() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    let server = Memory::start(count).await;
    for at in 1..head.len() {
        let (part, rest) = head.split_at(at);
        let mut client = server.client().await;
        client.send(format!("{GET}{part}")).await;
        assert_eq!(client.response().await.status, 200, "{at}");
        sleep(REST).await;
        client.send(format!("{rest}abc")).await;
        let response = client.response().await;
        assert_eq!((response.status, response.text()), (200, "3"), "{at}: {}", response.head);
        assert_eq!(client.get("/").await.text(), "0", "{at}");
    }
}

/// Says which request this is and how long its body.
async fn target_and_length(request: Request<Body>) -> Response<Body> {
    let target = request.uri().to_string();
    let body = request.into_body().collect().await.map(|body| body.to_bytes().len());
    Response::new(Body::from(format!("{target} {}", body.unwrap_or_default())))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_looks_like_a_head_does_not_blind_the_server() {
    const LENGTH: usize = 2000;
    // A server that took the empty line for the end of this head would believe the body to begin too early.
    let part = format!("\r\nPOST /good HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n");
    // The end of the body is what such a server would take for the next head: one with a body that hides all else.
    let hiding = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n";
    let before = "x".repeat(LENGTH - part.len());
    let after = "y".repeat(LENGTH - before.len() - hiding.len());
    let two_lengths = "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc";

    let server = Memory::start(target_and_length).await;
    let mut client = server.client().await;
    client.send(format!("{GET}{part}")).await;
    assert_eq!(client.response().await.text(), "/ 0");
    sleep(REST).await;
    client.send(format!("\r\n{before}{hiding}{after}")).await;
    assert_eq!(client.response().await.text(), format!("/good {LENGTH}"));
    let response = client.exchange(two_lengths).await;
    assert_eq!((response.status, response.closes()), (400, true), "{}", response.text());
    client.closed().await;
}

/// Takes so many answers with 200, then the refusal, then the end.
async fn all_and_the_refusal(mut client: Client, count: usize, what: &str) {
    client.send(format!("{}{REFUSED}", GET.repeat(count))).await;
    for at in 0..count {
        assert_eq!(client.response().await.status, 200, "{what}: {at}");
    }
    let response = client.response().await;
    assert_eq!((response.status, response.closes()), (505, true), "{what}");
    client.closed().await;
}

#[tokio::test]
async fn all_requests_before_one_that_is_refused_are_answered() {
    // Such that the answers fill the buffers on their way at different places.
    for size in [20, 1000, 1100, 1200, 1400, 2000, 5000, 17_000] {
        let app = move |_: Request<Body>| async move { Response::new(Body::from("x".repeat(size))) };
        let (_running, address) = start_on_tcp(app).await;
        all_and_the_refusal(Client::tcp(address).await, 40, &format!("{size} over TCP")).await;
        let server = Memory::start(app).await;
        all_and_the_refusal(server.client().await, 40, &format!("{size} in memory")).await;
    }
}

#[tokio::test]
async fn an_answer_that_breaks_is_not_completed_with_the_refusal_of_the_next_request() {
    let app = |_: Request<Body>| async {
        let body = frames([data("0123456789"), Err("broken".into())]);
        Response::builder().header("content-length", "200").body(body).unwrap()
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(format!("{GET}{REFUSED}")).await;
    let all = client.rest().await;
    let all = std::str::from_utf8(&all).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 ") && all.ends_with("\r\n\r\n0123456789"), "{all}");
    assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
}

#[tokio::test]
async fn a_request_that_is_aborted_is_not_answered_with_the_refusal_of_the_next_one() {
    let app = |request: Request<Body>| async move {
        request.features().get::<dyn HttpRequestLifetimeFeature>().unwrap().abort();
        tokio::task::yield_now().await;
        status(200)
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(format!("{GET}{REFUSED}")).await;
    client.closed().await;
}

/// How long [`keep_body`] keeps a body: longer than anything that the tests here wait for.
const KEPT: Duration = Duration::from_secs(1000);

/// Answers while a task keeps the body of a POST and does not read it.
async fn keep_body(request: Request<Body>) -> Response<Body> {
    let is_kept = request.method() == Method::POST;
    let body = request.into_body();
    if is_kept {
        tokio::spawn(async move {
            sleep(KEPT).await;
            drop(body);
        });
    }
    Response::new(Body::from("hello"))
}

const KEPT_POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_wait_for_a_body_that_somebody_keeps() {
    let server = Memory::start(keep_body).await;
    let mut client = server.client().await;
    client.send(format!("{KEPT_POST}{REFUSED}")).await;
    assert_eq!(client.response().await.status, 200);
    let response = client.response().await;
    assert_eq!((response.status, response.closes()), (505, true));
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_behind_a_refused_upgrade_does_not_wait_for_a_body_that_somebody_keeps() {
    let server = Memory::start(keep_body).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(KEPT_POST).await.status, 200);
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n";
    assert_eq!(client.exchange(upgrade).await.status, 200);
    assert_eq!(client.get("/").await.status, 200);
}
