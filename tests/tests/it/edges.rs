//! Limits on bodies and times just below, at and just above.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use server_abstractions::{Body, HttpMaxRequestBodySizeFeature, MinDataRate, RequestFeatures};
use server_kestrel::KestrelOptions;
use tokio::time::{Instant, sleep};

use crate::support::{Client, Memory, collect, count, endless, hello, within};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Fails unless so much time has passed, and no more than a second beyond: that is how closely the clock is watched.
#[track_caller]
pub(crate) fn in_time(before: Instant, limit: Duration) {
    let elapsed = before.elapsed();
    assert!((limit..=limit + Duration::from_millis(1005)).contains(&elapsed), "{limit:?}: {elapsed:?}");
}

fn with_length(length: u64, more: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n")
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn the_size_of_a_body() {
    let limit = |options: &mut KestrelOptions| options.limits.max_request_body_size = Some(1000);
    let server = Memory::start_with(limit, count).await;
    for (size, expected) in [(999, 200), (1000, 200), (1001, 413), (100_000, 413)] {
        let body = "x".repeat(size);
        let chunks = |length: usize| {
            let chunk = |piece: &[u8]| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
            let chunks: String = body.as_bytes().chunks(length).map(chunk).collect();
            format!("{CHUNKED}{chunks}0\r\n\r\n")
        };
        for request in [with_length(size as u64, "") + &body, chunks(size), chunks(7)] {
            let mut client = server.client().await;
            let _ = client.try_send(request).await;
            let response = client.response().await;
            assert_eq!((response.status, response.closes()), (expected, expected == 413), "{size}");
        }
    }
}

#[tokio::test]
async fn the_default_size_of_a_body_and_none() {
    let server = Memory::start(count).await;
    let unlimited = Memory::start_with(|options| options.limits.max_request_body_size = None, count).await;
    const DEFAULT: u64 = 30_000_000;
    // A client that waits for 100-continue need not send it.
    for (server, length, expected) in
        [(&server, DEFAULT, 100), (&server, DEFAULT + 1, 413), (&unlimited, DEFAULT + 1, 100)]
    {
        let mut client = server.client().await;
        let response = client.exchange(&with_length(length, "Expect: 100-continue\r\n")).await;
        assert_eq!(response.status, expected, "{length}");
    }
}

#[tokio::test]
async fn a_declared_length_above_the_limit_is_refused_without_100_continue() {
    let limit = |options: &mut KestrelOptions| options.limits.max_request_body_size = Some(10);
    let server = Memory::start_with(limit, count).await;
    let mut client = server.client().await;
    client.send(with_length(11, "Expect: 100-continue\r\n")).await;
    let all = client.take_until("\r\n\r\n").await;
    assert!(all.starts_with(b"HTTP/1.1 413 "), "{all:?}");
    let mut client = server.client().await;
    assert_eq!(client.exchange(&with_length(10, "Expect: 100-continue\r\n")).await.status, 100);
    assert_eq!(client.exchange("0123456789").await.text(), "10");
}

#[tokio::test]
async fn the_size_of_a_body_that_the_app_sets() {
    let app = |request: Request<Body>| async move {
        let feature = request.features().get::<dyn HttpMaxRequestBodySizeFeature>().unwrap();
        feature.set_max_request_body_size(request.uri().path()[1..].parse().ok()).unwrap();
        count(request).await
    };
    let limit = |options: &mut KestrelOptions| options.limits.max_request_body_size = Some(1);
    let server = Memory::start_with(limit, app).await;
    for (path, expected) in [("/4", 413), ("/5", 200), ("/6", 200), ("/none", 200), ("/0", 413)] {
        let request = with_length(5, "").replace(" / ", &format!(" {path} ")) + "hello";
        assert_eq!(server.client().await.exchange(&request).await.status, expected, "{path}");
    }
}

fn rate(bytes_per_second: u32, grace_period: Duration) -> Option<MinDataRate> {
    Some(MinDataRate { bytes_per_second: bytes_per_second.try_into().unwrap(), grace_period })
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_is_refused_in_time() {
    for grace in [1500, 2000, 2500, 5000, 10_000].map(Duration::from_millis) {
        let set = |options: &mut KestrelOptions| options.limits.min_request_body_data_rate = rate(100, grace);
        let server = Memory::start_with(set, count).await;
        for after in [0, 300, 1700, 100_000].map(Duration::from_millis) {
            let mut client = server.client().await;
            client.get("/").await;
            sleep(after).await;
            client.send(with_length(1000, "") + "x").await;
            let before = Instant::now();
            assert_eq!(within(DAY, client.response_whenever()).await.status, 408);
            in_time(before, grace);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_for_a_body_begins_with_it_however_long_its_head_took() {
    let server = Memory::start(count).await;
    let mut client = server.client().await;
    client.send(with_length(1, "")).await;
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(client.exchange("x").await.text(), "1");
    let (part, rest) =
        with_length(1, "").split_at_checked(10).map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    client.send(part).await;
    sleep(Duration::from_secs(20)).await;
    client.send(rest).await;
    let before = Instant::now();
    assert_eq!(within(DAY, client.response_whenever()).await.status, 408);
    in_time(before, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn each_body_has_its_own_time() {
    let server = Memory::start(count).await;
    let mut client = server.client().await;
    for _ in 0..20 {
        client.send(with_length(1, "")).await;
        sleep(Duration::from_millis(900)).await;
        assert_eq!(client.exchange("x").await.text(), "1");
    }
    let client = server.http2().await;
    for _ in 0..20 {
        let (response, mut body) = client.send(Request::post("http://a/").body(()).unwrap(), false).await;
        sleep(Duration::from_millis(900)).await;
        body.send_data("x".into(), true).unwrap();
        assert_eq!(collect(response).await.unwrap().body, "1");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_a_body() {
    let set = |options: &mut KestrelOptions| {
        options.limits.min_request_body_data_rate = rate(100, Duration::from_secs(2));
    };
    let server = Memory::start_with(set, count).await;
    for (piece, expected) in [(45, 408), (49, 408), (51, 200), (55, 200)] {
        let mut client = server.client().await;
        // Two pieces a second.
        client.send(with_length(piece * 200, "")).await;
        let mut left = 200;
        while left > 0 && client.try_send("x".repeat(usize::try_from(piece).unwrap())).await.is_ok() {
            left -= 1;
            sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(within(DAY, client.response_whenever()).await.status, expected, "{piece}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_ends_the_connection_in_time() {
    for grace in [1500, 2000, 5000, 10_000].map(Duration::from_millis) {
        let set =
            |options: &mut KestrelOptions| options.limits.min_response_data_rate = rate(1_000_000, grace);
        let app = |_: Request<Body>| async { Response::new(endless(&[b'x'; 10_000])) };
        let server = Memory::start_with(set, app).await;
        let mut client = server.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let before = Instant::now();
        // The first writes succeed; nothing is taken before the server has closed.
        let closed = async {
            while client.try_send("x").await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        within(DAY, closed).await;
        in_time(before, grace);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_head_and_of_an_idle_connection() {
    for seconds in [0.5, 1.0, 1.5, 2.0, 7.3] {
        let limit = Duration::from_secs_f64(seconds);
        let set = |options: &mut KestrelOptions| {
            options.limits.request_headers_timeout = limit;
            options.limits.keep_alive_timeout = limit;
        };
        let server = Memory::start_with(set, hello).await;
        let mut client = server.client().await;
        let before = Instant::now();
        assert_eq!(within(DAY, client.rest_whenever()).await.len(), 0);
        in_time(before, limit);

        let mut client = server.client().await;
        client.get("/").await;
        client.get("/").await;
        let before = Instant::now();
        assert_eq!(within(DAY, client.rest_whenever()).await.len(), 0);
        in_time(before, limit);

        let mut client = server.client().await;
        client.get("/").await;
        client.send("G").await;
        times_out(&mut client, limit).await;
    }
}

async fn times_out(client: &mut Client, limit: Duration) {
    let before = Instant::now();
    assert_eq!(within(DAY, client.response_whenever()).await.status, 408);
    in_time(before, limit);
}

#[tokio::test(start_paused = true)]
async fn an_http_2_peer_that_stops_is_cut_off_in_time() {
    for grace in [1500, 2000, 5000].map(Duration::from_millis) {
        let set = |options: &mut KestrelOptions| {
            options.limits.min_request_body_data_rate = rate(100, grace);
            options.limits.min_response_data_rate = rate(1_000_000, grace);
        };
        let app = |request: Request<Body>| async {
            let _ = request.into_body().collect().await;
            Response::new(Body::from("x".repeat(1_000_000)))
        };
        let server = Memory::start_with(set, app).await;
        for sends_body in [false, true] {
            let client = server.http2().await;
            let request = Request::post("http://a/").body(()).unwrap();
            let before = Instant::now();
            let (_response, _body) = client.send(request, !sends_body).await;
            let _ = within(DAY, client.connection).await.unwrap();
            in_time(before, grace);
        }
    }
}
