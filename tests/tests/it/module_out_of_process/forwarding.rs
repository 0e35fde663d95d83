use super::*;

#[tokio::test]
async fn a_request_tells_of_its_client_and_of_the_module_alone() {
    let module = Module::start(odd("plain")).await;
    let answer = curl([
        "-H",
        "MS-ASPNETCORE-TOKEN: guessed",
        "-H",
        "ms-aspnetcore-clientcert: mine",
        "-H",
        "X-Forwarded-For: 192.0.2.1",
        "-H",
        "Connection: keep-alive, x-mine",
        "-H",
        "X-Mine: 1",
        "-H",
        "Keep-Alive: 5",
        "-H",
        "TE: gzip",
        "-H",
        "Host: shop.example",
        &module.url("/a%20b?c=d"),
    ])
    .await;
    assert_eq!(answer.text().lines().next(), Some("GET /a%20b?c=d HTTP/1.1"));
    let token = facts(&answer, "ms-aspnetcore-token").collect::<Vec<_>>();
    assert!(token.len() == 1 && token[0].len() == 36 && token[0] != "guessed", "{token:?}");
    let client = fact(&answer, "x-forwarded-for");
    assert!(client.starts_with("192.0.2.1, 127.0.0.1:"), "{client}");
    assert_eq!(fact(&answer, "x-forwarded-proto"), "http");
    assert_eq!(fact(&answer, "host"), "shop.example");
    for name in ["ms-aspnetcore-clientcert", "x-mine", "keep-alive", "te", "connection"] {
        assert_eq!(facts(&answer, name).count(), 0, "{name}: {}", answer.text());
    }
}

#[tokio::test]
async fn requests_of_http2_become_those_of_http1() {
    let module = Module::start(odd("plain")).await;
    let answer = curl([
        "--http2-prior-knowledge",
        "-H",
        "Host: shop.example",
        "-H",
        "Cookie: a=1; b=2",
        &module.url("/x"),
    ])
    .await;
    assert_eq!(answer.text().lines().next(), Some("GET /x HTTP/1.1"));
    assert_eq!((fact(&answer, "host"), fact(&answer, "cookie")), ("shop.example", "a=1; b=2"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_whole_answer() {
    let module = Module::start(odd("plain")).await;
    assert_eq!(module.get("/").await.status, 200);
    let answer = module.get("/half").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("502.3"), "{}", answer.text());
}

#[tokio::test]
async fn bodies_of_100_mb_go_both_ways() {
    let mut application = json!({ "Command": binary("features") });
    application["MaxAllowedContentLength"] = 200_000_000.into();
    let module = Module::start(application).await;
    let upload = module.program.folder().zeros("upload", 100_000_000).display().to_string();
    let count =
        crate::program::tool("curl", ["-sS", "-T", &upload, "-X", "POST", &module.url("/count")]).await;
    assert_eq!(String::from_utf8_lossy(&count.stdout), "100000000");
    let size = ["-sS", "-o", "/dev/null", "-w", "%{size_download}"].map(str::to_owned);
    let size = crate::program::tool("curl", size.into_iter().chain([module.url("/bytes/100000000")])).await;
    assert_eq!(String::from_utf8_lossy(&size.stdout), "100000000");
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let mut application = json!({ "Command": binary("features") });
    application["MaxAllowedContentLength"] = 1000.into();
    let module = Module::start(application).await;
    let upload = module.program.folder().zeros("upload", 1001).display().to_string();
    let answer = curl(["-T", &upload, "-X", "POST", &module.url("/count")]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn websockets_are_relayed() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let module = Module::start(json!({ "Command": binary("features") })).await;
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", module.port)).await.unwrap();
    let url = format!("ws://127.0.0.1:{}/ws", module.port);
    let (mut socket, _) = soon(tokio_tungstenite::client_async(url, stream)).await.unwrap();
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text(text));
    }
}

#[tokio::test]
async fn a_websocket_may_be_silent_for_longer_than_a_request_may_take() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    // The shortest that there is; a request that takes longer ends with it.
    let module = Module::start(json!({ "Command": binary("features"), "RequestTimeout": 1 })).await;
    assert_eq!(module.get("/delay/3000").await.status, 502);
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", module.port)).await.unwrap();
    let url = format!("ws://127.0.0.1:{}/ws", module.port);
    let (mut socket, _) = soon(tokio_tungstenite::client_async(url, stream)).await.unwrap();
    for text in ["one", "two"] {
        let silence = tokio::time::timeout(Duration::from_millis(2500), socket.next()).await;
        assert!(silence.is_err(), "{silence:?}");
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text(text));
    }
}

#[tokio::test]
async fn a_request_that_does_not_come_through_the_module_is_refused() {
    let module = Module::start(json!({ "Command": binary("features") })).await;
    let endpoint = module.get("/connection").await.json()["endpoint"].as_str().unwrap().to_owned();
    let pid = module.worker("features");
    assert_eq!(endpoint, told(pid, "ASPNETCORE_MODULE_SOCKET"));
    let socket = endpoint.strip_prefix("http://unix:@").unwrap();
    let url = format!("http://127.0.0.1:{}/plaintext", told(pid, "ASPNETCORE_PORT"));
    for way in [&[][..], &["--abstract-unix-socket", socket]] {
        for fields in [&[][..], &["-H", "MS-ASPNETCORE-TOKEN: 00000000-0000-0000-0000-000000000000"]] {
            let status = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", &url];
            let output = crate::program::tool("curl", [&status[..], way, fields].concat()).await;
            assert_eq!(String::from_utf8_lossy(&output.stdout), "400", "{way:?} {fields:?}");
        }
    }
}

#[tokio::test]
async fn a_request_without_a_host_gets_one() {
    let module = Module::start(odd("plain")).await;
    let mut client = crate::support::Client::tcp(([127, 0, 0, 1], module.port).into()).await;
    client.send("GET /old HTTP/1.0\r\n\r\n").await;
    client.take_until("host: localhost\n").await;
}

#[tokio::test]
async fn the_module_is_no_way_to_other_hosts() {
    let module = Module::start(odd("plain")).await;
    let mut client = crate::support::Client::tcp(([127, 0, 0, 1], module.port).into()).await;
    client.send("CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n").await;
    let answer = String::from_utf8_lossy(&client.take_until("\r\n").await).into_owned();
    assert!(answer.contains(" 405 ") || answer.contains(" 400 "), "{answer}");
}
