//! Peers that are slow where it is hard to see, and peers that only look slow.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use server_abstractions::Body;
use tokio::time::{Instant, sleep, timeout};

use crate::edges::in_time;
use crate::support::{
    Client, END, GOAWAY, HEADERS, Memory, PREFACE, SETTINGS, channel, collect, count, frame, header_block,
    status, within, without_rates,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The grace of the rates, by default.
const GRACE: Duration = Duration::from_secs(5);
/// What the apps here do before they go on: long enough that the server has nothing left to look at meanwhile.
const PAUSE: Duration = Duration::from_secs(4);
const END_HEADERS: u8 = 4;
const PING: u8 = 6;

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";

/// The time that a peer of HTTP/2 has for a piece of a response: 16 KiB at 240 bytes a second.
fn time_of_piece() -> Duration {
    Duration::from_secs_f64(16.0 * 1024.0 / 240.0)
}

/// A connection of HTTP/2 with one request.
async fn request_by_hand(server: &Memory, method: &str, flags: u8) -> Client {
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let fields = [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    client.send(frame(HEADERS, flags, 1, &header_block(&fields))).await;
    client
}

/// Waits for GOAWAY and the end, which come in time.
async fn ends_in_time(client: &mut Client, limit: Duration) {
    let before = Instant::now();
    let goaway = within(DAY, client.frame_whenever(&[GOAWAY])).await;
    assert_eq!(goaway.error_code(), u32::from(h2::Reason::INTERNAL_ERROR));
    in_time(before, limit);
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_body_over_http_2_that_the_app_begins_to_read_late_must_come() {
    let app = |request: Request<Body>| async {
        sleep(PAUSE).await;
        count(request).await
    };
    let server = Memory::start(app).await;
    let mut client = request_by_hand(&server, "POST", END_HEADERS).await;
    ends_in_time(&mut client, PAUSE + GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_over_http_2_that_the_app_reads_with_a_pause_must_come() {
    let app = |request: Request<Body>| async {
        let mut body = request.into_body();
        body.frame().await.unwrap().unwrap();
        sleep(PAUSE).await;
        let _ = body.frame().await;
        status(200)
    };
    let server = Memory::start(app).await;
    let mut client = request_by_hand(&server, "POST", END_HEADERS).await;
    client.send(frame(0, 0, 1, b"abc")).await;
    ends_in_time(&mut client, PAUSE + GRACE).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_another_task_reads_late_must_come() {
    let app = |request: Request<Body>| async {
        let counted = tokio::spawn(async {
            sleep(PAUSE).await;
            count(request).await
        });
        counted.await.unwrap()
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(POST).await;
    let before = Instant::now();
    let response = within(DAY, client.response_whenever()).await;
    assert_eq!((response.status, response.closes()), (408, true));
    in_time(before, PAUSE + GRACE);
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_response_over_http_2_must_be_taken_whenever_the_app_sends_it() {
    for pause in [PAUSE, Duration::ZERO] {
        let app = move |_: Request<Body>| async move {
            let (mut sender, body) = channel();
            tokio::spawn(async move {
                sleep(pause).await;
                let _ = sender.send_data(Bytes::from(vec![b'x'; 100_000])).await;
                sleep(DAY).await;
            });
            Response::new(body)
        };
        let server = Memory::start(app).await;
        let mut client = server.client().await;
        let (preface, _) = PREFACE.split_at(24);
        client.send(preface).await;
        // No stream has a window (RFC 9113, section 6.5.2).
        client.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
        client.send(frame(HEADERS, END, 1, &header_block(&fields))).await;
        ends_in_time(&mut client, pause + time_of_piece()).await;
    }
}

/// Sends PINGs, two hundred in a second, and takes what comes, until GOAWAY comes in time.
async fn pings_until_the_end(client: &mut Client, limit: Duration) {
    let before = Instant::now();
    loop {
        let _ = client.try_send(frame(PING, 0, 0, &[1; 8])).await;
        let answer = client.frame_of(&[PING, GOAWAY]).await;
        if answer.kind == GOAWAY {
            assert_eq!(answer.error_code(), u32::from(h2::Reason::INTERNAL_ERROR));
            break;
        }
        assert!(before.elapsed() < 2 * limit, "not ended after {:?}", before.elapsed());
        sleep(Duration::from_millis(5)).await;
    }
    in_time(before, limit);
}

#[tokio::test(start_paused = true)]
async fn pings_are_no_sign_that_a_response_is_taken() {
    let app = |_: Request<Body>| async { Response::new(Body::from("x".repeat(1_000_000))) };
    let server = Memory::start(app).await;
    let mut client = request_by_hand(&server, "GET", END).await;
    pings_until_the_end(&mut client, time_of_piece()).await;
}

#[tokio::test(start_paused = true)]
async fn pings_are_no_part_of_a_body() {
    let server = Memory::start(count).await;
    let mut client = request_by_hand(&server, "POST", END_HEADERS).await;
    pings_until_the_end(&mut client, GRACE).await;
}

/// Begins to wait for a body, and then does something else for a while.
async fn neglect(body: &mut Body) {
    let waited = timeout(Duration::from_millis(10), body.frame()).await;
    assert!(waited.is_err(), "nothing has come yet");
    sleep(Duration::from_secs(8)).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_in_which_the_app_does_not_read_is_not_the_clients() {
    let app = |mut request: Request<Body>| async {
        neglect(request.body_mut()).await;
        count(request).await
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await;
    sleep(Duration::from_millis(100)).await;
    // All of it, as fast as the server takes it.
    client.send("x".repeat(1_000_000)).await;
    let response = client.response().await;
    assert_eq!((response.status, response.text()), (200, "1000000"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_says_nothing_of_the_next_one() {
    let app = |mut request: Request<Body>| async {
        if request.uri().path() == "/neglected" {
            neglect(request.body_mut()).await;
        }
        count(request).await
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(POST.replacen('/', "/neglected", 1)).await;
    sleep(Duration::from_secs(7)).await;
    client.send("abc").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text(), response.closes()), (200, "3", false));
    client.send(POST).await;
    sleep(Duration::from_millis(50)).await;
    client.send("abc").await;
    let response = client.response().await;
    assert_eq!((response.status, response.text(), response.closes()), (200, "3", false));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_send_is_not_too_slow() {
    let app = |request: Request<Body>| async {
        if request.uri().path() == "/late" {
            sleep(Duration::from_secs(30)).await;
        }
        count(request).await
    };
    let server = Memory::start(app).await;
    let client = server.http2().await;
    // Two streams that nobody reads take the window of the connection, which is 1 MiB by default.
    let mut responses = Vec::new();
    for (path, size) in [("/late", 768 * 1024), ("/late", 768 * 1024), ("/", 1000)] {
        let request = Request::post(format!("http://a{path}")).body(()).unwrap();
        let (response, mut body) = client.send(request, false).await;
        body.send_data(Bytes::from(vec![b'x'; size]), true).unwrap();
        responses.push((response, size));
        sleep(Duration::from_millis(500)).await;
    }
    sleep(Duration::from_secs(25)).await;
    for (response, size) in responses {
        assert_eq!(collect(response).await.unwrap().body, size.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_from_when_nobody_keeps_a_body_any_more() {
    let kept = Duration::from_secs(20);
    let app = move |request: Request<Body>| async move {
        let body = request.into_body();
        tokio::spawn(async move {
            sleep(kept).await;
            drop(body);
        });
        status(200)
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(&format!("{POST}abc")).await.status, 200);
    let before = Instant::now();
    assert!(within(DAY, client.rest_whenever()).await.is_empty());
    in_time(before, kept + Duration::from_secs(130));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_nobody_takes_has_the_time_of_a_head() {
    const PIPE: usize = 64 * 1024;
    let app = |_: Request<Body>| async { Response::new(Body::from("x".repeat(PIPE - 200))) };
    let server = Memory::start_with(without_rates, app).await;
    let mut client = server.client().await;
    // The answer fits into the pipe and leaves less room than the refusal needs.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/7.7\r\n\r\n").await;
    let before = Instant::now();
    let closed = async {
        while client.try_send("x").await.is_ok() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(Duration::from_secs(60), closed).await;
    in_time(before, Duration::from_secs(30));
    assert_eq!(client.rest().await.len(), PIPE);
}
