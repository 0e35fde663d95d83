//! Answers as servers of other kinds give them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::support::{Client, Http2, read_to_end, within};

async fn raw(keys: &serde_json::Value) -> Module {
    let mut application =
        json!({ "Command": binary("raw-app"), "Arguments": ["plain"], "ShutdownTimeLimit": 2 });
    for (key, value) in keys.as_object().unwrap() {
        application[key] = value.clone();
    }
    Module::start(application).await
}

/// What a client gets when the application answers with these bytes.
async fn answer(module: &Module, bytes: &str) -> Answer {
    let escaped = bytes.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    curl(["-H", &format!("x-answer: {escaped}"), &module.url("/")]).await
}

#[tokio::test]
async fn a_length_beside_chunks_is_not_believed() {
    let module = raw(&json!({})).await;
    let both =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let answer = answer(&module, both).await;
    assert_eq!((answer.status, answer.text()), (200, "hello"));
    assert_ne!(answer.header("content-length"), Some("3"));
}

#[tokio::test]
async fn an_answer_without_content_has_no_length() {
    let module = raw(&json!({})).await;
    let answer = answer(&module, "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("content-length")), (204, None));
}

#[tokio::test]
async fn a_length_that_is_said_twice_is_said_once() {
    let module = raw(&json!({})).await;
    for length in ["Content-Length: 6, 6", "Content-Length: 6\r\nContent-Length: 6"] {
        let answer = answer(&module, &format!("HTTP/1.1 200 OK\r\n{length}\r\n\r\nabcdef")).await;
        assert_eq!((answer.status, answer.text()), (200, "abcdef"), "{length}");
        assert_eq!(answer.header("content-length"), Some("6"));
    }
}

#[tokio::test]
async fn the_head_of_an_answer_may_have_64_kib_and_100_fields() {
    let mut module = raw(&json!({})).await;
    let url = module.url("/");
    // The client's own server has no such bound.
    for (field, length) in [("x-pad: 60000", 60_000), ("x-pad: 65000", 65_000)] {
        let answer = curl(["-H", field, &url]).await;
        assert_eq!(answer.status, 200, "{field}");
        assert_eq!(answer.header("x-padding").map(str::len), Some(length));
    }
    assert_eq!(curl(["-H", "x-fields: 99", &url]).await.status, 200);
    for field in ["x-pad: 66000", "x-fields: 100"] {
        assert_eq!(curl(["-H", field, &url]).await.status, 502, "{field}");
        let line = module.program.line("could not be forwarded").await;
        assert!(line.contains("64 KiB") && line.contains("100 fields"), "{line}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_502() {
    let mut module = raw(&json!({ "RequestTimeout": 1 })).await;
    module.get("/").await;
    let begun = tokio::time::Instant::now();
    assert_eq!(curl(["-H", "x-wait: 8000", &module.url("/")]).await.status, 502);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(6), "{took:?}");
    let line = module.program.line("could not be forwarded").await;
    assert!(line.contains("requestTimeout"), "{line}");
    // Slower than that, but never silent for so long.
    assert_eq!(curl(["-H", "x-wait: 500", &module.url("/")]).await.status, 200);
}

#[tokio::test]
async fn an_answer_that_stops_coming_breaks_off() {
    let module = raw(&json!({ "RequestTimeout": 1 })).await;
    module.get("/").await;
    let mut client = Client::tcp(([127, 0, 0, 1], module.port).into()).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nx-stall: 1\r\n\r\n").await;
    client.take_until("pid: ").await;
    client.rest().await;
}

#[tokio::test]
async fn a_request_timeout_of_nothing_is_refused() {
    for (key, named) in [
        ("\"RequestTimeout\": 0", "Module:Applications:shop:RequestTimeout"),
        ("\"Path\": \"site\"", "requestTimeout"),
    ] {
        let settings = format!(
            "{{ \"Module\": {{ \"Applications\": {{ \"shop\": {{ \"Command\": {:?}, {key} }} }} }} }}",
            binary("raw-app")
        );
        let config = "<configuration><system.webServer><aspNetCore processPath=\"sh\" requestTimeout=\"00:00:00\" /></system.webServer></configuration>";
        let launch = Launch::of("server-module").file("module.json", settings);
        let error = launch.file("site/web.config", config).args(["check"]).fail().await;
        assert!(error.contains(named) && error.contains("below 00:00:01"), "{error}");
    }
}

#[tokio::test]
async fn a_port_of_its_own_is_refused_with_several_processes() {
    let settings = json!({ "Module": { "Applications": { "shop": {
        "Command": binary("raw-app"), "ProcessesPerApplication": 2,
        "EnvironmentVariables": { "ASPNETCORE_PORT": "20000" },
    } } } });
    let launch = Launch::of("server-module").file("module.json", settings.to_string());
    let error = launch.args(["check"]).fail().await;
    assert!(error.contains("Module:Applications:shop") && error.contains("ASPNETCORE_PORT"), "{error}");
    assert!(error.contains("ProcessesPerApplication"), "{error}");
}

#[tokio::test]
async fn websockets_are_the_only_upgrade() {
    let module = raw(&json!({})).await;
    let fields = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    let answer = curl(["-H", fields[0], "-H", fields[1], "-H", fields[2], &module.url("/")]).await;
    let text = answer.text().to_lowercase();
    assert!(answer.status == 200 && !text.contains("upgrade") && !text.contains("http2-settings"), "{text}");
    let answer = curl(["-H", fields[2], &module.url("/")]).await;
    assert!(!answer.text().to_lowercase().contains("http2-settings"), "{}", answer.text());
    let mut client = Client::tcp(([127, 0, 0, 1], module.port).into()).await;
    client
        .send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    let line = String::from_utf8_lossy(&client.take_until("\r\n").await).into_owned();
    assert!(line.contains(" 405 ") || line.contains(" 400 "), "{line}");
}

fn connect(path: &str, protocol: &'static str) -> http::Request<()> {
    let request = http::Request::builder().method("CONNECT").uri(format!("http://shop.example{path}"));
    let mut request = request.header("sec-websocket-version", "13").body(()).unwrap();
    request.extensions_mut().insert(h2::ext::Protocol::from_static(protocol));
    request
}

async fn http2(module: &Module) -> Http2 {
    let stream = TcpStream::connect(("127.0.0.1", module.port)).await.unwrap();
    let client = Http2::new(stream).await;
    client.settled().await;
    client
}

#[tokio::test]
async fn websockets_over_http2_are_relayed() {
    let module = Module::start(json!({ "Command": binary("features") })).await;
    let client = http2(&module).await;
    let (response, mut up) = client.send(connect("/ws", "websocket"), false).await;
    let response = within(Duration::from_secs(20), response).await.unwrap();
    assert_eq!(response.status(), 200);
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let mut down = response.into_body();
    // A frame of text with a mask of zeros, and one that closes.
    up.send_data(bytes::Bytes::from_static(b"\x81\x85\0\0\0\0hello"), false).unwrap();
    assert_eq!(soon(down.data()).await.unwrap().unwrap(), b"\x81\x05hello"[..]);
    up.send_data(bytes::Bytes::from_static(b"\x88\x82\0\0\0\0\x03\xe8"), true).unwrap();
    assert_eq!(soon(read_to_end(&mut down)).await.unwrap(), b"\x88\x02\x03\xe8"[..]);
}

#[tokio::test]
async fn other_protocols_over_http2_are_refused() {
    let module = raw(&json!({})).await;
    let client = http2(&module).await;
    let (response, _up) = client.send(connect("/bye", "connect-udp"), false).await;
    assert_eq!(within(Duration::from_secs(20), response).await.unwrap().status(), 405);
}

#[tokio::test]
async fn a_relayed_connection_ends_when_the_process_has_ended_it() {
    let module = raw(&json!({})).await;
    module.get("/").await;
    let pid = module.program.id();
    let open = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let before = open();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = TcpStream::connect(("127.0.0.1", module.port)).await.unwrap();
        let request = "GET /bye HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        soon(client.read_to_string(&mut text)).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 101 ") && text.ends_with("bye"), "{text}");
        clients.push(client);
    }
    // They never close.
    within(Duration::from_secs(15), until(|| open() <= before)).await;
    drop(clients);
}

