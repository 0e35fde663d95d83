//! The sample `axum-app`: a Router with tower-http layers over real sockets.

use crate::program::{Launch, Program, curl, tool};

async fn start() -> Program {
    Launch::of("axum-app").args(["--urls", "http://127.0.0.1:0"]).start().await
}

#[tokio::test]
async fn the_peer_is_the_one_of_the_socket() {
    let program = start().await;
    for (option, name) in [("--http1.1", "Kestrel"), ("--http2-prior-knowledge", "Gr%C3%BCn")] {
        let port = crate::program::free_port();
        let url = program.url(&format!("/greet/{name}"));
        let answer = curl([option, "--local-port", &port.to_string(), &url]).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json()["you"], format!("127.0.0.1:{port}"));
        let greeted = if name == "Kestrel" { "Hello, Kestrel" } else { "Hello, Grün" };
        assert_eq!(answer.json()["greeting"], greeted);
    }
}

#[tokio::test]
async fn json_is_read_and_written() {
    let program = start().await;
    let url = program.url("/echo");
    let json = "content-type: application/json";
    let answer = curl(["-H", json, "--data", r#"{ "a": [1, 2] }"#, &url]).await;
    assert_eq!((answer.status, answer.text()), (200, r#"{"a":[1,2]}"#));
    assert_eq!(curl(["-H", json, "--data", "{", &url]).await.status, 400);
    assert_eq!(curl(["--data", "{}", &url]).await.status, 415);
    assert_eq!(curl([url.as_str()]).await.status, 405);
    assert_eq!(curl([program.url("/nope").as_str()]).await.status, 404);
}

#[tokio::test]
async fn a_body_above_axums_own_limit_is_answered_by_axum() {
    let program = start().await;
    // axum's limit is 2 MiB.
    let file = program.folder().zeros("large", 2 * 1024 * 1024 + 1);
    let data = format!("@{}", file.display());
    let json = "content-type: application/json";
    let answer = curl(["-H", json, "--data-binary", &data, &program.url("/echo")]).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_request_id_is_made_or_passed_on() {
    let program = start().await;
    let url = program.url("/");
    let made = curl([url.as_str()]).await;
    assert_eq!(made.header("x-request-id").map(str::len), Some(36));
    assert_eq!(made.text(), "Hello from axum");
    let given = curl(["-H", "x-request-id: mine", &url]).await;
    assert_eq!(given.header("x-request-id"), Some("mine"));
}

#[tokio::test]
async fn the_layers_trace_through_the_default_subscriber() {
    let launch = Launch::of("axum-app").args(["--Logging:LogLevel:tower_http", "Debug"]);
    let mut program = launch.args(["--urls", "http://127.0.0.1:0"]).start().await;
    let url = program.url("/greet/a");
    assert!(tool("curl", ["-qs", &url]).await.status.success());
    program.line("finished processing request").await;
}
