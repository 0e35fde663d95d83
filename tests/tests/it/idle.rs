//! Connections of HTTP/1.1 that rest between two requests: nothing of it may be noticed but the memory.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use server_abstractions::{
    Body, Connection, ConnectionLifetimeFeature, HttpRequestIdentifierFeature, IntoService, Io, Next,
    RequestFeatures, Stopped, from_fn,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::support::{
    Certificate, Client, Memory, client_config, connect_tls, count, echo, hello, manual, settle, soon,
    status, within, without_rates,
};
use crate::upgrade::{UPGRADE, by_feature, by_hyper};

/// More than the server needs to find out that a connection is idle.
const A_WHILE: Duration = Duration::from_secs(5);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Answers with the number of the request on its connection.
async fn ordinal(request: Request<Body>) -> Response<Body> {
    let id = request.features().get::<dyn HttpRequestIdentifierFeature>().unwrap().trace_identifier();
    Response::new(Body::from(id.rsplit(':').next().unwrap().to_owned()))
}

/// A server over TLS, and a connection to it.
async fn secure<M>(app: impl IntoService<M>) -> (Memory, impl Io) {
    let certificate = Certificate::new();
    let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), app).await;
    let io = server.connector.connect().await.unwrap();
    (server, connect_tls(io, client_config(&certificate, &["http/1.1"])).await.unwrap())
}

