//! How responses are framed, whatever fields the app sets.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Version};
use server_abstractions::Body;

use crate::support::{Memory, collect, data, frames};

/// What the app answers with, by the path of the request: `/status/body/fields`, where the body is `whole` (its length is
/// known), `pieces` or `none`, and the fields are those of `FIELDS` by their place.
async fn answer(request: Request<Body>) -> Response<Body> {
    let parts: Vec<_> = request.uri().path().split('/').collect();
    let mut response = Response::builder().status(parts[1]);
    for place in parts[3].bytes() {
        let (name, value) = &FIELDS[usize::from(place - b'0')];
        response = response.header(name, *value);
    }
    let body = match parts[2] {
        "whole" => Body::from("hello"),
        "pieces" => frames([data("he"), data("llo")]),
        _ => Body::empty(),
    };
    response.body(body).unwrap()
}

const FIELDS: &[(http::HeaderName, &str)] = &[
    (CONTENT_LENGTH, "5"),
    (CONTENT_LENGTH, "3"),
    (CONTENT_LENGTH, "7"),
    (CONTENT_LENGTH, "0"),
    (CONTENT_LENGTH, "many"),
    (TRANSFER_ENCODING, "chunked"),
    (TRANSFER_ENCODING, "gzip, chunked"),
    (CONNECTION, "close"),
];

/// What the client finds: the status, how the message is framed, and its body.
type Found = (u16, &'static str, &'static str);

/// Asks for a path, and behind it for another one, which is answered if the connection goes on.
async fn check(method: &str, path: &str, (status, framing, body): Found) {
    let server = Memory::start(answer).await;
    let mut client = server.client().await;
    let next = "GET /204/none/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.send(format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n{next}")).await;
    let all = client.rest().await;
    let all = std::str::from_utf8(&all).unwrap();
    let (head, rest) = all.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {all}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {all}");
    let fields: Vec<_> = head
        .lines()
        .filter(|line| line.starts_with("content-length:") || line.starts_with("transfer-encoding:"))
        .collect();
    assert_eq!(fields.join(", "), framing, "{method} {path}: {all}");
    let Some(rest) = rest.strip_prefix(body) else { panic!("{method} {path}: {all}") };
    let goes_on = !head.contains("connection: close");
    assert_eq!(rest.starts_with("HTTP/1.1 204 "), goes_on, "{method} {path}: {all}");
    assert!(goes_on || rest.is_empty(), "{method} {path}: {all}");
}

const CHUNKS: &str = "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
const CHUNK: &str = "5\r\nhello\r\n0\r\n\r\n";
const NOTHING: Found = (500, "content-length: 0", "");

#[tokio::test]
async fn the_fields_of_an_app_cannot_break_the_framing() {
    let cases: &[(&str, Found)] = &[
        ("/200/none/", (200, "content-length: 0", "")),
        ("/200/whole/", (200, "content-length: 5", "hello")),
        ("/200/pieces/", (200, "transfer-encoding: chunked", CHUNKS)),
        // A length that is right, too small, too large, none, and twice.
        ("/200/whole/0", (200, "content-length: 5", "hello")),
        ("/200/pieces/0", (200, "content-length: 5", "hello")),
        ("/200/whole/1", NOTHING),
        ("/200/whole/2", NOTHING),
        ("/200/whole/3", NOTHING),
        ("/200/none/0", NOTHING),
        ("/200/whole/4", NOTHING),
        ("/200/whole/00", NOTHING),
        ("/200/whole/01", NOTHING),
        // The coding of the app.
        ("/200/whole/5", (200, "content-length: 5", "hello")),
        ("/200/whole/05", (200, "content-length: 5", "hello")),
        ("/200/pieces/5", (200, "transfer-encoding: chunked", CHUNKS)),
        ("/200/whole/6", (200, "transfer-encoding: gzip, chunked", CHUNK)),
        ("/200/whole/06", (200, "transfer-encoding: gzip, chunked", CHUNK)),
        // Statuses without content.
        ("/204/none/", (204, "", "")),
        ("/204/whole/", (204, "", "")),
        ("/204/pieces/", (204, "", "")),
        ("/204/none/3", (204, "", "")),
        ("/204/none/5", (204, "", "")),
        ("/204/none/6", (204, "", "")),
        ("/204/none/0", NOTHING),
        ("/205/whole/", (205, "content-length: 0", "")),
        ("/205/none/0", (205, "content-length: 0", "")),
        ("/304/none/", (304, "", "")),
        ("/304/whole/", (304, "", "")),
        ("/304/none/0", (304, "", "")),
        ("/304/none/5", (304, "", "")),
        // Statuses that end no request.
        ("/100/none/", NOTHING),
        ("/101/none/", NOTHING),
        ("/103/none/", NOTHING),
        // The end of the connection.
        ("/200/whole/7", (200, "content-length: 5", "hello")),
        ("/200/pieces/7", (200, "transfer-encoding: chunked", CHUNKS)),
    ];
    for (path, found) in cases {
        check("GET", path, *found).await;
    }
    let cases: &[(&str, Found)] = &[
        ("/200/none/", (200, "", "")),
        ("/200/whole/", (200, "content-length: 5", "")),
        ("/200/pieces/", (200, "", "")),
        ("/200/none/0", (200, "content-length: 5", "")),
        ("/200/whole/0", (200, "content-length: 5", "")),
        ("/200/whole/1", (200, "content-length: 3", "")),
        ("/200/whole/5", (200, "content-length: 5", "")),
        ("/204/whole/", (204, "", "")),
        ("/304/whole/", (304, "", "")),
    ];
    for (path, found) in cases {
        check("HEAD", path, *found).await;
    }
}

