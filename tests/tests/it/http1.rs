//! HTTP/1.1 and HTTP/1.0: framing, connections, header fields of the server's own, panics.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use server_abstractions::Body;
use tokio::net::TcpSocket;

use crate::support::{
    Client, Memory, channel, count, data, echo, frames, hello, soon, start_on_tcp, status, trailers,
};

#[tokio::test]
async fn a_request_is_answered_over_a_real_socket() {
    let (_running, address) = start_on_tcp(hello).await;
    let mut client = Client::tcp(address).await;
    let response = client.get("/").await;
    assert_eq!((response.status, response.text()), (200, "Hello, World!"));
    assert!(response.head.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(response.header("content-length"), Some("13"));
    assert_eq!(response.header("connection"), None);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.text(), "Hello, World!");
    }
}

#[tokio::test]
async fn a_connection_ends_when_the_client_says_close() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    let response = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(response.closes());
    client.closed().await;
}

#[tokio::test]
async fn a_connection_ends_when_the_app_says_close() {
    async fn app(_: Request<Body>) -> Response<Body> {
        Response::builder().header("connection", "close").body(Body::from("bye")).unwrap()
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    let response = client.get("/").await;
    assert_eq!((response.text(), response.closes()), ("bye", true));
    client.closed().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        // The first ones take longest.
        for _ in path.len()..10 {
            tokio::task::yield_now().await;
        }
        Response::new(Body::from(path))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    let paths = ["/", "/a", "/ab", "/abc", "/abcd"];
    let requests: String =
        paths.iter().map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests).await;
    for path in paths {
        assert_eq!(client.response().await.text(), path);
    }
    assert!(client.is_silent().await);
}

#[tokio::test]
async fn a_request_may_come_byte_by_byte() {
    let server = Memory::start(echo).await;
    let mut client = server.client().await;
    for byte in b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.response().await.text(), "abc");
}

#[tokio::test]
async fn head_gets_the_length_and_no_body() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let response = client.response_to_head().await;
    assert_eq!((response.status, response.header("content-length")), (200, Some("13")));
    // The next response begins right after the head.
    assert_eq!(client.get("/").await.text(), "Hello, World!");
}

#[tokio::test]
async fn a_body_of_unknown_length_goes_out_in_chunks_as_it_comes() {
    let (mut sender, body) = channel();
    let body = Arc::new(Mutex::new(Some(body)));
    let server = Memory::start(move |_: Request<Body>| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Response::new(body) }
    })
    .await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = client.take_until("\r\n\r\n").await;
    let head = String::from_utf8(head.to_vec()).unwrap().to_lowercase();
    assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
    for piece in ["Hello, ", "World!"] {
        sender.send_data(Bytes::from(piece)).await.unwrap();
        let expected = format!("{:X}\r\n{piece}\r\n", piece.len());
        assert_eq!(client.take(expected.len()).await, expected);
    }
    drop(sender);
    assert_eq!(client.take(5).await, "0\r\n\r\n");
}

