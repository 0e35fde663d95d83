//! Requests that come together: pipelined ones of HTTP/1.1, and streams of HTTP/2. Their answers leave together, but
//! none of them waits for another one that is not ready.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use server_abstractions::{
    Body, Connection, HttpRequestLifetimeFeature, IntoService, Io, Next, RequestFeatures, from_fn,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::support::{
    Certificate, Client, END, HEADERS, Memory, PREFACE, client_config, collect, connect_tls, data, frame,
    frames, header_block, hello, manual, settle, soon, until,
};
use crate::upgrade::{UPGRADE, by_feature};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Counts the writes of every connection.
struct Counting {
    io: Box<dyn Io>,
    writes: Arc<AtomicUsize>,
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut *self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

/// A server whose writes are counted.
async fn counting<M>(app: impl IntoService<M>) -> (Memory, Arc<AtomicUsize>) {
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    let layer = from_fn(move |Connection { io, features }, next: Next| {
        let io = Box::new(Counting { io, writes: Arc::clone(&counted) });
        next.run(Connection { io, features })
    });
    (Memory::start_endpoint(|endpoint| endpoint.layer(layer), app).await, writes)
}

/// Answers with the path and padding, at once.
async fn path(request: Request<Body>) -> Response<Body> {
    Response::new(Body::from(format!("{:<100}", request.uri().path())))
}

/// Sends so many requests at once and takes the answers.
async fn pipeline(client: &mut Client, count: usize) {
    client
        .send((0..count).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect::<String>())
        .await;
    for n in 0..count {
        assert_eq!(client.response().await.text().trim_end(), format!("/{n}"));
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_one_write() {
    let (server, writes) = counting(path).await;
    let mut client = server.client().await;
    // The first time it takes two answers to see that requests are pipelined.
    for most in [2, 1, 1] {
        let before = writes.load(Ordering::Relaxed);
        pipeline(&mut client, 40).await;
        let count = writes.load(Ordering::Relaxed) - before;
        assert!(count <= most, "{count} writes");
    }
    // Requests one by one are not held up, nor is the next batch.
    for count in [1, 1, 3, 1, 200] {
        pipeline(&mut client, count).await;
    }
    assert!(client.is_silent().await);
}

#[tokio::test]
async fn pipelined_answers_of_every_size_arrive_in_order() {
    let certificate = Certificate::new();
    let app = |request: Request<Body>| async move {
        let length = request.uri().path()[1..].parse().unwrap();
        Response::new(Body::from(vec![b'x'; length]))
    };
    let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), app).await;
    let plain = Memory::start(app).await;
    let tls =
        connect_tls(server.connector.connect().await.unwrap(), client_config(&certificate, &["http/1.1"]));
    for mut client in [plain.client().await, Client::new(tls.await.unwrap())] {
        let lengths =
            [1, 10, 16_000, 400, 70_000, 5, 16_384, 16_383, 0, 300_000, 2, 8000, 8000, 8000, 100_000, 1];
        for _ in 0..3 {
            let requests = lengths.map(|length| format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n"));
            client.send(requests.concat()).await;
            for length in lengths {
                assert_eq!(client.response().await.body, vec![b'x'; length]);
            }
        }
        assert!(client.is_silent().await);
    }
}

#[tokio::test]
async fn an_answer_does_not_wait_for_one_that_is_not_ready() {
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let server = Memory::start(move |request: Request<Body>| {
        let released = Arc::clone(&released);
        async move {
            match request.uri().path() {
                "/wait" => released.notified().await,
                "/stream" => return Response::new(frames([data("first "), data("second")])),
                _ => {}
            }
            hello(request).await
        }
    })
    .await;
    let mut client = server.client().await;
    let wait = GET.replacen('/', "/wait", 1);
    let stream = GET.replacen('/', "/stream", 1);
    for _ in 0..3 {
        client.send(format!("{GET}{GET}{GET}{wait}{GET}")).await;
        for _ in 0..3 {
            assert_eq!(client.response().await.text(), "Hello, World!");
        }
        assert!(client.is_silent().await);
        release.notify_one();
        for _ in 0..2 {
            assert_eq!(client.response().await.text(), "Hello, World!");
        }
        // One that comes in pieces, behind others and before others.
        client.send(format!("{GET}{GET}{stream}{GET}")).await;
        for text in ["Hello, World!", "Hello, World!", "first second", "Hello, World!"] {
            assert_eq!(client.response().await.text(), text);
        }
    }
}

#[tokio::test]
async fn what_ends_a_connection_waits_for_the_answers_before() {
    let server = Memory::start(hello).await;
    for last in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        // Bad ones are answered as well.
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = server.client().await;
        client.send(format!("{GET}{GET}{GET}{last}")).await;
        for _ in 0..3 {
            assert_eq!(client.response().await.text(), "Hello, World!");
        }
        client.response().await;
        client.finish_sending().await;
        client.closed().await;
    }
    let mut client = server.client().await;
    client.send(format!("{GET}{GET}{GET}")).await;
    client.finish_sending().await;
    for _ in 0..3 {
        assert_eq!(client.response().await.text(), "Hello, World!");
    }
    client.closed().await;
}

#[tokio::test]
async fn an_upgrade_follows_the_answers_before() {
    let server = Memory::start(|request: Request<Body>| async move {
        if request.headers().contains_key("upgrade") {
            by_feature(request).await
        } else {
            hello(request).await
        }
    })
    .await;
    let mut client = server.client().await;
    client.send(format!("{GET}{GET}{GET}{UPGRADE}early")).await;
    for _ in 0..3 {
        assert_eq!(client.response().await.text(), "Hello, World!");
    }
    assert_eq!(client.response().await.status, 101);
    assert_eq!(client.take(5).await, "EARLY");
}

#[tokio::test]
async fn answers_leave_whatever_a_later_request_does() {
    let server = Memory::start(|request: Request<Body>| async move {
        if request.uri().path() == "/abort" {
            request.features().get::<dyn HttpRequestLifetimeFeature>().unwrap().abort();
        }
        hello(request).await
    })
    .await;
    // An upgrade that the answer does not accept, and a request that ends the connection.
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n";
    let close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let abort = "GET /abort HTTP/1.1\r\nHost: a\r\n\r\n";
    for (requests, answers) in [
        (format!("{upgrade}{GET}{close}"), 3),
        (format!("{GET}{upgrade}{GET}{close}"), 4),
        (format!("{GET}{GET}{GET}{abort}"), 3),
    ] {
        let mut client = server.client().await;
        client.send(&requests).await;
        let rest = client.rest().await;
        assert_eq!(String::from_utf8_lossy(&rest).matches("HTTP/1.1 200").count(), answers, "{requests}");
    }
}

/// Nearly all that the way to the client takes, or so many bytes once it is told to go.
async fn large_then(length: usize, go: &Notify, path: &str) -> Response<Body> {
    let is_first = path == "/large";
    if !is_first {
        go.notified().await;
    }
    Response::new(Body::from("x".repeat(if is_first { UNDER_WAY - 1000 } else { length })))
}

#[tokio::test]
async fn what_is_left_of_a_body_is_not_answered_in_front_of_the_answer_before() {
    for length in [10_000, 300_000] {
        let answer = Arc::new(Notify::new());
        let go = Arc::clone(&answer);
        let app = move |request: Request<Body>| {
            let go = Arc::clone(&go);
            async move { large_then(length, &go, request.uri().path()).await }
        };
        let server = Memory::start(app).await;
        let mut client = server.client().await;
        // The way to the client is nearly full already.
        client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe").await;
        settle().await;
        client.send("llo\x01garbage\r\n\r\n").await;
        answer.notify_one();
        settle().await;
        assert_eq!(client.response().await.body.len(), UNDER_WAY - 1000);
        let response = client.response().await;
        assert_eq!((response.status, response.body.len()), (200, length));
        let rest = client.rest().await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"), "{}", rest.escape_ascii());
    }
}

/// The bytes that wait in memory between the two ends.
const UNDER_WAY: usize = 64 * 1024;

#[tokio::test]
async fn a_client_that_takes_no_answers_is_asked_for_no_more() {
    const ANSWER: usize = 1000;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let (server, _) = counting(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Response::new(Body::from(vec![b'x'; ANSWER])) }
    })
    .await;
    let mut client = server.client().await;
    client.send(GET.repeat(2000)).await;
    settle().await;
    let most = (UNDER_WAY + 2 * 16 * 1024) / ANSWER;
    let answered = calls.load(Ordering::Relaxed);
    assert!((10..most).contains(&answered), "{answered} answers");
    for _ in 0..2000 {
        assert_eq!(client.response().await.body.len(), ANSWER);
    }
    assert!(client.is_silent().await);
}

