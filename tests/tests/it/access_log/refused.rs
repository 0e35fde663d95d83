//! The lines of requests that a server refused itself, so that no layer has seen them.

use std::net::SocketAddr;
use std::sync::Arc;

use hosting::{
    AccessLogField as Field, AccessLogFormat, AccessLogOptions, FeatureCollection, RefusedRequest,
};
use http::StatusCode;
use serde_json::{Value, json};
use server_abstractions::HttpConnectionFeature;

use server_kestrel::Kestrel;

use super::Logged;
use crate::support::{Certificate, Client, loopback, options, soon};

struct Connection;

impl HttpConnectionFeature for Connection {
    fn connection_id(&self) -> &str {
        "0123456789ABC"
    }

    fn local_address(&self) -> Option<SocketAddr> {
        Some("192.0.2.1:443".parse().unwrap())
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        Some("[2001:db8::7]:50000".parse().unwrap())
    }
}

fn features() -> FeatureCollection {
    let mut features = FeatureCollection::new();
    features.set::<dyn HttpConnectionFeature>(Arc::new(Connection));
    features
}

/// A request line that wants to be two lines, and a connection that came to nothing.
fn refuse(log: &Logged) {
    let features = features();
    log.log.refused(&RefusedRequest {
        features: &features,
        method: Some(b"GE\"T\n"),
        target: Some(b"/a b\r\n#x?q=\xff?r"),
        status: Some(StatusCode::BAD_REQUEST),
        error_type: "invalid_request_line",
    });
    log.log.refused(&RefusedRequest {
        features: &FeatureCollection::new(),
        method: None,
        target: None,
        status: None,
        error_type: "tls_handshake_failed",
    });
}

#[tokio::test]
async fn they_are_lines_of_w3c_with_their_reason() {
    let log = Logged::of(&[
        Field::ClientIpAddress,
        Field::ClientPort,
        Field::ServerPort,
        Field::ConnectionId,
        Field::Method,
        Field::UriStem,
        Field::UriQuery,
        Field::ProtocolStatus,
        Field::ResponseBytes,
        Field::TimeTaken,
        Field::Host,
        Field::TraceIdentifier,
        Field::ErrorType,
    ]);
    refuse(&log);
    let lines = log.lines(2).await;
    let first = "2001:db8::7 50000 443 0123456789ABC GE%22T%0A /a+b%0D%0A%23x q=%FF?r 400 0 - - - invalid_request_line";
    assert_eq!(lines, [first, "- - - - - - - - 0 - - - tls_handshake_failed"]);
}

#[tokio::test]
async fn they_are_lines_of_the_other_formats() {
    let log = Logged::format(AccessLogFormat::Combined);
    refuse(&log);
    let lines = log.lines(2).await;
    let first = r#"] "GE\"T\n /a b\r\n#x?q=\xff?r" 400 - "-" "-""#;
    assert!(lines[0].starts_with("2001:db8::7 - - [") && lines[0].ends_with(first), "{lines:#?}");
    assert!(lines[1].starts_with("- - - [") && lines[1].ends_with(r#"] "-" - - "-" "-""#), "{lines:#?}");

    let log = Logged::format(AccessLogFormat::Json);
    refuse(&log);
    let lines: Vec<Value> =
        log.lines(2).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |line: &Value| ["method", "path", "status", "error_type"].map(|name| line[name].clone());
    assert_eq!(
        told(&lines[0]),
        [json!("GE\"T\n"), json!("/a b\r\n#x"), json!(400), json!("invalid_request_line")]
    );
    assert_eq!(told(&lines[1]), [Value::Null, Value::Null, Value::Null, json!("tls_handshake_failed")]);
}

#[tokio::test]
async fn a_server_has_them_written_for_whoever_it_refuses() {
    let log = Logged::of(&[Field::Method, Field::UriStem, Field::ProtocolStatus, Field::ErrorType]);
    let certificate = Certificate::new();
    let endpoints = [loopback(), loopback().https(certificate.https())];
    let mut options = options(endpoints);
    options.limits.max_request_body_size = Some(3);
    options.limits.max_concurrent_connections = Some(2);
    let kestrel = Kestrel::new(options).observer(Arc::new(log.log.clone()));
    let running = soon(kestrel.start(log.around(crate::support::count))).await.unwrap();
    let address = |index: usize| crate::support::socket_address(&running.addresses()[index]);
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a: b\r\n".repeat(101));
    for (at, request, line) in [
        (0, "GET /x HTTP/1.1\r\n\r\n", "GET /x 400 invalid_request_headers"),
        (0, "GET / HTTP/3.1\r\n\r\n", "505 invalid_http_version"),
        (0, &*long, "414 invalid_request_line"),
        (0, &*many, "431 max_request_header_count_exceeded"),
        // This one has reached the application, and has one line all the same.
        (
            0,
            "POST /y HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nfour",
            "POST /y 413 max_request_body_size_exceeded",
        ),
        (1, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "- - - tls_handshake_failed"),
    ] {
        let before = log.log.written_lines();
        let mut client = Client::tcp(address(at)).await;
        client.send(request).await;
        let _ = client.rest().await;
        let lines = log.lines(usize::try_from(before).unwrap() + 1).await;
        assert!(lines.last().unwrap().ends_with(line), "{request}: {lines:?}");
    }
    let before = log.log.written_lines();
    let _both = [Client::tcp(address(0)).await, Client::tcp(address(0)).await];
    Client::tcp(address(0)).await.closed().await;
    let lines = log.lines(usize::try_from(before).unwrap() + 1).await;
    assert_eq!(lines.last().unwrap(), "- - - max_concurrent_connections_exceeded");
}

#[tokio::test]
async fn their_queries_are_redacted_too() {
    for format in [AccessLogFormat::W3c, AccessLogFormat::Common, AccessLogFormat::Json] {
        let log =
            Logged::new(&AccessLogOptions { format, redact_query: true, ..AccessLogOptions::default() });
        let features = features();
        log.log.refused(&RefusedRequest {
            features: &features,
            method: Some(b"GET"),
            target: Some(b"/p?s3cret?s3cret"),
            status: Some(StatusCode::URI_TOO_LONG),
            error_type: "invalid_request_line",
        });
        let line = log.line().await;
        assert!(!line.contains("s3cret") && line.contains("[redacted]") && line.contains("/p"), "{line}");
    }
}
