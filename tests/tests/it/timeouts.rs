//! Limits on waiting for a peer, with time that stands still unless somebody waits for it.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use server_abstractions::{Body, ConnectionLifetimeFeature, RequestFeatures};
use server_kestrel::HttpProtocols;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::support::{
    Certificate, Client, GOAWAY, Memory, PREFACE, client_config, connect_tls, frame, hello, manual, soon,
    status, within, without_rates,
};
use crate::upgrade::{UPGRADE, by_feature};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Waits for the end of the connection, before which nothing comes, after so many seconds and at most one more: that
/// is how closely the clock is watched.
async fn closed_after(client: &mut Client, seconds: u64) {
    let before = Instant::now();
    let rest = within(DAY, client.rest_whenever()).await;
    assert!(rest.is_empty(), "{rest:?}");
    in_time(before, seconds..=seconds + 1);
}

/// Waits for 408 and the end of the connection, in the same time.
async fn refused_after(client: &mut Client, seconds: u64) {
    let before = Instant::now();
    let response = within(DAY, client.response_whenever()).await;
    assert_eq!(response.status, 408);
    assert!(response.closes() && response.body.is_empty(), "{}", response.head);
    in_time(before, seconds..=seconds + 1);
    client.closed().await;
}

#[track_caller]
fn in_time(before: Instant, seconds: RangeInclusive<u64>) {
    let elapsed = before.elapsed();
    assert!(seconds.contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_sends_nothing_is_closed_after_130_seconds() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let server = Memory::start_endpoint(|endpoint| endpoint.protocols(protocols), hello).await;
        let mut client = server.client().await;
        closed_after(&mut client, 130).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_130_seconds() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        client.get("/").await;
        sleep(Duration::from_secs(120)).await;
    }
    client.get("/").await;
    closed_after(&mut client, 130).await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_http_2_connection_is_closed_after_130_seconds() {
    for protocols in [HttpProtocols::Http2, HttpProtocols::Http1AndHttp2] {
        let server = Memory::start_endpoint(|endpoint| endpoint.protocols(protocols), hello).await;
        let client = server.http2().await;
        client.get("/").await;
        let before = Instant::now();
        within(DAY, client.connection).await.unwrap().unwrap();
        in_time(before, 130..=131);
    }
}

#[tokio::test(start_paused = true)]
async fn an_http_2_peer_that_only_begins_is_closed() {
    for protocols in [HttpProtocols::Http2, HttpProtocols::Http1AndHttp2] {
        for count in [0, 10, PREFACE.len()] {
            let server = Memory::start_endpoint(|endpoint| endpoint.protocols(protocols), hello).await;
            let mut client = server.client().await;
            client.send(&PREFACE[..count]).await;
            let before = Instant::now();
            let rest = within(DAY, client.rest_whenever()).await;
            assert!(!rest.starts_with(b"HTTP"));
            // Where the preface is what tells the protocol, a part of it is waited on as a head is. Where there is
            // somebody to say goodbye to, that takes a second more.
            let is_part = count == 10 && protocols == HttpProtocols::Http1AndHttp2;
            in_time(before, if is_part { 30..=30 } else { 130..=132 });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_preface_is_waited_on_as_a_head_is() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    sleep(Duration::from_secs(100)).await;
    client.send("PRI * H").await;
    closed_after(&mut client, 30).await;
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_request_has_30_seconds_from_its_first_byte() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let server = Memory::start_endpoint(|endpoint| endpoint.protocols(protocols), hello).await;
        let mut client = server.client().await;
        sleep(Duration::from_secs(100)).await;
        client.send("G").await;
        refused_after(&mut client, 30).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_has_no_more_time() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for byte in "GET / HTTP/1.1\r\nHost: a\r\nNam".bytes() {
        client.send([byte]).await;
        sleep(Duration::from_secs(1)).await;
    }
    refused_after(&mut client, 2).await;
}

#[tokio::test(start_paused = true)]
async fn the_head_of_a_later_request_has_30_seconds_too() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.get("/").await;
    sleep(Duration::from_secs(100)).await;
    client.send("GET / HT").await;
    refused_after(&mut client, 30).await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_begins_right_behind_a_request_has_30_seconds_once_it_is_found() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    // hyper holds these bytes already, and nobody else knows of them until it is taken apart.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT").await;
    assert_eq!(client.response().await.status, 200);
    let before = Instant::now();
    assert_eq!(within(DAY, client.response_whenever()).await.status, 408);
    in_time(before, 30..=32);
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_head_in_time_is_served_and_the_next_one_has_its_own_time() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for _ in 0..5 {
        client.send("GET / HTTP/1.1\r\n").await;
        sleep(Duration::from_secs(29)).await;
        assert_eq!(client.exchange("Host: a\r\n\r\n").await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_take_its_time() {
    let app = |_: Request<Body>| async {
        sleep(DAY / 2).await;
        Response::new(Body::from("at last"))
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let http2 = server.http2().await;
    let (response, _) = http2.send(Request::get("http://a/").body(()).unwrap(), true).await;
    assert_eq!(within(DAY, client.response_whenever()).await.text(), "at last");
    assert_eq!(within(DAY, response).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_may_be_silent() {
    let server = Memory::start(by_feature).await;
    let mut client = server.client().await;
    client.exchange(UPGRADE).await;
    sleep(DAY).await;
    client.send("hello").await;
    assert_eq!(client.take(5).await, "HELLO");
}

#[tokio::test(start_paused = true)]
async fn the_limits_can_be_set() {
    let limits = |options: &mut server_kestrel::KestrelOptions| {
        options.limits.keep_alive_timeout = Duration::from_secs(7);
        options.limits.request_headers_timeout = Duration::from_secs(3);
    };
    let server = Memory::start_with(limits, hello).await;
    closed_after(&mut server.client().await, 7).await;
    let mut client = server.client().await;
    client.get("/").await;
    closed_after(&mut client, 7).await;
    client = server.client().await;
    client.send("G").await;
    refused_after(&mut client, 3).await;
    client = server.client().await;
    client.send("PRI").await;
    closed_after(&mut client, 3).await;
}

#[tokio::test(start_paused = true)]
async fn over_tls_the_limits_hold_as_well() {
    let certificate = Certificate::new();
    let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), hello).await;
    for (protocol, sent, seconds) in [("http/1.1", "", 130), ("http/1.1", "GET", 30), ("h2", "", 130)] {
        let io = server.connector.connect().await.unwrap();
        let tls = connect_tls(io, client_config(&certificate, &[protocol])).await.unwrap();
        let mut client = Client::new(tls);
        client.send(sent).await;
        let before = Instant::now();
        within(DAY, client.rest_whenever()).await;
        in_time(before, seconds..=seconds + 2);
    }
}

#[tokio::test(start_paused = true)]
async fn over_tls_a_connection_whose_answer_was_taken_slowly_is_idle_afterwards() {
    let certificate = Certificate::new();
    let answer = Bytes::from(vec![b'x'; 2_000_000]);
    let app = move |_: Request<Body>| {
        let answer = answer.clone();
        async move { Response::new(Body::from(answer)) }
    };
    let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), app).await;
    let io = server.connector.connect().await.unwrap();
    let mut client = Client::new(connect_tls(io, client_config(&certificate, &["http/1.1"])).await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    sleep(Duration::from_secs(4)).await;
    client.take_until("\r\n\r\n").await;
    for _ in 0..20 {
        client.take(100_000).await;
        sleep(Duration::from_secs(1)).await;
    }
    let before = Instant::now();
    within(DAY, client.rest_whenever()).await;
    in_time(before, 128..=132);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_several_streams_begins_the_idle_time() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let (first, _) = client.send(Request::get("http://a/1").body(()).unwrap(), true).await;
    let (second, _) = client.send(Request::get("http://a/2").body(()).unwrap(), true).await;
    soon(calls.recv()).await.unwrap().answer(status(204));
    let last = soon(calls.recv()).await.unwrap();
    sleep(Duration::from_secs(1000)).await;
    last.answer(status(204));
    soon(first).await.unwrap();
    soon(second).await.unwrap();
    let before = Instant::now();
    within(DAY, client.connection).await.unwrap().unwrap();
    in_time(before, 130..=131);
}

#[tokio::test(start_paused = true)]
async fn an_idle_http_2_connection_is_told_before_it_is_closed() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let before = Instant::now();
    assert_eq!(within(DAY, client.frame_whenever(&[GOAWAY])).await.error_code(), 0);
    in_time(before, 130..=131);
    // It does not answer the PING, so it has a second.
    let before = Instant::now();
    client.rest().await;
    in_time(before, 1..=1);
}

#[tokio::test(start_paused = true)]
async fn an_http_2_peer_that_says_much_and_asks_for_nothing_is_idle() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let before = Instant::now();
    // A PING of its own every now and then, and no answer to that of the server.
    while client.try_send(frame(6, 0, 0, &[7; 8])).await.is_ok() {
        sleep(Duration::from_millis(300)).await;
    }
    in_time(before, 130..=132);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_before_it_takes_its_answer_gets_all_of_it() {
    let answer = Bytes::from(vec![b'x'; 20_000_000]);
    for closes in [false, true] {
        let body = answer.clone();
        let app = move |request: Request<Body>| {
            if closes {
                request.features().get::<dyn ConnectionLifetimeFeature>().unwrap().request_close();
            }
            let response = Response::new(Body::from(body.clone()));
            async { response }
        };
        let limits = |options: &mut server_kestrel::KestrelOptions| {
            options.limits.keep_alive_timeout = Duration::from_secs(2);
            options.limits.min_response_data_rate = None;
        };
        let server = Memory::start_with(limits, app).await;
        let mut client = server.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        sleep(Duration::from_secs(60)).await;
        let response = client.response().await;
        assert!(response.body == answer, "{} bytes", response.body.len());
        assert_eq!(response.closes(), closes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_read_after_the_answer_may_take_longer_than_a_head() {
    let (send, mut read) = mpsc::unbounded_channel();
    let app = move |request: Request<Body>| {
        let send = send.clone();
        tokio::spawn(async move {
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            send.send(body).unwrap_or_default();
        });
        async { status(202) }
    };
    let server = Memory::start_with(without_rates, app).await;
    for (head, pieces) in [
        ("Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", ["3\r\nd", "ef\r\n", "0\r\n\r\n"]),
        ("Content-Length: 6\r\n\r\nabc", ["d", "e", "f"]),
    ] {
        let mut client = server.client().await;
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{head}");
        assert_eq!(client.exchange(&head).await.status, 202);
        for piece in pieces {
            sleep(Duration::from_secs(60)).await;
            client.send(piece).await;
        }
        assert_eq!(soon(read.recv()).await.unwrap().unwrap(), "abcdef");
    }
}
