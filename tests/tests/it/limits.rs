//! Limits on how many, how old and how slow. Those on single waits stand in `timeouts`, those on heads in `framing`.

use std::io::ErrorKind;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use server_abstractions::{
    Body, HttpMinRequestBodyDataRateFeature, HttpMinResponseDataRateFeature, HttpUpgradeFeature, MinDataRate,
    RequestFeatures,
};
use server_kestrel::KestrelOptions;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::{Instant, sleep};

use crate::support::{
    Client, GOAWAY, Memory, PREFACE, collect, count, endless, hello, loopback, options, socket_address,
    start, within,
};
use crate::upgrade::{UPGRADE, by_feature, by_hyper};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn rate(bytes_per_second: u32, grace: u64) -> Option<MinDataRate> {
    let bytes_per_second = bytes_per_second.try_into().unwrap();
    Some(MinDataRate { bytes_per_second, grace_period: Duration::from_secs(grace) })
}

#[tokio::test]
async fn one_connection_too_many_is_closed_without_an_answer() {
    let one = |options: &mut KestrelOptions| options.limits.max_concurrent_connections = Some(1);
    let server = Memory::start_with(one, hello).await;
    let mut first = server.client().await;
    assert_eq!(first.get("/").await.status, 200);
    for _ in 0..3 {
        server.client().await.closed().await;
    }
    assert_eq!(first.get("/").await.status, 200);
    first.finish_sending().await;
    first.closed().await;
    within(Duration::from_secs(10), served(&server)).await;
}

/// Connects until there is a place, which is free once the task of another connection has ended.
async fn served(server: &Memory) {
    loop {
        let mut client = server.client().await;
        let asked = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        if asked.is_ok() && !client.rest().await.is_empty() {
            return;
        }
    }
}

#[tokio::test]
async fn a_connection_that_has_ended_leaves_its_place_whoever_keeps_its_features() {
    let (keep, mut kept) = unbounded_channel();
    let app = move |request: Request<Body>| {
        let _ = keep.send(request.features().clone());
        hello(request)
    };
    let one = |options: &mut KestrelOptions| options.limits.max_concurrent_connections = Some(1);
    let server = Memory::start_with(one, app).await;
    for _ in 0..3 {
        within(Duration::from_secs(10), served(&server)).await;
    }
    assert!(kept.try_recv().is_ok(), "the features are kept until here");
}

#[tokio::test]
async fn an_upgraded_connection_leaves_its_place_to_another() {
    let one = |options: &mut KestrelOptions| options.limits.max_concurrent_connections = Some(1);
    let server = Memory::start_with(one, by_feature).await;
    let mut upgraded = server.client().await;
    assert_eq!(upgraded.exchange(UPGRADE).await.status, 101);
    assert_eq!(server.client().await.exchange(UPGRADE).await.status, 101);
    upgraded.send("a").await;
    assert_eq!(upgraded.take(1).await, "A");
}

#[tokio::test]
async fn one_upgrade_too_many_is_refused_whoever_takes_it() {
    let one = |options: &mut KestrelOptions| options.limits.max_concurrent_upgraded_connections = Some(1);
    let server = Memory::start_with(one, by_hyper).await;
    let mut first = server.client().await;
    assert_eq!(first.exchange(UPGRADE).await.status, 101);
    let mut second = server.client().await;
    assert_eq!(second.exchange(UPGRADE).await.status, 503);

    let app = |request: Request<Body>| async move {
        let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap().upgrade();
        Response::new(Body::from(upgrade.err().map_or_else(String::new, |error| error.to_string())))
    };
    let none = |options: &mut KestrelOptions| options.limits.max_concurrent_upgraded_connections = Some(0);
    let server = Memory::start_with(none, app).await;
    let response = server.client().await.exchange(UPGRADE).await;
    assert_eq!(response.text(), "the server has as many upgraded connections as it may have");
}

#[tokio::test]
async fn an_upgrade_that_is_not_accepted_leaves_its_place() {
    let app = |request: Request<Body>| async move {
        let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap().upgrade();
        Response::new(Body::from(if upgrade.is_ok() { "given" } else { "refused" }))
    };
    let one = |options: &mut KestrelOptions| options.limits.max_concurrent_upgraded_connections = Some(1);
    let server = Memory::start_with(one, app).await;
    for _ in 0..3 {
        assert_eq!(server.client().await.exchange(UPGRADE).await.text(), "given");
    }
}