/// A server and a client, without TLS or with it.
async fn connected<M>(is_secure: bool, app: impl IntoService<M>) -> (Memory, Client) {
    if is_secure {
        let (server, io) = secure(app).await;
        return (server, Client::new(io));
    }
    let server = Memory::start(app).await;
    let client = server.client().await;
    (server, client)
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_and_counted_on_after_any_idle_time() {
    // Some of them come at the very moment of a look.
    let pauses = [0, 999, 1000, 1001, 1999, 2000, 2001, 129_000, 10_000];
    for is_secure in [false, true] {
        let (_server, mut client) = connected(is_secure, ordinal).await;
        for (before, pause) in pauses.into_iter().enumerate() {
            sleep(Duration::from_millis(pause)).await;
            assert_eq!(client.get("/").await.text(), format!("{:08X}", before + 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_may_come_in_pieces_after_an_idle_time() {
    for is_secure in [false, true] {
        let (_server, mut client) = connected(is_secure, hello).await;
        for _ in 0..3 {
            client.send("G").await;
            sleep(A_WHILE).await;
            client.send("ET / HTTP/1.1\r\nHo").await;
            sleep(A_WHILE).await;
            assert_eq!(client.exchange("st: a\r\n\r\n").await.text(), "Hello, World!");
            sleep(A_WHILE).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_request_is_read_whole_after_an_idle_time() {
    let server = Memory::start(count).await;
    let mut client = server.client().await;
    let body = "x".repeat(100_000);
    let field = "y".repeat(20_000);
    for _ in 0..3 {
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nLong: {field}\r\nContent-Length: {}\r\n\r\n", body.len());
        client.send(head + &body).await;
        assert_eq!(client.response().await.text(), "100000");
        sleep(A_WHILE).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_head_right_behind_a_request_is_kept() {
    let server = Memory::start(ordinal).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT").await;
    assert_eq!(client.response().await.text(), "00000001");
    sleep(A_WHILE).await;
    client.send("TP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "00000002");
    assert_eq!(client.response().await.text(), "00000003");
    assert!(client.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn http_1_0_is_kept_alive_over_an_idle_time() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        let response = client.exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
        assert_eq!((response.text(), response.closes()), ("Hello, World!", false));
        sleep(A_WHILE).await;
    }
    client.exchange("GET / HTTP/1.0\r\n\r\n").await;
    client.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_can_be_upgraded_after_an_idle_time() {
    async fn app(request: Request<Body>) -> Response<Body> {
        match request.uri().path() {
            "/feature" => by_feature(request).await,
            "/hyper" => by_hyper(request).await,
            _ => hello(request).await,
        }
    }
    let server = Memory::start(app).await;
    for path in ["/feature", "/hyper"] {
        let mut client = server.client().await;
        client.get("/").await;
        sleep(A_WHILE).await;
        assert_eq!(client.exchange(&(UPGRADE.replacen('/', path, 1) + "early ")).await.status, 101);
        sleep(A_WHILE).await;
        client.send("and late").await;
        assert_eq!(client.take(14).await, "EARLY AND LATE");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_a_resting_connection_ends_it() {
    let (send, mut ended) = mpsc::unbounded_channel();
    let layer = from_fn(move |connection: Connection, next: Next| {
        let send = send.clone();
        async move {
            send.send(next.run(connection).await.is_ok()).unwrap_or_default();
            Ok(())
        }
    });
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), hello).await;
    let mut client = server.client().await;
    client.get("/").await;
    sleep(A_WHILE).await;
    drop(client);
    assert_eq!(soon(ended.recv()).await, Some(true));
}

#[tokio::test(start_paused = true)]
async fn a_resting_connection_closes_at_once_when_the_server_stops() {
    for is_secure in [false, true] {
        let (server, mut client) = connected(is_secure, hello).await;
        client.get("/").await;
        sleep(A_WHILE).await;
        let before = Instant::now();
        assert_eq!(server.running.stop(sleep(DAY)).await, Stopped::Drained);
        assert_eq!(before.elapsed(), Duration::ZERO);
        client.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_resting_connection_can_be_closed_and_aborted_by_the_app() {
    for abort in [false, true] {
        let (app, mut calls) = manual();
        let server = Memory::start(app).await;
        let mut client = server.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let call = soon(calls.recv()).await.unwrap();
        let connection = call.features.get::<dyn ConnectionLifetimeFeature>().unwrap();
        call.answer(status(204));
        client.response().await;
        sleep(A_WHILE).await;
        if abort {
            connection.abort()
        } else {
            connection.request_close()
        }
        let before = Instant::now();
        client.closed().await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn the_idle_time_of_a_resting_connection_over_tls_ends_with_a_goodbye() {
    let (_server, mut io) = secure(hello).await;
    io.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let before = Instant::now();
    // Without close_notify this would be an error.
    within(DAY, io.read_to_end(&mut Vec::new())).await.unwrap();
    assert!((130..=131).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_slowly_comes_whole() {
    let answer = Bytes::from(vec![b'x'; 2_000_000]);
    let body = answer.clone();
    let app = move |_: Request<Body>| {
        let response = Response::new(Body::from(body.clone()));
        async { response }
    };
    let server = Memory::start(app).await;
    for pause in [10, 100, 1000] {
        let mut client = server.client().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.take_until("\r\n\r\n").await;
        for _ in 0..20 {
            assert!(client.take(100_000).await == answer[..100_000]);
            sleep(Duration::from_millis(pause)).await;
        }
        client.get("/").await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_body_is_not_taken_for_a_request() {
    // The app answers first. Then it looks at the body, which is too large, and keeps it.
    let app = |request: Request<Body>| {
        tokio::spawn(async {
            sleep(Duration::from_millis(100)).await;
            let mut body = request.into_body();
            assert!(body.frame().await.unwrap().is_err());
            std::future::pending::<()>().await;
        });
        async { status(202) }
    };
    let limit = |options: &mut server_kestrel::KestrelOptions| {
        options.limits.max_request_body_size = Some(10);
    };
    let server = Memory::start_with(limit, app).await;
    let mut client = server.client().await;
    let rest = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", rest.len());
    assert_eq!(client.exchange(&head).await.status, 202);
    sleep(A_WHILE).await;
    client.send(rest).await;
    assert!(client.is_silent().await);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_pause_longer_than_an_idle_connection() {
    let server = Memory::start_with(without_rates, echo).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab").await;
    sleep(A_WHILE).await;
    client.send("cd").await;
    sleep(A_WHILE).await;
    assert_eq!(client.exchange("ef").await.text(), "abcdef");
}

/// Tells how much room there was in the last read.
struct Room {
    io: Box<dyn Io>,
    room: Arc<AtomicUsize>,
}

impl AsyncRead for Room {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.room.store(buf.remaining(), Ordering::Relaxed);
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Room {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// hyper waits with a buffer of 8 KiB; what waits with less is not hyper.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_does_not_wait_with_a_large_buffer() {
    let room = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&room);
    let layer = from_fn(move |Connection { io, features }, next: Next| {
        let io = Box::new(Room { io, room: Arc::clone(&room) });
        async move { next.run(Connection { io, features }).await }
    });
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), hello).await;
    let mut client = server.client().await;
    settle().await;
    assert!((1..=2048).contains(&seen.load(Ordering::Relaxed)), "{seen:?}");
    for _ in 0..3 {
        client.get("/").await;
        assert!(seen.load(Ordering::Relaxed) >= 4096, "{seen:?}");
        sleep(A_WHILE).await;
        assert!((1..=2048).contains(&seen.load(Ordering::Relaxed)), "{seen:?}");
    }
}
