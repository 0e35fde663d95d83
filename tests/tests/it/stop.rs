//! The end of a server: what is finished, what is not waited for, and how soon. Time stands still unless somebody
//! waits for it, so the durations are exact.

mod http2;
mod upgraded;

use std::io::{Read, Write};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use server_abstractions::{
    Body, ConnectionLifetimeFeature, HttpUpgradeFeature, RequestFeatures, Running, Stopped,
};
use server_kestrel::HttpProtocols;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::support::{
    Certificate, Client, END, GOAWAY, HEADERS, Http2, Memory, PREFACE, RST_STREAM, channel, client_config,
    collect, connect_tls, endless, frame, header_block, hello, manual, read_to_end, settle, soon,
    start_on_tcp, status, within, without_rates,
};
use crate::upgrade::{UPGRADE, by_feature, by_hyper, switching};

const LONG: Duration = Duration::from_secs(3600);

/// A stop under way; it gives how it came to its end, and when.
fn stop(running: Running, deadline: Duration) -> JoinHandle<(Stopped, Duration)> {
    tokio::spawn(async move {
        let before = Instant::now();
        let stopped = running.stop(sleep(deadline)).await;
        (stopped, before.elapsed())
    })
}

async fn ended(stop: JoinHandle<(Stopped, Duration)>) -> (Stopped, Duration) {
    within(2 * LONG, stop).await.unwrap()
}

const AT_ONCE: (Stopped, Duration) = (Stopped::Drained, Duration::ZERO);