#[tokio::test]
async fn one_connection_of_an_address_too_many_is_closed() {
    let mut two = options([loopback()]);
    two.limits.max_connections_per_address = Some(2);
    let running = start(two, hello).await;
    let address = socket_address(&running.addresses()[0]);
    let mut clients = [Client::tcp(address).await, Client::tcp(address).await];
    for client in &mut clients {
        assert_eq!(client.get("/").await.status, 200);
    }
    Client::tcp(address).await.closed().await;
}

#[tokio::test]
async fn the_last_request_of_a_connection_is_told_to_be_the_last() {
    let three = |options: &mut KestrelOptions| options.limits.max_requests_per_connection = Some(3);
    let server = Memory::start_with(three, hello).await;
    let mut client = server.client().await;
    for is_last in [false, false, true] {
        let response = client.get("/").await;
        assert_eq!((response.status, response.closes()), (200, is_last));
    }
    client.closed().await;
    // Those that are sent behind it are not answered.
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5)).await;
    let answers = client.rest().await;
    assert_eq!(String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_too_old_is_closed() {
    let minute =
        |options: &mut KestrelOptions| options.limits.max_connection_age = Some(Duration::from_secs(60));
    let server = Memory::start_with(minute, hello).await;
    let mut idle = server.client().await;
    idle.get("/").await;
    let before = Instant::now();
    assert!(within(DAY, idle.rest_whenever()).await.is_empty());
    assert!((54..=67).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());

    let mut busy = server.client().await;
    let before = Instant::now();
    while !busy.get("/").await.closes() {
        sleep(Duration::from_millis(900)).await;
    }
    assert!((54..=68).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    busy.closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_http_2_connection_that_is_too_old_is_told() {
    let minute =
        |options: &mut KestrelOptions| options.limits.max_connection_age = Some(Duration::from_secs(60));
    let server = Memory::start_with(minute, hello).await;
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let before = Instant::now();
    client.frame_whenever(&[GOAWAY]).await;
    assert!((54..=67).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_coming_is_answered_with_408() {
    let server = Memory::start(count).await;
    for sent in ["", "x"] {
        let mut client = server.client().await;
        client.send(format!("{POST}{sent}")).await;
        let before = Instant::now();
        let response = within(DAY, client.response_whenever()).await;
        assert_eq!((response.status, response.closes()), (408, true));
        assert!((5..=6).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
        client.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_must_come_fast_enough() {
    let server = Memory::start(count).await;
    for (piece, status) in [(200, 408), (300, 200)] {
        let mut client = server.client().await;
        client.send(POST).await;
        for _ in 0..100_000 / piece {
            if client.try_send("x".repeat(piece)).await.is_err() {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        let _ = client.try_send("x".repeat(100_000 % piece)).await;
        assert_eq!(client.response_whenever().await.status, status, "{piece}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_waits_for_may_take_its_time() {
    let app = |request: Request<Body>| async {
        sleep(DAY / 2).await;
        count(request).await
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").await;
    sleep(Duration::from_secs(3600)).await;
    client.send("abc").await;
    let response = within(DAY, client.response_whenever()).await;
    assert_eq!(response.text(), "3");
}

#[tokio::test(start_paused = true)]
async fn the_rate_of_a_body_can_be_set_for_the_server_and_for_a_request() {
    let app = |request: Request<Body>| async move {
        let rates = request.features().get::<dyn HttpMinRequestBodyDataRateFeature>().unwrap();
        assert_eq!(rates.min_data_rate(), rate(1000, 2));
        if request.uri().path() == "/slow" {
            rates.set_min_data_rate(None);
            assert_eq!(rates.min_data_rate(), None);
        }
        count(request).await
    };
    let set = |options: &mut KestrelOptions| options.limits.min_request_body_data_rate = rate(1000, 2);
    let server = Memory::start_with(set, app).await;
    let mut client = server.client().await;
    client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n").await;
    sleep(Duration::from_secs(1000)).await;
    client.send("abc").await;
    assert_eq!(client.response_whenever().await.text(), "3");
    // The next request has the rate of the server again.
    client.send(POST).await;
    let before = Instant::now();
    assert_eq!(within(DAY, client.response_whenever()).await.status, 408);
    assert!((2..=3).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

async fn large(_: Request<Body>) -> Response<Body> {
    Response::new(Body::from("x".repeat(10_000_000)))
}

async fn streamed(_: Request<Body>) -> Response<Body> {
    Response::new(endless(&[b'x'; 10_000]))
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_take_its_response_is_cut_off() {
    // The bytes that wait buy time, 64 KiB of them at the most: 273 seconds.
    for (server, seconds) in [(Memory::start(large).await, 273), (Memory::start(streamed).await, 40)] {
        let mut client = server.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        sleep(Duration::from_secs(seconds - 1)).await;
        assert!(client.try_send("x").await.is_ok());
        sleep(Duration::from_secs(277 - seconds)).await;
        // What was on the way is still there, and then the connection has ended.
        let rest = within(Duration::from_secs(1), client.rest_whenever()).await;
        assert!(rest.len() < 1_000_000, "{}", rest.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_its_response_in_large_steps_is_not_cut_off() {
    let server = Memory::start(large).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    for _ in 0..100 {
        // As fast as the rate wants it, in steps as large as a socket makes them.
        sleep(Duration::from_secs(200)).await;
        client.take_whenever(64 * 1024).await;
    }
}

#[tokio::test]
async fn what_a_peer_does_not_take_is_forgotten_when_it_is_cut_off() {
    let app = async |_: Request<Body>| Response::new(endless(&[b'x'; 10_000]));
    let mut options = options([loopback()]);
    options.limits.min_response_data_rate = rate(1_000_000, 2);
    let running = start(options, app).await;
    let mut client = TcpStream::connect(socket_address(&running.addresses()[0])).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    // The kernels of both sides hold megabytes by then; an orderly end would come behind them.
    within(Duration::from_secs(10), client.ready(Interest::ERROR)).await.unwrap();
    assert_eq!(client.take_error().unwrap().unwrap().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_response_may_be_taken_slowly_enough_and_as_slowly_as_the_app_allows() {
    let server = Memory::start(large).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    for _ in 0..60 {
        client.take_whenever(10_000).await;
        sleep(Duration::from_secs(1)).await;
    }
    let app = |request: Request<Body>| async move {
        let rates = request.features().get::<dyn HttpMinResponseDataRateFeature>().unwrap();
        rates.set_min_data_rate(None);
        large(request).await
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    sleep(Duration::from_secs(3600)).await;
    assert!(within(DAY, client.rest_whenever()).await.len() > 10_000_000);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_does_not_open_ends_an_http_2_connection() {
    let server = Memory::start(large).await;
    let (mut client, connection) =
        h2::client::handshake(server.connector.connect().await.unwrap()).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get("http://a/").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let before = Instant::now();
    let body = response.await.unwrap().into_body();
    let ended = within(DAY, connection).await.unwrap();
    assert!((68..=69).contains(&before.elapsed().as_secs()), "{:?} {ended:?}", before.elapsed());
    drop(body);
}

#[tokio::test(start_paused = true)]
async fn a_body_over_http_2_that_stops_coming_ends_the_connection() {
    let server = Memory::start(|request: Request<Body>| async {
        let body = request.into_body().collect().await;
        Response::new(Body::from(body.is_ok().to_string()))
    })
    .await;
    let (mut client, connection) =
        h2::client::handshake(server.connector.connect().await.unwrap()).await.unwrap();
    let connection = tokio::spawn(connection);
    let (_response, mut body) =
        client.send_request(Request::post("http://a/").body(()).unwrap(), false).unwrap();
    body.send_data("abc".into(), false).unwrap();
    let before = Instant::now();
    let _ = within(DAY, connection).await.unwrap();
    assert!((5..=6).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_over_http_2_lives_as_long_as_its_handler_allows() {
    let app = |request: Request<Body>| async {
        if request.uri().path() == "/slow" {
            let rates = request.features().get::<dyn HttpMinRequestBodyDataRateFeature>().unwrap();
            rates.set_min_data_rate(None);
            assert_eq!(rates.min_data_rate(), None);
        }
        count(request).await
    };
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let (slow, mut body) = client.send(Request::post("http://a/slow").body(()).unwrap(), false).await;
    body.send_data("abc".into(), false).unwrap();
    sleep(Duration::from_secs(1000)).await;
    body.send_data("def".into(), true).unwrap();
    assert_eq!(collect(slow).await.unwrap().body, "6");
    // The rate of the server holds again.
    let before = Instant::now();
    let (other, _body) = client.send(Request::post("http://a/").body(()).unwrap(), false).await;
    assert!(within(DAY, collect(other)).await.is_err());
    assert!((5..=7).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}
