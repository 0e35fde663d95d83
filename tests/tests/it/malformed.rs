//! Requests that are none, or that must not reach an app: bytes in, a status and a closed connection out.
//!
//! What the original answers stands in section 7 of its fact sheet. Where the answer here is another one, the case
//! stands in [`DIFFERENT`] with both.

use crate::support::{Client, Memory, Response, count, hello, start_on_tcp};

/// Whole requests, the status they get, and the status of the original.
const DIFFERENT: &[(&str, u16, u16)] = &[
    // Stricter here: spaces and control bytes.
    ("GET /   HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200),
    ("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200),
    ("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200),
    ("GET /<> HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200),
    ("GET / HTTP/1.1\r\nHost: a\r\nName: \x01\r\n\r\n", 400, 200),
    ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 200),
    // Laxer here.
    ("GET http://a/ HTTP/1.1\r\nHost: A\r\n\r\n", 200, 400),
];

/// Sends a request and takes the one answer, after which the connection ends.
async fn refused(request: &[u8], status: u16) -> Response {
    let shown = request.escape_ascii().to_string();
    let server = Memory::start(count).await;
    let mut client = server.client().await;
    // A good request that follows on the same connection is not answered.
    client.send([request, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).await;
    let response = client.response().await;
    assert_eq!(response.status, status, "{shown}");
    assert!(response.closes() && response.body.is_empty(), "{shown}: {}", response.head);
    assert!(response.head.starts_with("HTTP/1.1 "), "{shown}: {}", response.head);
    assert!(response.header("date").is_some(), "{shown}: {}", response.head);
    assert_eq!(response.header("content-length"), Some("0"), "{shown}");
    client.closed().await;
    response
}

#[tokio::test]
async fn a_refusal_is_one_whole_answer() {
    let raw: &[&[u8]] = &[
        b"GET\r\nHost: a\r\n\r\n",
        b"G\xc4T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nN\x80: value\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\rX",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        // Chunks were not known yet.
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    for request in raw {
        refused(request, 400).await;
    }
    refused(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505).await;
}

#[tokio::test]
async fn a_request_without_a_host_is_refused_unless_it_is_http_1_0() {
    refused(b"GET / HTTP/1.1\r\n\r\n", 400).await;
    refused(b"GET http://a/ HTTP/1.1\r\n\r\n", 400).await;
    let server = Memory::start(hello).await;
    for request in ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n"] {
        assert_eq!(server.client().await.exchange(request).await.status, 200);
    }
}

#[tokio::test]
async fn a_target_and_a_host_that_differ_are_refused() {
    for (target, host) in [
        ("http://a/", "b"),
        ("http://a/", ""),
        ("http://a:81/", "a"),
        ("https://a/", "a:80"),
        ("http://a/", "a:443"),
    ] {
        refused(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), 400).await;
    }
    refused(b"CONNECT a:80 HTTP/1.1\r\nHost: b:80\r\n\r\n", 400).await;
    let server = Memory::start(hello).await;
    for (target, host) in [
        ("http://a", "a"),
        ("http://a/x?y", "a"),
        ("http://a:80/", "a"),
        ("http://a/", "a:80"),
        ("https://a:443", "a"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(server.client().await.exchange(&request).await.status, 200, "{target} {host}");
    }
}

#[tokio::test]
async fn a_target_of_another_method_is_answered_with_405_and_the_method() {
    for method in ["GET", "PUT", "POST", "DELETE", "TRACE", "PATCH", "BREW"] {
        let response = refused(format!("{method} * HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), 405).await;
        assert_eq!(response.header("allow"), Some("OPTIONS"));
        let response = refused(format!("{method} a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").as_bytes(), 405).await;
        assert_eq!(response.header("allow"), Some("CONNECT"));
    }
    let server = Memory::start(hello).await;
    assert_eq!(server.client().await.exchange("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_with_431_or_414() {
    let fields = |count: usize| (0..count).map(|n| format!("N{n}: x\r\n")).collect::<String>();
    let many = |count| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(count));
    refused(many(100).as_bytes(), 431).await;
    let long = |length| format!("GET / HTTP/1.1\r\nHost: a\r\nName: {}\r\n\r\n", "x".repeat(length));
    refused(long(50_000).as_bytes(), 431).await;
    let target = |length| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length));
    refused(target(50_000).as_bytes(), 414).await;
    // 16 bytes are not of the target: method, version and end.
    refused(target(8192 - 15).as_bytes(), 414).await;

    let server = Memory::start(hello).await;
    for request in [many(99), long(32_000), target(8192 - 16)] {
        assert_eq!(server.client().await.exchange(&request).await.status, 200);
    }
}

#[tokio::test]
async fn limits_on_the_head_are_obeyed() {
    let limits = |options: &mut server_kestrel::KestrelOptions| {
        options.limits.max_request_header_count = 2;
        options.limits.max_request_headers_total_size = 8192;
    };
    let server = Memory::start_with(limits, hello).await;
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    for (fields, status) in [("A: x\r\n".to_owned(), 200), ("A: x\r\nB: x\r\n".to_owned(), 431)] {
        assert_eq!(server.client().await.exchange(&with(&fields)).await.status, status);
    }
    let long = format!("A: {}\r\n", "x".repeat(8192));
    assert_eq!(server.client().await.exchange(&with(&long)).await.status, 431);
}

#[tokio::test]
async fn some_answers_differ_from_those_of_the_original() {
    for (request, status, original) in DIFFERENT {
        assert_ne!(status, original, "{request:?} does not belong here");
        let server = Memory::start(count).await;
        let response = server.client().await.exchange(request).await;
        assert_eq!(response.status, *status, "{request:?}");
        assert!(response.status == 200 || response.closes(), "{request:?}");
    }
}

#[tokio::test]
async fn a_malformed_request_after_a_good_one_is_refused_after_its_answer() {
    let server = Memory::start(hello).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /\r\nHost: a\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "Hello, World!");
    assert_eq!(client.response().await.status, 400);
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_ends_within_a_head_gets_no_second_answer() {
    // The original answers 400 to the first three.
    for request in ["G", "GET / HTTP/1.1\r", "GET / HTTP/1.1\r\nHost: a\r\n", "\r\n", ""] {
        let server = Memory::start(hello).await;
        let mut client = server.client().await;
        client.send(request).await;
        client.finish_sending().await;
        client.closed().await;
    }
}

#[tokio::test]
async fn a_malformed_request_is_refused_over_a_real_socket_and_others_go_on() {
    let (_running, address) = start_on_tcp(hello).await;
    let mut other = Client::tcp(address).await;
    assert_eq!(other.get("/").await.status, 200);
    let mut client = Client::tcp(address).await;
    assert_eq!(client.exchange("GET\r\n\r\n").await.status, 400);
    client.closed().await;
    assert_eq!(other.get("/").await.status, 200);
}