/// A body in pieces that is not as long as its head says is found out when the head has been sent.
#[tokio::test]
async fn a_body_in_pieces_that_breaks_its_length_ends_the_connection() {
    let server = Memory::start(answer).await;
    for (field, bytes) in [("1", "3"), ("2", "7")] {
        let mut client = server.client().await;
        client.send(format!("GET /200/pieces/{field} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(2)).await;
        let all = client.rest().await;
        let all = std::str::from_utf8(&all).unwrap();
        assert_eq!(all.matches("HTTP/1.1 ").count(), 1, "{all}");
        let (head, body) = all.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {bytes}")), "{all}");
        assert!(body.len() < bytes.parse().unwrap() && "hello".starts_with(body), "{all}");
    }
}

#[tokio::test]
async fn the_version_is_that_of_the_connection_whatever_the_app_sets() {
    let versions = [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3];
    for version in versions {
        let app = move |_: Request<Body>| async move {
            Response::builder().version(version).body(Body::from("hello")).unwrap()
        };
        let server = Memory::start(app).await;
        let mut client = server.client().await;
        for _ in 0..2 {
            let response = client.get("/").await;
            assert!(response.head.starts_with("HTTP/1.1 200 "), "{version:?}: {}", response.head);
            assert_eq!((response.text(), response.closes()), ("hello", false), "{version:?}");
        }
        assert_eq!(server.http2().await.get("/").await.body, "hello", "{version:?}");
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_gets_no_chunks() {
    let server = Memory::start(answer).await;
    for path in ["/200/pieces/", "/200/pieces/5"] {
        let mut client = server.client().await;
        client.send(format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).await;
        let all = client.rest().await;
        let all = std::str::from_utf8(&all).unwrap();
        assert!(all.ends_with("\r\n\r\nhello") && !all.contains("transfer-encoding"), "{all}");
    }
}

#[tokio::test]
async fn over_http_2_fields_of_the_connection_are_left_out_and_lengths_hold() {
    let server = Memory::start(answer).await;
    let client = server.http2().await;
    for (path, status, length, body) in [
        ("/200/whole/", 200, Some("5"), "hello"),
        ("/200/pieces/", 200, None, "hello"),
        ("/200/whole/5", 200, Some("5"), "hello"),
        ("/200/whole/6", 200, Some("5"), "hello"),
        ("/200/whole/7", 200, Some("5"), "hello"),
        ("/200/pieces/0", 200, Some("5"), "hello"),
        ("/200/whole/1", 500, None, ""),
        ("/200/none/0", 500, None, ""),
        ("/204/whole/", 204, None, ""),
        ("/304/none/0", 304, None, ""),
    ] {
        let response = client.get(path).await;
        let found = response.headers.get(CONTENT_LENGTH).map(|length| length.to_str().unwrap());
        assert_eq!(
            (response.status.as_u16(), found, &response.body[..]),
            (status, length, body.as_bytes()),
            "{path}"
        );
        assert!(!response.headers.contains_key(TRANSFER_ENCODING), "{path}");
        assert!(!response.headers.contains_key(CONNECTION), "{path}");
    }
    for path in ["/200/pieces/1", "/200/pieces/2"] {
        let request = Request::get(format!("http://a{path}")).body(()).unwrap();
        let error = collect(client.send(request, true).await.0).await.unwrap_err();
        assert!(error.is_reset(), "{path}: {error}");
    }
    assert_eq!(client.get("/200/whole/").await.status, StatusCode::OK, "the connection goes on");
}
