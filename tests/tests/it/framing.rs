//! Where a message ends, and what is answered: bytes in, statuses out.
//!
//! Each case is followed by a good request on the same connection. What is accepted is answered, and so is the request
//! behind it; what is refused is answered once, and nothing behind it.

use crate::support::{Memory, count};

/// The request that follows each case.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[rustfmt::skip]
const BAD_LINES: &[&str] = &[
    "GET", "GET /", "GET / ", "GET HTTP/1.1", "GET  / HTTP/1.1", "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1",
    "GET / HTTP/1.1 ", " GET / HTTP/1.1", "\tGET / HTTP/1.1", "GET / HTTP", "GET / HTTP/1", "GET / HTTP/1.",
    "GET / HTTP/11", "GET / HTTP/1.1x", "GET / HTTP/1.1 x", "GET / x HTTP/1.1", "GET /\r HTTP/1.1",
    "G@T / HTTP/1.1", "(GET) / HTTP/1.1", "G\"T / HTTP/1.1", "G/T / HTTP/1.1", "G:T / HTTP/1.1",
    "G<T / HTTP/1.1", "G[T / HTTP/1.1", "G{T / HTTP/1.1", "G\\T / HTTP/1.1", "G,T / HTTP/1.1",
    "G;T / HTTP/1.1", "G=T / HTTP/1.1", "G\0T / HTTP/1.1", "GET /\0 HTTP/1.1", "GET /?\0 HTTP/1.1",
    "GET /a b HTTP/1.1", "GET /?a b HTTP/1.1", "GET ? HTTP/1.1", "GET % HTTP/1.1", "GET ** HTTP/1.1",
    "GET /\u{e5} HTTP/1.1", "GET /?\u{e5} HTTP/1.1", "GET /%00 HTTP/1.1", "GET /a%00b?c HTTP/1.1",
    "GET http://a/%00 HTTP/1.1", "GET ws://a/ HTTP/1.1", "GET ftp://a/ HTTP/1.1", "CONNECT a HTTP/1.1",
    "CONNECT a: HTTP/1.1", "CONNECT a:0 HTTP/1.1", "CONNECT a:65536 HTTP/1.1", "CONNECT a:80 HTTP/1.1",
    "GET a/b HTTP/1.1", "GET /a#b HTTP/1.1", "GET # HTTP/1.1", "GET http:// HTTP/1.1", "GET http:/ HTTP/1.1",
    "GET http:/a HTTP/1.1", "GET http://:80/ HTTP/1.1", "GET http://user@/ HTTP/1.1",
    "GET http://a/#b HTTP/1.1", "CONNECT http://a/ HTTP/1.1", "\x16\x03\x01\x02", "\0\0\0\0",
];

#[rustfmt::skip]
const GOOD_TARGETS: &[&str] = &[
    "/", "/a", "/a/b", "//", "/a//b", "/a/../b", "/.", "/..", "/%20", "/%C3%A5", "/%25", "/%2F", "/a?b",
    "/?", "/?a=b&c", "/?/", "/?a?b", "/a;b", "/a:b", "/a@b", "/!$&'()*+,=", "/-._~", "/?%A", "/?%00",
];

#[rustfmt::skip]
const GOOD_FIELDS: &[&str] = &[
    "Name: value", "Name:value", "Name:\tvalue", "Name: value ", "Name: value\t", "Name:", "Name: ",
    "Name: a:b", "Name: \u{e5}", "N: \"a, b\"", "!#$%&'*+-.^_`|~0: a", "Name: a\tb", "Content-Length: 0",
    "Content-Length:0", "Content-Length: 00", "Connection: keep-alive", "X-Content-Length: 5",
    "Content-Length-X: 5", "Transfer-Encodings: chunked", "Expect: nothing", "TE: trailers",
];