#[tokio::test]
async fn one_field_of_te_says_what_all_do() {
    let module = raw(&json!({})).await;
    let answer = curl(["-H", "TE: trailers", "-H", "TE: gzip;q=1", &module.url("/")]).await;
    let te: Vec<_> = facts(&answer, "te").collect();
    assert_eq!(te, ["trailers"], "{}", answer.text());
    let answer = curl(["-H", "TE: gzip", "-H", "TE: deflate", &module.url("/")]).await;
    assert_eq!(facts(&answer, "te").count(), 0, "{}", answer.text());
}

#[tokio::test]
async fn nobody_believes_a_client_of_a_unix_socket() {
    let folder = crate::program::Folder::new();
    let socket = folder.path().join("web.sock").display().to_string();
    let settings = json!({ "Module": {
        "Endpoints": { "Web": { "Url": format!("http://unix:{socket}") } },
        "Applications": { "shop": odd("plain") },
    }});
    let launch = Launch::of("server-module").file("module.json", settings.to_string());
    let _program = launch.args(["run", "--config", "module.json"]).start().await;
    let answer =
        curl(["--unix-socket", &socket, "-H", "X-Forwarded-For: 8.8.8.8", "http://shop.example/"]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(facts(&answer, "x-forwarded-for").count(), 0, "{}", answer.text());
    assert_eq!(fact(&answer, "x-forwarded-proto"), "http");
}
