//! The access log of an application, as its configuration says.

use std::fs;

use hosting::{
    Body, ForwardedFields, ForwardedHeadersLayer, ForwardedHeadersOptions, Request, TestServer,
    WebApplication, WebApplicationBuilder, WebApplicationOptions,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::program::{Folder, Launch, Program, curl, output_of};
use crate::support::{Client, hello, soon, until};

/// The sample `hello` with this section.
async fn start(section: &Value) -> Program {
    launch(section).start().await
}

fn launch(section: &Value) -> Launch {
    Launch::hello().file("appsettings.json", json!({ "AccessLog": section }).to_string())
}

/// The lines of the log after a stop.
async fn lines(program: Program, name: &str) -> Vec<String> {
    let path = program.folder().path().join(name);
    program.signal(Signal::TERM);
    // The folder goes with the program, so it is read before.
    let text = soon(async {
        loop {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if text.lines().any(|line| !line.starts_with('#')) {
                break text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_empty_section_switches_it_on_with_its_defaults() {
    let program = start(&json!({})).await;
    assert_eq!(curl(["-A", "me", &program.url("/x?y")]).await.status, 200);
    let lines = lines(program, "logs/access.log").await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(" 127.0.0.1 ") && lines[0].contains(" GET /x y 200 "), "{lines:?}");
    assert!(lines[0].contains(" me "), "{lines:?}");
}

#[tokio::test]
async fn without_the_section_or_switched_off_there_is_none() {
    for section in [Value::Null, json!({ "Enabled": false })] {
        let program = start(&section).await;
        curl([program.url("/").as_str()]).await;
        assert!(!program.folder().path().join("logs").exists(), "{section}");
    }
}

#[tokio::test]
async fn the_stop_writes_what_waits() {
    let section = json!({ "Format": "Common", "FlushInterval": "00:30:00", "LogDirectory": "own", "FileName": "it.log" });
    let program = start(&section).await;
    for _ in 0..5 {
        curl([program.url("/").as_str()]).await;
    }
    let path = program.folder().path().join("own/it.log");
    assert_eq!(fs::read_to_string(&path).unwrap(), "", "nothing is due for half an hour");
    assert_eq!(lines(program, "own/it.log").await.len(), 5);
}

#[tokio::test]
async fn a_request_that_the_stop_has_aborted_has_its_line() {
    let section = json!({ "Output": "Stdout", "Format": "Json", "FlushInterval": "00:30:00" });
    for _ in 0..3 {
        let launch = Launch::features().file("appsettings.json", json!({ "AccessLog": section }).to_string());
        let program = launch.args(["--shutdownTimeoutSeconds", "1"]).start().await;
        let mut client = Client::tcp(program.address()).await;
        client
            .send("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\nGET /delay/20000 HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        // The first answer tells that the second request is there.
        assert_eq!(client.response().await.status, 200);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let end = program.stop().await;
        let has = |text: &str| end.stdout.iter().any(|line| line.contains(text));
        assert!(has("the shutdown timeout has passed") && has("\"/delay/20000\""), "{end:?}");
        assert!(!has("did not stop in time"), "{end:?}");
    }
}

#[tokio::test]
async fn lines_go_to_the_standard_output_if_that_is_wanted() {
    let mut program = start(&json!({ "Output": "Stdout", "Format": "Json", "FlushInterval": 0 })).await;
    curl([program.url("/here").as_str()]).await;
    let line = program.line("\"path\"").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["path"], &line["status"]), (&json!("/here"), &json!(200)));
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
}

#[tokio::test]
async fn every_key_is_obeyed() {
    let section = json!({
        "Enabled": true, "Format": "W3C", "Output": "File", "LoggingFields": ["UriQuery", "cookie", "ProtocolStatus"],
        "AdditionalRequestHeaders": ["X-Own", "Authorization"], "AdditionalResponseHeaders": ["Content-Type"],
        "RedactedHeaders": ["X-Own"], "RedactQuery": true, "FileSizeLimit": 1024, "RetainedFileCountLimit": 2,
        "FlushInterval": 0, "QueueSize": 65536,
    });
    let settings = json!({ "AccessLog": section }).to_string();
    let program = Launch::features().file("appsettings.json", settings).start().await;
    let long = "x".repeat(500);
    for number in 0..8 {
        let authorization = format!("authorization: {number}{long}");
        curl(["-H", "x-own: secret", "-H", &authorization, "-b", "k=v", &program.url("/plaintext?q")]).await;
    }
    let folder = program.folder().path().join("logs");
    let last = format!(" 7{long} ");
    soon(until(|| fs::read_to_string(folder.join("access.log")).is_ok_and(|text| text.contains(&last))))
        .await;
    // Between a rotation and the removal of what is too old there is one more.
    soon(until(|| fs::read_dir(&folder).unwrap().count() == 2)).await;
    let lines = lines(program, "logs/access.log").await;
    assert_eq!(lines, [format!("[redacted] k=v 200 [redacted] 7{long} text/plain")]);
}

#[tokio::test]
async fn a_section_that_cannot_be_obeyed_fails_the_start_with_the_key() {
    for (section, key, reason) in [
        (json!(true), "AccessLog", "{} switches the access log on"),
        (json!({ "Fields": [] }), "AccessLog", "Fields"),
        (json!({ "Enabled": "maybe" }), "AccessLog:Enabled", "maybe"),
        (json!({ "Format": "Xml" }), "AccessLog:Format", "Xml"),
        (json!({ "Output": "Printer" }), "AccessLog:Output", "Printer"),
        (json!({ "LoggingFields": ["Date", "Colour"] }), "AccessLog:LoggingFields:1", "ClientIpAddress"),
        (json!({ "LoggingFields": [] }), "AccessLog:LoggingFields", "one at least"),
        (
            json!({ "LoggingFields": ["Date"], "Format": "Common" }),
            "AccessLog:LoggingFields",
            "fields of their own",
        ),
        (
            json!({ "AdditionalRequestHeaders": ["X-A"], "Format": "Combined" }),
            "AccessLog:AdditionalRequestHeaders",
            "of their own",
        ),
        (
            json!({ "AdditionalResponseHeaders": ["a b"] }),
            "AccessLog:AdditionalResponseHeaders:0",
            "header field",
        ),
        (json!({ "RedactedHeaders": ["a:"] }), "AccessLog:RedactedHeaders:0", "header field"),
        (json!({ "RedactQuery": 5 }), "AccessLog:RedactQuery", "5"),
        (json!({ "FileSizeLimit": 10 }), "AccessLog:FileSizeLimit", "1024"),
        (json!({ "RetainedFileCountLimit": 0 }), "AccessLog:RetainedFileCountLimit", "at least 1"),
        (json!({ "FileName": "../x" }), "AccessLog:FileName", "without a folder"),
        (json!({ "FlushInterval": "02:00:00" }), "AccessLog:FlushInterval", "an hour"),
        (json!({ "QueueSize": 1 }), "AccessLog:QueueSize", "65536"),
        (json!({ "Output": "Stdout", "FileName": "x" }), "AccessLog:FileName", "Stdout"),
        (
            json!({ "LogDirectory": "appsettings.json" }),
            "AccessLog:LogDirectory",
            "appsettings.json/access.log cannot be opened",
        ),
    ] {
        let error = launch(&section).fail().await;
        assert!(error.contains(key) && error.contains(reason), "{section}: {error}");
    }
}

/// An application in memory, whose clients have no address, with a log of JSON lines.
fn builder(folder: &Folder, values: &[(&str, &str)]) -> WebApplicationBuilder {
    let own = [("AccessLog:Format", "Json"), ("AccessLog:FlushInterval", "0")];
    WebApplication::builder_with(WebApplicationOptions {
        arguments: Some(Vec::new()),
        content_root: Some(folder.path().to_owned()),
        values: own
            .iter()
            .chain(values)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        ..WebApplicationOptions::default()
    })
}

async fn told(server: TestServer, folder: &Folder, fields: &[(&str, &str)]) -> Value {
    let request =
        fields.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
    soon(server.client().send(request.body(Body::empty()).unwrap())).await.unwrap();
    soon(server.stop()).await;
    let text = fs::read_to_string(folder.path().join("logs/access.log")).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn the_client_is_the_one_behind_the_proxy_wherever_that_is_found_out() {
    let forwarded = [("host", "a"), ("x-forwarded-for", "203.0.113.60")];
    let folder = Folder::new();
    let layer = ForwardedHeadersLayer::new(&ForwardedHeadersOptions {
        fields: ForwardedFields::FOR,
        trust_unix_sockets: true,
        ..ForwardedHeadersOptions::default()
    })
    .unwrap();
    let application = builder(&folder, &[]).pipeline(move |pipeline| pipeline.layer(layer));
    let server = soon(application.start_test_server(hello)).await.unwrap();
    assert_eq!(told(server, &folder, &forwarded).await["client_ip"], "203.0.113.60");

    let folder = Folder::new();
    let application = builder(&folder, &[("ForwardedHeaders_Enabled", "true")]);
    let server = soon(application.start_test_server(hello)).await.unwrap();
    assert_eq!(told(server, &folder, &forwarded).await["client_ip"], "203.0.113.60");

    let folder = Folder::new();
    let server = soon(builder(&folder, &[]).start_test_server(hello)).await.unwrap();
    assert_eq!(told(server, &folder, &forwarded).await["client_ip"], Value::Null, "nobody is believed");
}

#[tokio::test]
async fn what_other_layers_answer_is_told_too() {
    let folder = Folder::new();
    let server =
        soon(builder(&folder, &[("AllowedHosts", "shop.example")]).start_test_server(hello)).await.unwrap();
    let line = told(server, &folder, &[("host", "evil.example")]).await;
    assert_eq!((&line["status"], &line["host"]), (&json!(400), &json!("evil.example")));
}

#[tokio::test]
async fn under_axums_own_server_the_peer_is_told() {
    use axum::Router;
    use axum::routing::get;
    use hosting::{AccessLogField as Field, AccessLogLayer};

    let log =
        super::Logged::of(&[Field::ClientIpAddress, Field::ClientPort, Field::UriStem, Field::ResponseBytes]);
    let router = Router::new().route("/{name}", get(async || "Hello")).layer(AccessLogLayer::new(&log.log));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/ada", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });
    let port = crate::program::free_port().to_string();
    output_of("curl", ["-qs", "--local-port", &port, &url]).await;
    assert_eq!(log.line().await, format!("127.0.0.1 {port} /ada 5"));
    server.abort();
}

#[tokio::test]
async fn the_trace_of_a_request_is_told() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let traced = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01");
    for (log, path) in [
        (json!({ "Format": "Json" }), "logs/access.log"),
        (json!({ "LoggingFields": ["TraceId", "UriStem"] }), "logs/access.log"),
    ] {
        let settings = json!({ "AccessLog": log, "Tracing": { "Enabled": true } });
        let program = Launch::hello().file("appsettings.json", settings.to_string()).start().await;
        curl(["-H", &traced, &program.url("/x")]).await;
        let line = lines(program, path).await.remove(0);
        match serde_json::from_str::<Value>(&line) {
            Ok(line) => assert_eq!((&line["trace_id"], &line["path"]), (&json!(TRACE), &json!("/x"))),
            Err(_) => assert_eq!(line, format!("{TRACE} /x")),
        }
    }
}
