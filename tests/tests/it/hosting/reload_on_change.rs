//! Files of the configuration that change while a program runs.

use std::net::TcpStream;

use crate::program::{Launch, Program, curl, free_port};
use crate::support::{Client, soon};

fn settings(program: &Program, text: &str) {
    // As editors do it: a new file in the place of the old one.
    let new = program.folder().write("appsettings.json.new", text);
    std::fs::rename(new, program.folder().path().join("appsettings.json")).unwrap();
}

fn endpoints(endpoints: &[(&str, String)]) -> String {
    let endpoint = |(name, rest): &(&str, String)| format!("\"{name}\": {{ {rest} }}");
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    format!("{{ \"Kestrel\": {{ \"Endpoints\": {{ {} }} }} }}", endpoints.join(", "))
}

async fn start(text: &str) -> Program {
    Launch::of("hello").file("appsettings.json", text).start().await
}

async fn answers(port: u16) -> bool {
    Client::tcp(([127, 0, 0, 1], port).into()).await.get("/").await.status == 200
}

#[tokio::test]
async fn endpoints_come_and_go_and_those_that_stay_notice_nothing() {
    let (stays, comes) = (free_port(), free_port());
    let url = |port: u16| format!("\"Url\": \"http://127.0.0.1:{port}\"");
    let mut program = start(&endpoints(&[("A", url(stays))])).await;
    let mut kept = Client::tcp(([127, 0, 0, 1], stays).into()).await;
    assert_eq!(kept.get("/").await.status, 200);

    settings(&program, &endpoints(&[("A", url(stays)), ("B", url(comes))]));
    program.line(&format!("now listening address=http://127.0.0.1:{comes}")).await;
    assert!(answers(comes).await);
    let mut idle = Client::tcp(([127, 0, 0, 1], comes).into()).await;
    assert_eq!(idle.get("/").await.status, 200);

    settings(&program, &endpoints(&[("A", url(stays))]));
    // Its last answer says so, and no request is lost.
    soon(async { while !idle.get("/").await.closes() {} }).await;
    idle.closed().await;
    soon(async { while TcpStream::connect(("127.0.0.1", comes)).is_ok() {} }).await;
    // The first connection has lived through all of it.
    assert_eq!(kept.get("/").await.status, 200);
    assert!(answers(stays).await);
}

#[tokio::test]
async fn an_endpoint_that_is_served_in_another_way_keeps_its_port() {
    let port = free_port();
    let with = |more: &str| endpoints(&[("A", format!("\"Url\": \"http://127.0.0.1:{port}\"{more}"))]);
    let program = start(&with("")).await;
    assert!(http2_is_spoken(port).await);
    settings(&program, &with(", \"Protocols\": \"Http1\""));
    soon(async { while http2_is_spoken(port).await {} }).await;
    assert!(answers(port).await);
}

async fn http2_is_spoken(port: u16) -> bool {
    let mut client = Client::tcp(([127, 0, 0, 1], port).into()).await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    // The first frame is SETTINGS, or GOAWAY.
    client.take(4).await[3] == 4
}