#[rustfmt::skip]
const BAD_FIELDS: &[&str] = &[
    ": value", "Name : value", "Name\t: value", "Name", "Na me: value", "Na\rme: value", "N\0: value",
    "N@: value", "N(: value", "Name: a\r\n folded", "Name: a\r\n\tfolded", "Name: a\r\n \r\n", "Name: a\rb",
    "Name: a\r\rb", "Name: \ra", "Name: a\0b", "Name: a\x7f", "Name: a\x1b", "Host: a", "Host: b",
    "Content-Length: NaN", "Content-Length: -1", "Content-Length: +1", "Content-Length: 1 1",
    "Content-Length: 1, 1", "Content-Length: 1,", "Content-Length: 0x1", "Content-Length: 1.0",
    "Content-Length: 1e1", "Content-Length:", "Content-Length: ", "Content-Length: \u{661}",
    "Content-Length: 1\r\nContent-Length: 2", "Content-Length: 1\r\nContent-Length: 1",
    "Content-Length: 0\r\nContent-Length: 0", "Content-Length: 9223372036854775808",
    "Content-Length: 18446744073709551616", "Content-Length: 99999999999999999999999",
    "Transfer-Encoding: gzip", "Transfer-Encoding: identity", "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: chunked,",
    "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Transfer-Encoding:",
    "Transfer-Encoding: chunked\r\nContent-Length: 0", "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
];

#[rustfmt::skip]
const GOOD_HOSTS: &[&str] = &[
    "", "a", "a.b", "A", "a:80", "a-b", "a_b", "a~b", "1.2.3.4", "1.2.3.4:80", "[::1]", "[::1]:80",
    "[1:2::3]", "a!b", "a$b", "a&b", "a'b", "(a)", ".",
];

#[rustfmt::skip]
const BAD_HOSTS: &[&str] = &[
    "a b", "a/", "a@b", "a,b", "a;b", "a=b", "a+b", "a*b", "a%20b", ":80", "a:", "a:b", "a:80:80", "[", "[]",
    "[::1", "[::1]80", "[g]", "http://a", "a\\b", "a|b", "a<b",
];

#[rustfmt::skip]
const GOOD_CHUNKS: &[&str] = &[
    "0\r\n\r\n", "00\r\n\r\n", "00000000\r\n\r\n", "1\r\na\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n",
    "a\r\n0123456789\r\n0\r\n\r\n", "00000001\r\na\r\n0\r\n\r\n", "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
    "2\r\n\r\n\r\n0\r\n\r\n", "1;a\r\nx\r\n0\r\n\r\n", "1;a=b\r\nx\r\n0\r\n\r\n",
    "1;a=\"b\"\r\nx\r\n0\r\n\r\n", "1;a=\"b c;d=\\\"\"\r\nx\r\n0\r\n\r\n", "1;a;b=c;d\r\nx\r\n0\r\n\r\n",
    "1 ; a = b\r\nx\r\n0\r\n\r\n", "1\t;\ta\r\nx\r\n0\r\n\r\n", "0;a=b\r\n\r\n", "0\r\nName: value\r\n\r\n",
    "0\r\nName: value\r\nOther:\r\n\r\n", "1\r\nx\r\n0\r\nName: a\tb\r\n\r\n",
];

#[rustfmt::skip]
const BAD_CHUNKS: &[&str] = &[
    "\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\na\r\n", " 1\r\na\r\n", "\t1\r\na\r\n", "1 \r\na\r\n",
    "1\t\r\na\r\n", "1 1\r\na\r\n", "1\na\r\n", "1\ra\r\n", "1\r\r\na\r\n", "1\r\na\n", "1\r\na\r0",
    "1\r\nab\r\n", "1\r\na0\r\n", "3\r\nab\r\n0\r\n", "000000001\r\na\r\n", "80000000\r\n", "ffffffff\r\n",
    "fffffffff\r\n", "fffffffffffffffff\r\n", "1;\r\na\r\n", "1;;a\r\na\r\n", "1;=\r\na\r\n",
    "1;=b\r\na\r\n", "1;a=\r\na\r\n", "1;a=;b\r\na\r\n", "1;a b\r\na\r\n", "1;a=b c\r\na\r\n",
    "1;a=\"b\r\na\r\n", "1;a=\"b\"c\r\na\r\n", "1;a\n\r\na\r\n", "1;\na\r\n", "1;a\rb\r\na\r\n",
    "1;a=\"\r\"\r\na\r\n", "1;a=\"\n\"\r\na\r\n", "1;a=\"\0\"\r\na\r\n", "1;(\r\na\r\n", "1,a\r\na\r\n",
    "1:a\r\na\r\n", "0\r\n\n", "0\r\n\ra", "0\n\r\n", "0\r\nName\r\n\r\n", "0\r\nName : a\r\n\r\n",
    "0\r\n: a\r\n\r\n", "0\r\nName: a\n\r\n", "0\r\nName: a\rb\r\n\r\n", "0\r\n Name: a\r\n\r\n",
    "0\r\nName: a\0\r\n\r\n",
];

