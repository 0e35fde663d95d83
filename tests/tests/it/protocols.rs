//! Which HTTP a connection speaks: by the first bytes, by ALPN, by the endpoint.

use http::Version;
use http::{Request, Response};
use server_abstractions::Body;
use server_kestrel::HttpProtocols;

use crate::support::{
    Certificate, Client, END, GOAWAY, HEADERS, Http2, Memory, PREFACE, RST_STREAM, SETTINGS, client_config,
    connect_tls, frame, header_block, hello, soon,
};

const HTTP_1_1_REQUIRED: u32 = 13;

async fn version(request: Request<Body>) -> Response<Body> {
    Response::new(Body::from(match request.version() {
        Version::HTTP_2 => "2",
        _ => "1",
    }))
}

#[tokio::test]
async fn one_cleartext_endpoint_speaks_both() {
    let server = Memory::start(version).await;
    assert_eq!(server.client().await.get("/").await.text(), "1");
    assert_eq!(server.http2().await.get("/").await.body, "2");
}

#[tokio::test]
async fn a_preface_may_come_byte_by_byte() {
    let server = Memory::start(version).await;
    let mut client = server.client().await;
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")];
    let bytes = [PREFACE.to_vec(), frame(HEADERS, END, 1, &header_block(&fields))].concat();
    for byte in bytes {
        client.send([byte]).await;
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(client.frame().await.kind, SETTINGS);
    let answer = client.frame_of(&[HEADERS, RST_STREAM, GOAWAY]).await;
    assert_eq!((answer.kind, answer.stream), (HEADERS, 1));
}

#[tokio::test]
async fn what_only_begins_like_a_preface_is_http_1() {
    let server = Memory::start(version).await;
    for request in [
        "PRI / HTTP/1.1\r\nHost: a\r\n\r\n",
        "P / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        for size in [1, 3, 1000] {
            let mut client = server.client().await;
            for piece in request.as_bytes().chunks(size) {
                client.send(piece).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(client.response().await.text(), "1", "{request}");
        }
    }
    let mut client = server.client().await;
    assert_eq!(client.exchange("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX\r\n\r\n").await.status, 505);
}

#[tokio::test]
async fn an_endpoint_of_http_1_takes_no_preface() {
    let server = Memory::start_endpoint(|endpoint| endpoint.protocols(HttpProtocols::Http1), version).await;
    assert_eq!(server.client().await.get("/").await.text(), "1");
    let mut client = server.client().await;
    client.send(PREFACE).await;
    let goaway = client.frame_of(&[GOAWAY]).await;
    assert_eq!(goaway.error_code(), HTTP_1_1_REQUIRED);
    client.closed().await;
}

#[tokio::test]
async fn an_endpoint_of_http_2_takes_nothing_else() {
    let server = Memory::start_endpoint(|endpoint| endpoint.protocols(HttpProtocols::Http2), version).await;
    assert_eq!(server.http2().await.get("/").await.body, "2");
    // The original answers an HTTP/1.1 request with a 400 in HTTP/1.1.
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!client.rest().await.starts_with(b"HTTP"));
}

async fn secure(protocols: HttpProtocols, certificate: &Certificate) -> Memory {
    Memory::start_endpoint(|endpoint| endpoint.protocols(protocols).https(certificate.https()), version).await
}

#[tokio::test]
async fn over_tls_the_clients_offer_decides() {
    let certificate = Certificate::new();
    let server = secure(HttpProtocols::Http1AndHttp2, &certificate).await;
    for (offer, agreed) in [
        (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
        (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
        (&["h2"][..], Some(&b"h2"[..])),
        (&["http/1.1"][..], Some(&b"http/1.1"[..])),
        (&[][..], None),
    ] {
        let io = server.connector.connect().await.unwrap();
        let tls = connect_tls(io, client_config(&certificate, offer)).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), agreed, "{offer:?}");
        if agreed == Some(b"h2") {
            assert_eq!(Http2::over_tls(tls).await.get("/").await.body, "2");
        } else {
            assert_eq!(Client::new(tls).get("/").await.text(), "1");
        }
    }
}

#[tokio::test]
async fn over_tls_an_offer_of_nothing_that_is_spoken_fails_the_handshake() {
    let certificate = Certificate::new();
    for (protocols, offer) in [
        (HttpProtocols::Http1AndHttp2, "http/1.0"),
        (HttpProtocols::Http1, "h2"),
        (HttpProtocols::Http2, "http/1.1"),
    ] {
        let server = secure(protocols, &certificate).await;
        let io = server.connector.connect().await.unwrap();
        let error = connect_tls(io, client_config(&certificate, &[offer])).await.unwrap_err();
        assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");
    }
}

#[tokio::test]
async fn over_tls_an_endpoint_of_one_protocol_speaks_it_without_an_offer() {
    let certificate = Certificate::new();
    let server = secure(HttpProtocols::Http1, &certificate).await;
    let io = server.connector.connect().await.unwrap();
    let tls = connect_tls(io, client_config(&certificate, &[])).await.unwrap();
    assert_eq!(Client::new(tls).get("/").await.text(), "1");
    let server = secure(HttpProtocols::Http2, &certificate).await;
    let io = server.connector.connect().await.unwrap();
    let tls = connect_tls(io, client_config(&certificate, &[])).await.unwrap();
    assert_eq!(Http2::over_tls(tls).await.get("/").await.body, "2");
}

#[tokio::test]
async fn over_tls_what_was_agreed_on_is_spoken() {
    let certificate = Certificate::new();
    let server = secure(HttpProtocols::Http1AndHttp2, &certificate).await;
    let io = server.connector.connect().await.unwrap();
    let mut client = Client::new(connect_tls(io, client_config(&certificate, &["http/1.1"])).await.unwrap());
    client.send(PREFACE).await;
    assert_eq!(client.frame_of(&[GOAWAY]).await.error_code(), HTTP_1_1_REQUIRED);
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_connects_and_leaves_harms_nobody() {
    let server = Memory::start(hello).await;
    for _ in 0..3 {
        drop(server.client().await);
        let mut client = server.client().await;
        client.send("PRI * HT").await;
        drop(client);
    }
    assert_eq!(soon(server.client()).await.get("/").await.status, 200);
}
