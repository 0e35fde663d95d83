//! What goes to a collector, and one that is away.

use std::net::{SocketAddr, TcpListener};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;
use server_abstractions::Body;
use server_kestrel::Endpoint;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Sample, sample_settings};
use crate::program::{Folder, Launch, binary, curl, curl_exit_code};
use crate::support::{options, socket_address, soon, start, status};

const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A collector that hands on what comes, with the path that it came to.
async fn collector(address: SocketAddr) -> (hosting::Running, UnboundedReceiver<(String, Bytes)>) {
    let (send, received) = unbounded_channel();
    let app = move |request: Request<Body>| {
        let send = send.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            send.send((head.uri.path().to_owned(), body)).unwrap();
            status(200)
        }
    };
    (start(options([Endpoint::tcp(address)]), app).await, received)
}

#[tokio::test]
async fn the_span_of_a_request_goes_to_the_collector_with_its_route_and_parent() {
    let (collector, mut received) = collector(([127, 0, 0, 1], 0).into()).await;
    let address = socket_address(&collector.addresses()[0]);
    let sample = Sample::new().env(VARIABLE, &format!("http://{address}"));
    let running = sample.env("OTEL_SERVICE_NAME", "shop").start().await;
    let parent = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    curl(["--header", parent, &format!("http://localhost:{}/orders/7", running.public)]).await;
    let end = running.program.stop().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
    assert!(!end.stdout.iter().any(|line| line.contains("WARN")), "{end:?}");

    let (mut paths, mut resources) = (Vec::new(), Vec::new());
    while let Ok((path, body)) = received.try_recv() {
        if path == "/v1/traces" {
            resources.extend(ExportTraceServiceRequest::decode(body).unwrap().resource_spans);
        }
        paths.push(path);
    }
    assert!(paths.iter().any(|path| path == "/v1/metrics"), "{paths:?}");
    let [resource] = &resources[..] else { panic!("{resources:#?}") };
    let attributes = &resource.resource.as_ref().unwrap().attributes;
    let name = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
    assert_eq!(name.value.as_ref().unwrap().value, Some(Value::StringValue("shop".to_owned())));
    let [span] = &resource.scope_spans[0].spans[..] else { panic!("{resources:#?}") };
    assert_eq!(span.name, "GET /orders/{id}");
    assert_eq!(
        u128::from_be_bytes(span.trace_id[..].try_into().unwrap()),
        0x0af7651916cd43dd8448eb211c80319c
    );
    assert_eq!(u64::from_be_bytes(span.parent_span_id[..].try_into().unwrap()), 0xb7ad6b7169203331);
}

#[tokio::test]
async fn a_collector_that_is_away_gets_one_warning_and_the_exit_code_is_0() {
    // The second one takes connections and never answers.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let refuses = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    for (address, reason) in [(refuses, "Connection refused"), (silent.local_addr().unwrap(), "elapsed")] {
        let address = format!("http://{address}");
        let running = Sample::new().env(VARIABLE, &address).start().await;
        running.public("/orders/7").await;
        let end = running.program.stop().await;
        assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
        let warnings: Vec<_> = end.stdout.iter().filter(|line| line.contains("WARN")).collect();
        let [warning] = warnings[..] else { panic!("{end:#?}") };
        for part in [VARIABLE, address.as_str(), reason] {
            assert!(warning.contains(part), "{part} is not in {warning}");
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_sent_to_fails_the_start() {
    for address in ["https://127.0.0.1:4318", "localhost:4318", "nonsense", "http://"] {
        let error = Sample::new().env(VARIABLE, address).launch.fail().await;
        for part in [VARIABLE, address, "such as http://localhost:4318"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_comes_back_is_told() {
    let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let sample = Sample::new().env(VARIABLE, &format!("http://{address}"));
    let mut running = sample.env("OTEL_METRIC_EXPORT_INTERVAL", "200").start().await;
    running.public("/orders/7").await;
    running.program.line("names takes nothing").await;
    let (_collector, mut received) = collector(address).await;
    running.program.line("the collector takes what is sent again").await;
    assert_eq!(soon(received.recv()).await.unwrap().0, "/v1/metrics");
}

/// The program with a collector, whose standard output is the journal's if the variable says so.
fn under_journal(stream: &str) -> Launch {
    let script = format!(r#"JOURNAL_STREAM={stream} exec "$0" "$@""#);
    let (settings, _, _) = sample_settings();
    Launch::in_folder(Folder::new(), "/bin/sh")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env(VARIABLE, "http://127.0.0.1:1")
        .args(["-c", &script, &binary("operations").display().to_string()])
        .args(["--Logging:LogLevel:Default", "None", "--Logging:LogLevel:hosting", "Information"])
        .file("appsettings.json", settings)
}

#[tokio::test]
async fn the_log_has_its_levels_and_the_priorities_of_the_journal_with_a_collector_too() {
    for (stream, priority) in [("$(stat -Lc %d:%i /proc/$$/fd/1)", Some("<6>")), ("1:1", None), ("", None)] {
        let end = under_journal(stream).start().await.stop().await;
        assert_eq!(end.code, Some(0), "{end:?}");
        assert!(end.stdout.iter().any(|line| line.contains("Application is shutting down")), "{end:?}");
        for line in &end.stdout {
            assert_eq!(line.get(..3).filter(|start| start.starts_with('<')), priority, "{end:?}");
            assert!(line.contains("hosting::"), "{end:?}");
        }
    }
}

#[tokio::test]
async fn the_levels_change_while_the_program_runs_with_a_collector_too() {
    let (settings, public, _) = sample_settings();
    let of = |level: &str| {
        settings.replacen(
            '{',
            &format!(r#"{{ "Logging": {{ "LogLevel": {{ "server_kestrel": "{level}" }} }},"#),
            1,
        )
    };
    let launch = Sample::new().env(VARIABLE, "http://127.0.0.1:1").launch;
    let mut program = launch.file("appsettings.json", of("Information")).start().await;
    let file = program.folder().path().join("appsettings.json");
    std::fs::write(&file, of("Loud")).unwrap();
    program.line("the section Logging has changed and cannot be used").await;
    std::fs::write(&file, of("Debug")).unwrap();
    let url = format!("http://localhost:{public}/");
    let asking = tokio::spawn(async move {
        loop {
            // What is refused is told at the level debug.
            curl_exit_code(["--request", "NO METHOD", &url]).await;
        }
    });
    program.line("DEBUG server_kestrel").await;
    asking.abort();
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn levels_of_the_variable_that_cannot_be_used_are_told() {
    let sample = Sample::new().env(VARIABLE, "http://127.0.0.1:1").env("RUST_LOG", "server_kestrel=loud");
    let end = sample.start().await.program.stop().await;
    let told =
        end.stdout.iter().filter(|line| line.contains("WARN") && line.contains("RUST_LOG cannot be used"));
    assert_eq!((told.count(), end.code), (1, Some(0)), "{end:?}");
}
