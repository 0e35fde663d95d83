//! What a program prints, and what it serves under its launch profiles.

use std::fs;

use crate::program::{Launch, Program, curl, free_port, workspace};

/// The launch settings of the sample on ports that are free.
fn settings_of_hello() -> (String, u16, u16) {
    let path = workspace().join("samples/hello/Properties/launchSettings.json");
    let text = fs::read_to_string(path).expect("the sample has launch settings");
    let (http, https) = (free_port(), free_port());
    let text = text.replace(":5000", &format!(":{http}")).replace(":5001", &format!(":{https}"));
    (text, http, https)
}

#[tokio::test]
async fn the_first_profile_is_http() {
    let (settings, port, _) = settings_of_hello();
    let program = Launch::of("hello").under_cargo(&settings).start().await;
    assert_eq!(program.urls(), [format!("http://localhost:{port}")]);
    for (option, version) in [("--http1.1", "HTTP/1.1"), ("--http2-prior-knowledge", "HTTP/2")] {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let answer = curl([option, &format!("http://{host}:{port}/")]).await;
            assert_eq!((answer.version.as_str(), answer.status), (version, 200), "{option} {host}");
            assert_eq!(answer.text(), "Hello, World!");
            assert_eq!(answer.header("server"), Some("Kestrel"));
            assert!(answer.header("date").is_some());
        }
    }
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn the_https_profile_serves_both_schemes() {
    let (settings, http, https) = settings_of_hello();
    let launch = Launch::of("hello").under_cargo(&settings).args(["--launch-profile", "https"]);
    let program = launch.start().await;
    assert_eq!(program.urls(), [format!("https://localhost:{https}"), format!("http://localhost:{http}")]);
    let url = format!("https://localhost:{https}/");
    for (options, version) in
        [(["-k", "--http2"], "HTTP/2"), (["-k", "--http1.1"], "HTTP/1.1"), (["-k", "--tlsv1.3"], "HTTP/2")]
    {
        let answer = curl([options[0], options[1], &url]).await;
        assert_eq!((answer.version.as_str(), answer.text()), (version, "Hello, World!"), "{options:?}");
    }
    let answer = curl(["-k", "--tls-max", "1.2", &url]).await;
    assert_eq!(answer.text(), "Hello, World!");
    // An upgrade to h2c is not offered; the request is answered as it is (RFC 9113, section 3.1).
    let answer = curl(["--http2", &format!("http://localhost:{http}/")]).await;
    assert_eq!((answer.version.as_str(), answer.text()), ("HTTP/1.1", "Hello, World!"));
}

/// The messages of the host, without what the subscriber puts before them.
fn messages(lines: &[String]) -> Vec<String> {
    let messages = lines.iter().filter_map(|line| line.split_once("hosting::lifetime: "));
    messages.map(|(_, message)| message.to_owned()).collect()
}

#[tokio::test]
async fn the_lines_of_the_original_come_in_its_order() {
    let urls = "http://127.0.0.1:0;http://[::1]:0";
    let mut program = Launch::of("hello").args(["--urls", urls]).start().await;
    program.line("Content root path").await;
    let listening = program.urls();
    let folder = program.folder().path().display().to_string();
    let end = program.stop().await;
    assert_eq!(
        messages(&end.stdout),
        [
            format!("Now listening on: {}", listening[0]),
            format!("Now listening on: {}", listening[1]),
            "Application started. Press Ctrl+C to shut down.".to_owned(),
            "Hosting environment: Production".to_owned(),
            format!("Content root path: {folder}"),
            "Application is shutting down...".to_owned(),
        ]
    );
    assert!(listening[0].starts_with("http://127.0.0.1:") && listening[1].starts_with("http://[::1]:"));
    assert!(!listening.iter().any(|url| url.ends_with(":0")), "the real ports are shown: {listening:?}");
    assert_eq!(end.stderr, "");
    assert!(!end.stdout.iter().any(|line| line.contains('\u{1b}')), "colours are for terminals");
}

#[tokio::test]
async fn the_profile_is_named_before_anything_else() {
    let (settings, ..) = settings_of_hello();
    let program = Launch::of("hello").under_cargo(&settings).start().await;
    let file = program.folder().path().join("Properties/launchSettings.json");
    let expected = format!("Using launch settings from {}...", file.display());
    assert!(program.seen()[0].ends_with(&expected), "{:?}", program.seen());
}

/// A program that prints nothing about its start is known by its answers.
async fn answers(program: &Program, url: &str) {
    for _ in 0..100 {
        if crate::program::curl_exit_code([url]).await == 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{url} does not answer: {:?}", program.seen());
}

#[tokio::test]
async fn the_messages_can_be_left_out() {
    for quiet in [["--suppressStatusMessages", "true"], ["--Logging:LogLevel:Default", "Warning"]] {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let program = Launch::of("hello").args(["--urls", &url]).args(quiet).spawn();
        answers(&program, &url).await;
        let end = program.stop().await;
        assert_eq!((end.code, messages(&end.stdout)), (Some(0), Vec::new()), "{quiet:?}");
    }
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let launch = Launch::of("hello");
    let socket = launch.folder().join("hello.sock");
    let url = format!("http://unix:{}", socket.display());
    let program = launch.args(["--urls", &url]).start().await;
    assert_eq!(program.urls(), [url]);
    let path = socket.display().to_string();
    let answer = curl(["--unix-socket", &path, "http://localhost/"]).await;
    assert_eq!(answer.text(), "Hello, World!");
    assert_eq!(program.stop().await.code, Some(0));
    assert!(!socket.exists());
}

/// The sample with the events of its console in this form.
fn formatted(name: &str) -> Launch {
    let settings = serde_json::json!({ "Logging": { "Console": { "FormatterName": name } } });
    Launch::hello().file("appsettings.json", settings.to_string())
}

#[tokio::test]
async fn events_are_objects_if_that_is_said() {
    let mut program = formatted("json").spawn();
    let line = program.line("Now listening on").await;
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&event["LogLevel"], &event["Category"]),
        (&"Information".into(), &"hosting::lifetime".into())
    );
    assert!(event["Message"].as_str().unwrap().starts_with("Now listening on: http://127.0.0.1:"), "{event}");
    assert!(event["Timestamp"].is_string() && event["State"].is_object(), "{event}");
    let end = program.stop().await;
    assert_eq!(end.code, Some(0));
    assert!(end.stdout.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{end:?}");
}

#[tokio::test]
async fn the_form_of_events_is_one_of_three() {
    let mut program = formatted("systemd").spawn();
    let line = program.line("Now listening on").await;
    assert!(line.starts_with("<6>hosting::lifetime: Now listening on: "), "{line}");
    let told = formatted("yaml").fail().await;
    assert!(
        told.contains("Logging:Console:FormatterName") && told.contains("simple, systemd, json"),
        "{told}"
    );
    assert!(told.contains("appsettings.json:1:"), "{told}");
}