#[tokio::test(start_paused = true)]
async fn a_server_without_connections_stops_at_once() {
    let server = Memory::start(hello).await;
    assert_eq!(ended(stop(server.running, LONG)).await, AT_ONCE);
    assert!(server.connector.connect().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_finished_and_the_answer_says_close() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let call = soon(calls.recv()).await.unwrap();
    let stop = stop(server.running, LONG);
    assert!(client.is_silent().await && !stop.is_finished());
    call.answer(Response::new(Body::from("finished")));
    let response = client.response().await;
    assert_eq!((response.text(), response.closes()), ("finished", true));
    client.closed().await;
    assert_eq!(ended(stop).await, AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_at_once() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.get("/").await;
    assert_eq!(ended(stop(server.running, LONG)).await, AT_ONCE);
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_over_tls_closes_at_once() {
    let certificate = Certificate::new();
    for protocol in ["http/1.1", "h2"] {
        let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), hello).await;
        let io = server.connector.connect().await.unwrap();
        let tls = connect_tls(io, client_config(&certificate, &[protocol])).await.unwrap();
        if protocol == "h2" {
            let client = Http2::over_tls(tls).await;
            client.get("/").await;
            assert_eq!(ended(stop(server.running, LONG)).await, AT_ONCE);
            client.closed().await.unwrap();
        } else {
            let mut client = Client::new(tls);
            client.get("/").await;
            assert_eq!(ended(stop(server.running, LONG)).await, AT_ONCE);
            client.closed().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_that_is_silent_is_waited_for_a_quarter_of_a_second() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http2, HttpProtocols::Http1AndHttp2] {
        let server = Memory::start_endpoint(|endpoint| endpoint.protocols(protocols), hello).await;
        let mut client = server.client().await;
        settle().await;
        let (stopped, after) = ended(stop(server.running, LONG)).await;
        assert_eq!((stopped, after.as_millis()), (Stopped::Drained, 250), "{protocols:?}");
        client.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_that_is_silent_under_tls_does_not_hold_up_the_stop() {
    let https = Certificate::new().https();
    let server = Memory::start_endpoint(|endpoint| endpoint.https(https), hello).await;
    let mut client = server.client().await;
    settle().await;
    let (stopped, after) = ended(stop(server.running, LONG)).await;
    assert!(stopped == Stopped::Drained && after <= Duration::from_secs(1), "{after:?}");
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_on_its_way_when_the_stop_began_is_served() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let server = Memory::start_endpoint(|endpoint| endpoint.protocols(protocols), hello).await;
        let mut client = server.client().await;
        settle().await;
        let stop = stop(server.running, LONG);
        sleep(Duration::from_millis(200)).await;
        let response = client.get("/").await;
        assert_eq!((response.text(), response.closes()), ("Hello, World!", true));
        client.closed().await;
        assert_eq!(ended(stop).await.0, Stopped::Drained);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_request_whose_head_has_begun_is_served() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHo").await;
    settle().await;
    let stop = stop(server.running, LONG);
    sleep(Duration::from_secs(4)).await;
    let response = client.exchange("st: a\r\n\r\n").await;
    assert_eq!((response.text(), response.closes()), ("Hello, World!", true));
    assert_eq!(ended(stop).await.0, Stopped::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_to_its_end_delays_the_stop_by_five_seconds_at_most() {
    // One byte may still become a preface of HTTP/2.
    for begun in ["GET / HT", "P"] {
        let server = Memory::start(hello).await;
        let mut client = server.client().await;
        client.send(begun).await;
        settle().await;
        let (stopped, after) = ended(stop(server.running, LONG)).await;
        assert!(stopped == Stopped::Drained && after <= Duration::from_secs(5), "{begun}: {after:?}");
        client.rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_body_is_on_its_way_is_served() {
    let server = Memory::start_with(without_rates, crate::support::count).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").await;
    settle().await;
    let stop = stop(server.running, LONG);
    sleep(Duration::from_secs(600)).await;
    let response = client.exchange("def").await;
    assert_eq!((response.text(), response.closes()), ("6", true));
    assert_eq!(ended(stop).await.0, Stopped::Drained);
}

#[tokio::test]
async fn connections_that_wait_to_be_accepted_are_served() {
    let (running, address) = start_on_tcp(hello).await;
    // The kernel accepts these; the server has no chance to before it is stopped.
    let mut clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            client
        })
        .collect();
    assert_eq!(soon(running.stop(sleep(LONG))).await, Stopped::Drained);
    for client in &mut clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\nHello, World!"), "{answer}");
    }
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_idle_connection_over_a_real_socket_does_not_delay_the_stop() {
    let (running, address) = start_on_tcp(hello).await;
    let mut client = Client::tcp(address).await;
    client.get("/").await;
    assert_eq!(within(Duration::from_secs(5), running.stop(sleep(LONG))).await, Stopped::Drained);
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_aborts_what_is_not_finished() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let http2 = server.http2().await;
    let (response, _) = http2.send(Request::get("http://a/").body(()).unwrap(), true).await;
    let (mut first, mut second) = (soon(calls.recv()).await.unwrap(), soon(calls.recv()).await.unwrap());
    let stop = stop(server.running, Duration::from_secs(5));
    assert_eq!(ended(stop).await, (Stopped::Aborted, Duration::from_secs(5)));
    for call in [&mut first, &mut second] {
        call.dropped().await;
        assert!(call.aborted.is_cancelled());
    }
    client.closed().await;
    assert!(soon(response).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_aborts_a_handshake() {
    let https = Certificate::new().https();
    let server = Memory::start_endpoint(|endpoint| endpoint.https(https), hello).await;
    let mut client = server.client().await;
    settle().await;
    let (stopped, after) = ended(stop(server.running, Duration::from_millis(100))).await;
    assert_eq!((stopped, after.as_millis()), (Stopped::Aborted, 100));
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_dropped_aborts() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut call = soon(calls.recv()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), server.running.stop(sleep(LONG))).await.is_err());
    call.dropped().await;
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_dropped_stops_at_once() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let (mut idle, mut busy) = (server.client().await, server.client().await);
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut call = soon(calls.recv()).await.unwrap();
    let before = Instant::now();
    drop(server.running);
    call.dropped().await;
    assert!(call.aborted.is_cancelled());
    idle.closed().await;
    busy.closed().await;
    assert!(server.connector.connect().await.is_err());
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_take_its_answer_is_waited_for_until_the_deadline() {
    let server = Memory::start(|_: Request<Body>| async { Response::new(endless(&[0; 10_000])) }).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    settle().await;
    let stop = stop(server.running, Duration::from_secs(5));
    assert_eq!(ended(stop).await, (Stopped::Aborted, Duration::from_secs(5)));
    client.rest().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_slowly_is_finished() {
    let body = Bytes::from(vec![b'x'; 1_000_000]);
    for is_http2 in [false, true] {
        let body = body.clone();
        let server = Memory::start(move |_: Request<Body>| {
            let body = body.clone();
            async move { Response::new(Body::from(body)) }
        })
        .await;
        if is_http2 {
            let client = server.http2().await;
            let (response, _) = client.send(Request::get("http://a/").body(()).unwrap(), true).await;
            let response = soon(response).await.unwrap();
            settle().await;
            let stop = stop(server.running, LONG);
            let mut stream = response.into_body();
            let mut received = 0;
            while let Some(data) = soon(stream.data()).await {
                received += data.as_ref().unwrap().len();
                sleep(Duration::from_secs(2)).await;
                stream.flow_control().release_capacity(data.unwrap().len()).unwrap();
            }
            assert_eq!(received, 1_000_000);
            assert_eq!(ended(stop).await.0, Stopped::Drained);
        } else {
            let mut client = server.client().await;
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            settle().await;
            let stop = stop(server.running, LONG);
            client.take_until("\r\n\r\n").await;
            for _ in 0..20 {
                client.take(50_000).await;
                sleep(Duration::from_secs(2)).await;
            }
            client.closed().await;
            assert_eq!(ended(stop).await.0, Stopped::Drained);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_without_an_end_ends_when_the_server_stops() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let stopping = request.features().get::<dyn ConnectionLifetimeFeature>().unwrap().stopping();
        let (mut sender, body) = channel();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => break,
                    () = sleep(Duration::from_secs(1)) => {
                        sender.send_data(Bytes::from("data: tick\n\n")).await.unwrap();
                    }
                }
            }
            sender.send_data(Bytes::from("data: goodbye\n\n")).await.unwrap();
        });
        Response::new(body)
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let http2 = server.http2().await;
    let (response, _) = http2.send(Request::get("http://a/").body(()).unwrap(), true).await;
    sleep(Duration::from_millis(3500)).await;
    let stop = stop(server.running, LONG);
    let expected = format!("{}data: goodbye\n\n", "data: tick\n\n".repeat(3));
    assert_eq!(client.response().await.text(), expected);
    assert_eq!(collect(response).await.unwrap().body, expected);
    client.closed().await;
    assert_eq!(ended(stop).await, AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_asked_to_close_finishes_its_request() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let http2 = server.http2().await;
    let (response, _) = http2.send(Request::get("http://a/").body(()).unwrap(), true).await;
    for _ in 0..2 {
        let call = soon(calls.recv()).await.unwrap();
        call.features.get::<dyn ConnectionLifetimeFeature>().unwrap().request_close();
        settle().await;
        call.answer(Response::new(Body::from("last")));
    }
    let last = client.response().await;
    assert_eq!((last.text(), last.closes()), ("last", true));
    client.closed().await;
    assert_eq!(collect(response).await.unwrap().body, "last");
    http2.closed().await.unwrap();
    // The server itself goes on.
    assert_eq!(calls.len(), 0);
    let mut next = server.client().await;
    next.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    soon(calls.recv()).await.unwrap().answer(status(204));
    assert_eq!(next.response().await.status, 204);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_runs_has_not_finished() {
    let server = Memory::start(hello).await;
    let mut running = server.running;
    assert!(tokio::time::timeout(LONG, running.finished()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn streams_opened_after_the_goodbye_are_not_lost_silently() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    client.send(PREFACE).await;
    client.send(frame(HEADERS, END, 1, &header_block(&fields))).await;
    let call = soon(calls.recv()).await.unwrap();
    let stop = stop(server.running, LONG);
    // The first GOAWAY allows for what was on its way; once its PING is answered, the second names the last stream.
    client.frame_of(&[GOAWAY]).await;
    let ping = client.frame_of(&[6]).await;
    client.send(frame(6, 1, 0, &ping.payload)).await;
    let goaway = client.frame_of(&[GOAWAY]).await;
    assert_eq!(goaway.payload[..4], [0, 0, 0, 1]);
    client.send(frame(HEADERS, END, 3, &header_block(&fields))).await;
    call.answer(status(204));
    let answer = client.frame_of(&[HEADERS, RST_STREAM]).await;
    assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
    client.rest().await;
    assert!(calls.try_recv().is_err());
    assert_eq!(ended(stop).await, AT_ONCE);
}