#[tokio::test]
async fn what_cannot_be_read_or_used_is_told_once_and_changes_nothing() {
    let right = r#"{ "Kestrel": { "AddServerHeader": false } }"#;
    let mut program = Launch::hello().file("appsettings.json", right).start().await;
    let server =
        async |program: &Program| curl([program.url("/").as_str()]).await.header("server").map(str::to_owned);
    settings(&program, "{ \"Kestrel\": ");
    let line = program.line("cannot be read").await;
    assert!(line.contains("ERROR") && line.contains("appsettings.json: line 1"), "{line}");
    assert_eq!(server(&program).await, None);

    settings(&program, r#"{ "Kestrel": { "AddServerHeader": true, "Limit": {} } }"#);
    let line = program.line("the section Kestrel has changed and cannot be used").await;
    assert!(
        line.contains("ERROR") && line.contains("Kestrel:Limit") && line.contains("appsettings.json:1:"),
        "{line}"
    );
    assert_eq!(server(&program).await, None);
    assert!(!program.seen().iter().any(|line| line.contains("was read again")), "{:#?}", program.seen());

    settings(&program, r#"{ "Kestrel": { "AddServerHeader": true } }"#);
    soon(async { while server(&program).await.is_none() {} }).await;
    let end = program.stop().await;
    let lines = |text: &str| end.stdout.iter().filter(|line| line.contains(text)).count();
    assert_eq!((end.code, lines("ERROR"), lines("was read again")), (Some(0), 2, 1), "{end:?}");
}

#[tokio::test]
async fn a_key_that_is_misspelt_later_does_not_take_its_section_away() {
    let first = r#"{ "AllowedHosts": "localhost;127.0.0.1", "Kestrel": { "AddServerHeader": false } }"#;
    let mut program = Launch::hello().file("appsettings.json", first).start().await;
    let status = async |program: &Program| curl(["-H", "host: evil.example", &program.url("/")]).await.status;
    assert_eq!(status(&program).await, 400);
    settings(
        &program,
        r#"{ "AllowedHost": "localhost;127.0.0.1", "Kestrel": { "AddServerHeader": false } }"#,
    );
    let line = program.line("its last state stays in force").await;
    assert!(
        line.contains("ERROR") && line.contains("AllowedHost (") && line.contains("appsettings.json:1:"),
        "{line}"
    );
    assert!(line.contains("did you mean AllowedHosts?"), "{line}");
    assert_eq!(status(&program).await, 400);

    // Where nothing is taken away it is a warning, as at the start, and the rest comes into force.
    settings(&program, r#"{ "AllowedHosts": "*", "Metrcs": {}, "Kestrel": { "AddServerHeader": false } }"#);
    let line = program.line("did you mean Metrics?").await;
    assert!(line.contains("WARN") && line.contains("appsettings.json:1:"), "{line}");
    program.line("was read again").await;
    assert_eq!(status(&program).await, 200);
}

#[tokio::test]
async fn what_is_logged_changes_with_the_file() {
    let level =
        |level: &str| format!(r#"{{ "Logging": {{ "LogLevel": {{ "server_kestrel": "{level}" }} }} }}"#);
    let mut program = Launch::hello().file("appsettings.json", level("Warning")).start().await;
    settings(&program, &level("Debug"));
    program.line("the configuration has changed").await;
    let mut client = Client::tcp(program.address()).await;
    client.send("GET / HTTP/1.1\r\n\r\n").await;
    let line = program.line("DEBUG").await;
    assert!(line.contains("server_kestrel"), "{line}");
}

#[tokio::test]
async fn files_are_not_watched_when_the_host_is_told_so() {
    let text = |add: bool| format!(r#"{{ "Kestrel": {{ "AddServerHeader": {add} }} }}"#);
    let launch = || Launch::hello().file("appsettings.json", text(true));
    let (mut watching, mut blind) = (
        launch().start().await,
        launch().env("DOTNET_hostBuilder__reloadConfigOnChange", "false").start().await,
    );
    settings(&blind, &text(false));
    settings(&watching, &text(false));
    watching.line("the configuration has changed").await;
    // Whoever looked would have seen it as well by now, or will within the time of one look.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let answer = curl([blind.url("/").as_str()]).await;
    assert_eq!(answer.header("server"), Some("Kestrel"));
    blind.signal(rustix::process::Signal::TERM);
    blind.line("shutting down").await;
}

#[tokio::test]
async fn allowed_hosts_change_with_the_file() {
    let text = |hosts: &str| format!(r#"{{ "AllowedHosts": "{hosts}" }}"#);
    let program = Launch::hello().file("appsettings.json", text("one.example")).start().await;
    let status = async |host: &str| {
        let host = format!("Host: {host}");
        curl(["-H", host.as_str(), program.url("/").as_str()]).await.status
    };
    assert_eq!((status("one.example").await, status("two.example").await), (200, 400));
    settings(&program, &text("two.example"));
    soon(async { while status("two.example").await != 200 {} }).await;
    assert_eq!(status("one.example").await, 400);
}

#[tokio::test]
async fn allowed_hosts_that_cannot_be_used_are_told_once_with_their_place() {
    let text = |hosts: &str, add: bool| {
        format!(r#"{{ "AllowedHosts": "{hosts}", "Kestrel": {{ "AddServerHeader": {add} }} }}"#)
    };
    for (start, passes) in [("one.example", "one.example"), ("*", "any.example")] {
        let mut program = Launch::hello().file("appsettings.json", text(start, true)).start().await;
        settings(&program, &text("two.example:80", true));
        let line = program.line("AllowedHosts has changed and cannot be used").await;
        for part in ["ERROR", "AllowedHosts = \"two.example:80\"", "appsettings.json:1:", "it has a port"] {
            assert!(line.contains(part), "{part}: {line}");
        }
        // What else changes is used, and the same mistake is not told again.
        settings(&program, &text("two.example:80", false));
        let host = format!("Host: {passes}");
        let answer = async |program: &Program| curl(["-H", &host, program.url("/").as_str()]).await;
        soon(async { while answer(&program).await.header("server").is_some() {} }).await;
        assert_eq!(answer(&program).await.status, 200);
        let end = program.stop().await;
        let errors = end.stdout.iter().filter(|line| line.contains("ERROR"));
        assert_eq!(errors.count(), 1, "{end:?}");
    }
}

#[tokio::test]
async fn keys_that_are_read_at_the_start_are_named_once_when_they_change() {
    let text = |timeout: u32, live: &str, add: bool| {
        format!(
            r#"{{ "shutdownTimeoutSeconds": {timeout}, "Health": {{ "LivePath": "{live}" }}, "Kestrel": {{ "AddServerHeader": {add} }} }}"#
        )
    };
    let mut program = Launch::hello().file("appsettings.json", text(5, "/live", true)).start().await;
    let changed = "read at the start only";
    for (written, keys) in [
        (text(5, "/live", false), None),
        (text(6, "/alive", false), Some("shutdownTimeoutSeconds, Health:LivePath")),
        // The same change is not told again, but one more is.
        (text(6, "/alive", true), None),
        (text(5, "/alive", true), Some("Health:LivePath")),
        // What it was at the start is in force.
        (text(5, "/live", true), None),
    ] {
        let before = program.seen().len();
        settings(&program, &written);
        program.line("was read again").await;
        let told: Vec<_> =
            program.seen()[before..].iter().filter(|line| line.contains(changed)).cloned().collect();
        assert_eq!(told.len(), usize::from(keys.is_some()), "{written}: {told:?}");
        if let Some(keys) = keys {
            assert!(told[0].contains("WARN") && told[0].contains(&format!("keys=\"{keys}\"")), "{told:?}");
        }
    }
}