#[tokio::test]
async fn a_large_answer_before_other_requests_is_made_as_it_is_taken() {
    const PIECE: &[u8] = &[b'x'; 1000];
    let pieces = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pieces);
    let server = Memory::start(move |_: Request<Body>| {
        let counted = Arc::clone(&counted);
        let piece = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            data(Bytes::from_static(PIECE))
        };
        async move { Response::new(frames(std::iter::repeat_with(piece).take(1000))) }
    })
    .await;
    let mut client = server.client().await;
    client.send(GET.repeat(5)).await;
    for _ in 0..10 {
        settle().await;
    }
    let made = pieces.load(Ordering::Relaxed) * PIECE.len();
    assert!((UNDER_WAY..UNDER_WAY + 100_000).contains(&made), "{made} bytes");
    for _ in 0..5 {
        assert_eq!(client.response().await.body.len(), 1000 * PIECE.len());
    }
}

#[tokio::test]
async fn a_stop_sends_what_has_been_answered() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = Memory::start(move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Response::new(Body::from(vec![b'x'; 1000])) }
    })
    .await;
    let mut client = server.client().await;
    client.send(GET.repeat(500)).await;
    settle().await;
    let stop = tokio::spawn(server.running.stop(tokio::time::sleep(Duration::from_secs(5))));
    settle().await;
    let answers = calls.load(Ordering::Relaxed);
    assert!(answers < 200, "{answers} answers");
    for _ in 0..answers {
        assert_eq!(client.response().await.body.len(), 1000);
    }
    client.finish_sending().await;
    client.closed().await;
    assert_eq!(calls.load(Ordering::Relaxed), answers);
    soon(stop).await.unwrap();
}