#[tokio::test]
async fn a_chunked_request_is_put_together() {
    let server = Memory::start(count).await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send("5\r\nHello\r\nA;name=value\r\n, World!!!\r\n0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "15");
    assert_eq!(client.get("/").await.text(), "0");
}

#[tokio::test]
async fn http_1_0_gets_no_chunks_and_a_close() {
    async fn app(_: Request<Body>) -> Response<Body> {
        Response::new(frames([data("a"), data("b")]))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    let response = client.exchange("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(response.text(), "ab");
    assert_eq!((response.header("transfer-encoding"), response.header("content-length")), (None, None));
    client.closed().await;
}

#[tokio::test]
async fn http_1_0_is_kept_alive_only_if_it_asks() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    let keep = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        let response = client.exchange(keep).await;
        assert_eq!((response.text(), response.header("connection")), ("Hello, World!", Some("keep-alive")));
    }
    let response = client.exchange("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(response.text(), "Hello, World!");
    client.closed().await;
}

#[tokio::test]
async fn trailers_of_a_response_go_to_those_who_take_them() {
    async fn app(_: Request<Body>) -> Response<Body> {
        let body = frames([data("abc"), trailers(&[("x-sum", "7")])]);
        Response::builder().header("trailer", "x-sum").body(body).unwrap()
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    let response = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n").await;
    assert_eq!(response.text(), "abc");
    assert_eq!(response.trailers, [("x-sum".to_owned(), "7".to_owned())]);

    let response = client.get("/").await;
    assert_eq!((response.text(), response.trailers.len()), ("abc", 0));
}

#[tokio::test]
async fn the_server_names_itself_unless_told_otherwise() {
    async fn own(_: Request<Body>) -> Response<Body> {
        Response::builder().header("server", "mine").body(Body::empty()).unwrap()
    }
    let server = Memory::start(hello).await;
    assert_eq!(server.client().await.get("/").await.header("server"), Some("Kestrel"));
    let server = Memory::start(own).await;
    assert_eq!(server.client().await.get("/").await.header("server"), Some("mine"));
    let server = Memory::start_with(|options| options.add_server_header = false, hello).await;
    assert_eq!(server.client().await.get("/").await.header("server"), None);
}

#[tokio::test]
async fn a_response_is_dated_unless_the_app_dates_it() {
    async fn own(_: Request<Body>) -> Response<Body> {
        Response::builder().header("date", "Thu, 01 Jan 1970 00:00:00 GMT").body(Body::empty()).unwrap()
    }
    let server = Memory::start(hello).await;
    let response = server.client().await.get("/").await;
    let date = response.header("date").unwrap();
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
    let server = Memory::start(own).await;
    assert_eq!(server.client().await.get("/").await.header("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
}

#[tokio::test]
async fn a_status_without_a_body_has_no_length() {
    for code in [204, 304] {
        let server = Memory::start(move |_: Request<Body>| async move { status(code) }).await;
        let mut client = server.client().await;
        let response = client.get("/").await;
        assert_eq!((response.status, response.header("content-length")), (code, None));
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(client.get("/").await.status, code);
    }
}

#[tokio::test]
async fn an_empty_response_says_that_it_is_empty() {
    let server = Memory::start(|_: Request<Body>| async { status(200) }).await;
    assert_eq!(server.client().await.get("/").await.header("content-length"), Some("0"));
}

#[tokio::test]
async fn an_unknown_method_reaches_the_app() {
    async fn app(request: Request<Body>) -> Response<Body> {
        Response::new(Body::from(request.method().to_string()))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    for method in ["BREW", "get", "M-SEARCH"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.exchange(&request).await.text(), method);
    }
}

#[tokio::test]
async fn empty_lines_before_a_request_are_skipped() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        let response = client.exchange("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(response.text(), "Hello, World!");
    }
}

#[tokio::test]
async fn lines_may_end_in_a_line_feed_alone() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    for request in ["GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n"] {
        assert_eq!(client.exchange(request).await.text(), "Hello, World!");
    }
}

async fn panics_at_panic(request: Request<Body>) -> Response<Body> {
    assert_ne!(request.uri().path(), "/panic", "on purpose");
    hello(request).await
}

#[tokio::test]
async fn a_panic_is_answered_with_500_and_everything_goes_on() {
    let server = Memory::start(panics_at_panic).await;
    let mut client = server.client().await;
    let response = client.get("/panic").await;
    assert_eq!((response.status, response.header("content-length")), (500, Some("0")));
    assert_eq!(server.client().await.get("/").await.text(), "Hello, World!");
}

#[tokio::test]
async fn a_panic_in_the_body_ends_the_connection_before_the_body_is_complete() {
    async fn app(request: Request<Body>) -> Response<Body> {
        if request.uri().path() == "/panic" {
            let panics = std::iter::from_fn(|| panic!("on purpose"));
            return Response::new(frames([data("abc")].into_iter().chain(panics)));
        }
        hello(request).await
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let all = client.rest().await;
    let all = std::str::from_utf8(&all).unwrap();
    assert!(all.starts_with("HTTP/1.1 200 OK\r\n") && !all.ends_with("0\r\n\r\n"), "{all}");
    assert_eq!(server.client().await.get("/").await.text(), "Hello, World!");
}

#[tokio::test]
async fn an_error_of_the_body_ends_the_connection_before_the_body_is_complete() {
    async fn app(_: Request<Body>) -> Response<Body> {
        Response::new(frames([data("abc"), Err("broken".into())]))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let all = client.rest().await;
    assert!(!all.ends_with(b"0\r\n\r\n"), "{all:?}");
}

#[tokio::test]
async fn an_answer_that_ends_the_connection_arrives_whole_although_more_was_asked() {
    let answer = Bytes::from(vec![b'x'; 500_000]);
    let body = answer.clone();
    let (_running, address) = start_on_tcp(move |_: Request<Body>| {
        let response = Response::new(Body::from(body.clone()));
        async { response }
    })
    .await;
    // Little room, and a pause before it reads, so that much has not been sent when the server is done with it.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = Client::new(soon(socket.connect(address)).await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3000)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let response = client.response().await;
    assert!(response.closes() && response.body == answer, "{} bytes", response.body.len());
    client.closed().await;
}

#[tokio::test]
async fn a_status_205_has_no_content() {
    let app = |_: Request<Body>| async {
        let mut response = status(205);
        *response.body_mut() = Body::from("not to be sent");
        response
    };
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        let response = client.get("/").await;
        assert_eq!((response.status, response.header("content-length")), (205, Some("0")));
    }
    assert!(client.is_silent().await);
}

#[tokio::test]
async fn a_status_that_ends_no_request_is_answered_with_500() {
    for code in [101, 103] {
        let server = Memory::start(move |_: Request<Body>| async move { status(code) }).await;
        let mut client = server.client().await;
        for _ in 0..2 {
            assert_eq!(client.get("/").await.status, 500, "{code}");
        }
    }
}