/// The statuses of all answers on a connection that brings these bytes.
async fn statuses(bytes: &[u8]) -> Vec<u16> {
    let server = Memory::start(count).await;
    let mut client = server.client().await;
    client.send([bytes, NEXT].concat()).await;
    let answers = client.rest().await;
    let answers = String::from_utf8_lossy(&answers).into_owned();
    answers.split("HTTP/1.").skip(1).filter_map(|answer| answer.get(2..5)?.parse().ok()).collect()
}

async fn accepted(bytes: impl AsRef<[u8]>) {
    let shown = bytes.as_ref().escape_ascii().to_string();
    assert_eq!(statuses(bytes.as_ref()).await, [200, 200], "{shown}");
}

async fn refused(bytes: impl AsRef<[u8]>, status: u16) {
    let shown = bytes.as_ref().escape_ascii().to_string();
    assert_eq!(statuses(bytes.as_ref()).await, [status], "{shown}");
}

fn with_field(field: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n")
}

fn with_body(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    with_body("Transfer-Encoding: chunked", body)
}

#[tokio::test]
async fn good_request_lines() {
    for target in GOOD_TARGETS {
        for method in ["GET", "BREW", "get", "M-SEARCH", "!#$%&'*+-.^_`|~0"] {
            accepted(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        }
    }
    for target in ["http://a", "http://a/", "http://a/x?y", "https://a/", "http://a:80/"] {
        accepted(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }
    accepted("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").await;
}

#[tokio::test]
async fn empty_lines_before_a_request_are_nothing() {
    for lines in ["\r\n", "\n", "\r\n\r\n", "\n\r\n\n"] {
        accepted(format!("{lines}GET / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        accepted(format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{lines}")).await;
    }
}

#[tokio::test]
async fn a_line_of_the_head_may_end_in_a_line_feed_alone() {
    let end = |bits: u8, place: u8| if bits & (1 << place) == 0 { "\r\n" } else { "\n" };
    for bits in 0..16 {
        let ends: Vec<_> = (0..4).map(|place| end(bits, place)).collect();
        accepted(format!("GET / HTTP/1.1{}Host: a{}Name: b{}{}", ends[0], ends[1], ends[2], ends[3])).await;
    }
}

#[tokio::test]
async fn bad_request_lines() {
    for line in BAD_LINES {
        refused(format!("{line}\r\nHost: a\r\n\r\n"), 400).await;
    }
    for version in
        ["HTTP/1.2", "HTTP/1.9", "HTTP/0.9", "HTTP/2.0", "HTTP/3.0", "http/1.1", "Http/1.1", "8charact"]
    {
        refused(format!("GET / {version}\r\nHost: a\r\n\r\n"), 505).await;
    }
    for (method, target, status) in
        [("GET", "*", 405), ("POST", "*", 405), ("GET", "a", 405), ("GET", "a:80", 405), ("PUT", "a:80", 405)]
    {
        refused(format!("{method} {target} HTTP/1.1\r\nHost: a:80\r\n\r\n"), status).await;
    }
}

#[tokio::test]
async fn good_fields() {
    for field in GOOD_FIELDS {
        accepted(with_field(field)).await;
    }
}

#[tokio::test]
async fn bad_fields() {
    for field in BAD_FIELDS {
        refused(with_field(field), 400).await;
    }
    // A carriage return at the places where fast scanners take another way.
    for length in [0, 1, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65] {
        refused(with_field(&format!("Name: {}\rb", "a".repeat(length))), 400).await;
        refused(with_field(&format!("Name: {}\0", "a".repeat(length))), 400).await;
    }
}

#[tokio::test]
async fn hosts() {
    for host in GOOD_HOSTS {
        accepted(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    }
    for host in BAD_HOSTS {
        refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"), 400).await;
    }
    refused("GET / HTTP/1.1\r\n\r\n", 400).await;
    accepted("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    for method in ["POST", "PUT"] {
        refused(format!("{method} / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 400).await;
        accepted(format!("{method} / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")).await;
    }
}

#[tokio::test]
async fn bodies_with_a_length() {
    for length in [1, 2, 10, 1000, 100_000] {
        let body = "x".repeat(length);
        accepted(with_body(&format!("Content-Length: {length}"), &body)).await;
        accepted(with_body(&format!("content-length:\t{length} "), &body)).await;
        accepted(with_body(&format!("CONTENT-LENGTH: 0{length}"), &body)).await;
    }
    // What looks like a request within a body is none.
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    accepted(with_body(&format!("Content-Length: {}", inner.len()), inner)).await;
    // One byte too much is the beginning of the next request.
    refused_after_one(with_body("Content-Length: 1", "xy "), 400).await;
}

/// A good request, then one that is refused.
async fn refused_after_one(bytes: String, status: u16) {
    assert_eq!(statuses(bytes.as_bytes()).await, [200, status], "{bytes:?}");
}

#[tokio::test]
async fn good_chunks() {
    for body in GOOD_CHUNKS {
        accepted(chunked(body)).await;
    }
    for fields in [
        "Transfer-Encoding:chunked",
        "transfer-encoding: CHUNKED",
        "Transfer-Encoding: \tchunked ",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    ] {
        accepted(with_body(fields, "1\r\na\r\n0\r\n\r\n")).await;
    }
    let large = format!("{:x}\r\n{}\r\n0\r\n\r\n", 100_000, "x".repeat(100_000));
    accepted(chunked(&large)).await;
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    accepted(chunked(&format!("{:x}\r\n{inner}\r\n0\r\n\r\n", inner.len()))).await;
}

#[tokio::test]
async fn bad_chunks() {
    for body in BAD_CHUNKS {
        refused(chunked(body), 400).await;
    }
}

#[tokio::test]
async fn limits_of_the_head_at_their_edges() {
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 16));
    accepted(line(8191)).await;
    accepted(line(8192)).await;
    refused(line(8193), 414).await;
    refused(line(100_000), 414).await;
    // `Host: a` and its end are 9 bytes, and `N: ` with its end 5.
    let fields = |size: usize| with_field(&format!("N: {}", "x".repeat(size - 14)));
    accepted(fields(32_767)).await;
    accepted(fields(32_768)).await;
    refused(fields(32_769), 431).await;
    refused(fields(100_000), 431).await;
    let many = |count: usize| with_field(vec!["N: x"; count - 1].join("\r\n").as_str());
    accepted(many(99)).await;
    accepted(many(100)).await;
    refused(many(101), 431).await;
    refused(many(1000), 431).await;
    // Trailers share what the fields leave.
    let trailers = |count: usize| chunked(&format!("0\r\n{}\r\n", "N: x\r\n".repeat(count)));
    accepted(trailers(98)).await;
    refused(trailers(99), 400).await;
}

#[tokio::test]
async fn a_body_needs_no_reader_to_be_refused_once() {
    let server = Memory::start(crate::support::hello).await;
    for body in ["1\r\na\n", "x\r\n", "1;\r\na\r\n"] {
        let mut client = server.client().await;
        client.send([chunked(body).as_bytes(), NEXT].concat()).await;
        let answers = client.rest().await;
        let answers = String::from_utf8_lossy(&answers).into_owned();
        assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{body:?}: {answers}");
    }
}