fn streams(count: u32) -> Vec<u8> {
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    let request = |n| frame(HEADERS, END, 2 * n + 1, &header_block(&fields));
    (0..count).flat_map(request).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_that_come_together_are_answered_in_few_writes() {
    // When the machine is busy with something else, a turn takes long, and its streams get tasks of their own.
    for _ in 0..20 {
        let (server, writes) = counting(path).await;
        let mut client = server.client().await;
        client.send([PREFACE, &streams(50)].concat()).await;
        let mut answered = Vec::new();
        for _ in 0..50 {
            answered.push(client.frame_of(&[HEADERS]).await.stream);
        }
        answered.sort_unstable();
        assert_eq!(answered, (0..50).map(|n| 2 * n + 1).collect::<Vec<_>>());
        if writes.load(Ordering::Relaxed) <= 5 {
            return;
        }
    }
    panic!("the answers came in many writes, twenty times");
}

#[tokio::test]
async fn a_stream_does_not_wait_for_one_that_is_not_ready() {
    let (waiting, mut calls) = manual();
    let server = Memory::start(move |request: Request<Body>| {
        let waiting = (request.uri().path() == "/wait").then(|| waiting.handle(Request::new(Body::empty())));
        async move {
            match waiting {
                Some(answer) => answer.await,
                None => hello(request).await,
            }
        }
    })
    .await;
    let client = server.http2().await;
    let (answer, _) = client.send(Request::get("http://a/wait").body(()).unwrap(), true).await;
    let call = soon(calls.recv()).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.get("/").await.body, "Hello, World!");
    }
    call.answer(Response::new(Body::from("at last")));
    assert_eq!(collect(answer).await.unwrap().body, "at last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn streams_that_keep_a_thread_busy_are_taken_by_others() {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&most);
    let server = Memory::start(move |request: Request<Body>| {
        let (busy, most) = (Arc::clone(&busy), Arc::clone(&most));
        async move {
            most.fetch_max(busy.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
            busy.fetch_sub(1, Ordering::Relaxed);
            hello(request).await
        }
    })
    .await;
    let mut client = server.client().await;
    client.send([PREFACE, &streams(10)].concat()).await;
    for _ in 0..10 {
        client.frame_of(&[HEADERS]).await;
    }
    assert!(seen.load(Ordering::Relaxed) > 1, "one after the other");
}

/// A body that is there, and panics when it goes.
struct Bomb(Option<Bytes>);

impl http_body::Body for Bomb {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<http_body::Frame<Bytes>>>> {
        Poll::Ready(self.0.take().map(|data| Ok(http_body::Frame::data(data))))
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_panic_where_nobody_expects_it_ends_one_stream_and_the_connection_goes_on() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dropped);
    let server = Memory::start(move |request: Request<Body>| {
        let counted = Arc::clone(&counted);
        async move {
            if request.uri().path() == "/" {
                return hello(request).await;
            }
            counted.fetch_add(1, Ordering::Relaxed);
            Response::new(Body::new(Bomb(Some(Bytes::from("tick")))))
        }
    })
    .await;
    let client = server.http2().await;
    for n in 1..=3 {
        let (answer, _) = client.send(Request::get("http://a/bomb").body(()).unwrap(), true).await;
        let _ = collect(answer).await;
        until(|| dropped.load(Ordering::Relaxed) == n).await;
        assert_eq!(client.get("/").await.body, "Hello, World!");
    }
    drop(client);
    soon(server.running.stop(std::future::pending())).await;
}
