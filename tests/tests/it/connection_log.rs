//! The log of the bytes of connections.

use hosting::{WebApplication, WebApplicationOptions};
use server_kestrel::{ConnectionLog, ConnectionLoggingLayer, Endpoint};

use crate::layers::Captured;
use crate::program::Folder;
use crate::support::{
    Certificate, Client, Memory, client_config, connect_tls, echo, hello, loopback, options, socket_address,
    start, until,
};

const TARGET: &str = "server_kestrel::connection_log";

fn log(max_bytes: usize, max_bytes_per_connection: usize) -> ConnectionLog {
    let limits = ConnectionLoggingLayer { max_bytes, max_bytes_per_connection };
    ConnectionLog { limits, ..ConnectionLog::default() }
}

/// The bytes of the dumps, put together again.
fn dumped(text: &str) -> Vec<u8> {
    let is_dump = |line: &&str| {
        let byte = line.get(..3).and_then(|byte| byte.strip_suffix(' '));
        byte.is_some_and(|byte| u8::from_str_radix(byte, 16).is_ok())
    };
    let line = |line: &str| -> Vec<u8> {
        line.split(' ').take(16).map_while(|byte| u8::from_str_radix(byte, 16).ok()).collect()
    };
    text.lines().filter(is_dump).flat_map(line).collect()
}

#[tokio::test]
async fn it_shows_both_directions_and_the_end() {
    let captured = Captured::default();
    let _guard = captured.start();
    let endpoint = loopback().connection_log(ConnectionLog::default());
    let running = start(options([endpoint]), echo).await;
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret";
    let answer = client.exchange(request).await;
    assert_eq!(answer.text(), "secret");
    drop(client);
    until(|| captured.text().contains("the connection has ended")).await;
    let text = captured.text();
    assert!(text.contains("passwords and cookies"), "a warning at the start: {text}");
    let events: Vec<_> = text.lines().filter(|line| line.contains(TARGET)).collect();
    assert!(events.iter().all(|event| event.contains("TRACE") && event.contains("connection=\"")), "{text}");
    let reads = format!("direction=\"read\" offset=0 count={}", request.len());
    assert!(events[0].contains(&reads), "{text}");
    assert!(text.contains("direction=\"write\" offset=0"), "{text}");
    let sent = request.len() + answer.head.len() + answer.body.len();
    let dumped = dumped(&text);
    assert!(dumped.starts_with(request.as_bytes()) && dumped.ends_with(b"secret"), "{text}");
    assert_eq!(dumped.len(), sent);
    let end = format!("read={} written={}", request.len(), sent - request.len());
    assert!(events.last().unwrap().contains(&end), "{text}");
}

#[tokio::test]
async fn it_shows_no_more_than_it_may() {
    let captured = Captured::default();
    let _guard = captured.start();
    let server = Memory::start_endpoint(|endpoint| endpoint.connection_log(log(10, 25)), hello).await;
    let mut client = server.client().await;
    for _ in 0..5 {
        client.get("/secret").await;
    }
    drop(client);
    until(|| captured.text().contains("the connection has ended")).await;
    let text = captured.text();
    let shown = dumped(&text);
    assert_eq!(shown.len(), 25, "{text}");
    assert!(shown.starts_with(b"GET /secreHTTP/1.1 2"), "{text}");
    assert_eq!(text.matches("as many bytes of the connection are shown as may be").count(), 1);
    assert_eq!(text.matches("direction=").count(), 3, "{text}");
}

#[tokio::test]
async fn it_stands_on_either_side_of_tls() {
    for below_tls in [false, true] {
        let captured = Captured::default();
        let _guard = captured.start();
        let certificate = Certificate::new();
        let set = |endpoint: Endpoint| {
            let log = ConnectionLog { below_tls, ..ConnectionLog::default() };
            endpoint.https(certificate.https()).connection_log(log)
        };
        let server = Memory::start_endpoint(set, hello).await;
        let io = server.connector.connect().await.unwrap();
        let tls = connect_tls(io, client_config(&certificate, &[])).await.unwrap();
        let mut client = Client::new(tls);
        client.get("/secret").await;
        let shown = dumped(&captured.text());
        let is_plain = shown.starts_with(b"GET /secret");
        // A handshake begins with a record of type 22.
        assert_eq!((is_plain, shown.starts_with(&[22, 3])), (!below_tls, below_tls));
        assert_eq!(shown.windows(7).any(|bytes| bytes == b"/secret"), !below_tls);
    }
}

#[tokio::test]
async fn the_configuration_switches_it_on() {
    let captured = Captured::default();
    let _guard = captured.start();
    let folder = Folder::new();
    let values = [
        ("Kestrel:Endpoints:Web:Url", "http://127.0.0.1:0"),
        ("Kestrel:Endpoints:Web:ConnectionLog:BelowTls", "true"),
        ("Kestrel:Endpoints:Web:ConnectionLog:MaxBytes", "5"),
        ("Kestrel:Endpoints:Web:ConnectionLog:MaxBytesPerConnection", "8"),
    ];
    let builder = WebApplication::builder_with(WebApplicationOptions {
        arguments: Some(Vec::new()),
        content_root: Some(folder.path().to_owned()),
        values: values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..WebApplicationOptions::default()
    });
    let running = builder.build(hello).unwrap().start().await.unwrap();
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    client.get("/secret").await;
    assert_eq!(dumped(&captured.text()), b"GET /HTT");
    assert!(captured.text().contains("endpoint \"Web\""), "{}", captured.text());
}
