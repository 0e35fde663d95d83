//! What the configuration of an application switches on.

use hosting::{RequestTraceLayer, WebApplication, WebApplicationBuilder, WebApplicationOptions};

use super::Spans;
use crate::program::Folder;
use crate::support::{Client, hello, socket_address};

fn builder(values: &[(&str, &str)]) -> WebApplicationBuilder {
    let folder = Folder::new();
    let own = [("urls", "http://127.0.0.1:0")];
    WebApplication::builder_with(WebApplicationOptions {
        arguments: Some(Vec::new()),
        content_root: Some(folder.path().to_owned()),
        values: own.iter().chain(values).map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        ..WebApplicationOptions::default()
    })
}

const FIELDS: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Request-Id: mine\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n";

/// Queries are shown, but for some values.
const SHOWN: (&str, &str) = ("Tracing:RedactQuery", "false");

/// What one request was told, and its span, if it has one.
async fn ask(builder: WebApplicationBuilder) -> (crate::support::Response, Option<super::Seen>) {
    let spans = Spans::default();
    let _guard = spans.start();
    let running = builder.build(hello).unwrap().start().await.unwrap();
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    let answer = client.exchange(&format!("GET /x?own=1&sig=2 HTTP/1.1\r\nHost: a\r\n{FIELDS}\r\n")).await;
    (answer, spans.all().pop())
}

#[tokio::test]
async fn nothing_is_on_by_itself() {
    let (answer, span) = ask(builder(&[])).await;
    assert!(span.is_none() && answer.header("x-request-id").is_none());
}

#[tokio::test]
async fn traces_are_configured_and_know_the_client_behind_the_proxy() {
    let (_, span) = ask(builder(&[("Tracing:Enabled", "true"), ("ForwardedHeaders_Enabled", "true")])).await;
    let span = span.unwrap();
    assert_eq!(span.field("trace_id"), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((span.field("client.address"), span.field("url.scheme")), ("192.0.2.7", "https"));
    assert_eq!(span.field("network.peer.address"), "127.0.0.1");
    assert_eq!((span.field("server.address"), span.field("server.port")), ("a", "443"));
    assert_eq!(span.field("url.query"), "own=REDACTED&sig=REDACTED");
}

#[tokio::test]
async fn queries_are_shown_only_if_that_is_said() {
    let on = ("Tracing:Enabled", "true");
    let (_, span) = ask(builder(&[on, SHOWN])).await;
    assert_eq!(span.unwrap().field("url.query"), "own=1&sig=REDACTED");
    let error = builder(&[on, ("Tracing:RedactedQueryKeys:0", "own")]).build(hello).unwrap_err();
    let error = format!("{error:?}");
    assert!(error.contains("Tracing:RedactedQueryKeys") && error.contains("Tracing:RedactQuery"), "{error}");
}

#[tokio::test]
async fn whom_traces_believe_and_what_they_hide_is_configured() {
    for (values, goes_on) in [
        (&[("Tracing:Parents", "Never")][..], false),
        (&[("Tracing:Parents", "Trusted")], true),
        (&[("Tracing:Parents", "Trusted"), ("Tracing:TrustedPeers:0", "10.0.0.0/8")], false),
        (&[("Tracing:Parents", "Trusted"), ("Tracing:TrustUnixSockets", "true")], true),
    ] {
        let values =
            [&[("Tracing:Enabled", "true"), SHOWN, ("Tracing:RedactedQueryKeys:0", "own")], values].concat();
        let (_, span) = ask(builder(&values)).await;
        let span = span.unwrap();
        assert_eq!(span.has("parent_id"), goes_on, "{values:?}");
        assert_eq!(span.field("url.query"), "own=REDACTED&sig=2");
    }
}

#[tokio::test]
async fn the_layer_of_the_code_is_changed_by_the_configuration() {
    let own = || RequestTraceLayer::default().with_tracer(|_, _| hosting::TraceContext::of_ids(1, 2, 3));
    let (_, span) = ask(builder(&[]).request_traces(own())).await;
    assert_eq!(span.unwrap().field("span_id"), "0000000000000002");
    let (_, span) = ask(builder(&[("Tracing:Enabled", "false")]).request_traces(own())).await;
    assert!(span.is_none());
}

#[tokio::test]
async fn ids_are_configured() {
    let on = ("RequestIds:Enabled", "true");
    let (answer, _) = ask(builder(&[on])).await;
    assert!(answer.header("x-request-id").unwrap().ends_with(":00000001"));
    let (answer, span) =
        ask(builder(&[on, ("RequestIds:Incoming", "Always"), ("Tracing:Enabled", "true")])).await;
    assert_eq!(answer.header("x-request-id"), Some("mine"));
    assert_eq!(span.unwrap().field("request_id"), "mine");
    let trusted = [
        on,
        ("RequestIds:Incoming", "Trusted"),
        ("RequestIds:TrustedPeers:0", "10.0.0.0/8"),
        ("RequestIds:TrustUnixSockets", "true"),
        ("RequestIds:Header", "X-Own-Id"),
    ];
    let (answer, _) = ask(builder(&trusted)).await;
    assert!(answer.header("x-own-id").unwrap().ends_with(":00000001"));
    // Who is refused by a layer for proxies is told the id as well.
    let (answer, _) = ask(builder(&[on, ("AllowedHosts", "other.example")])).await;
    assert_eq!(answer.status, 400);
    assert!(answer.header("x-request-id").is_some());
}

#[test]
fn what_cannot_be_obeyed_fails_the_start_with_the_key() {
    for (values, told) in [
        (&[("Tracing:Enabled", "perhaps")][..], "Tracing:Enabled"),
        (&[("Tracing:Parents", "Sometimes")], "Tracing:Parents"),
        (&[("Tracing:TrustedPeers:0", "10.0.0.0/8")], "Tracing:TrustedPeers"),
        (&[("Tracing:Parents", "Never"), ("Tracing:TrustUnixSockets", "true")], "Tracing:TrustUnixSockets"),
        (&[("Tracing:Parents", "Trusted"), ("Tracing:TrustedPeers:0", "ten")], "Tracing:TrustedPeers:0"),
        (&[("Tracing:Level", "Info")], "Tracing:Level"),
        (&[("RequestIds:Header", "a b")], "RequestIds:Header"),
        (&[("RequestIds:Incoming", "Sometimes")], "RequestIds:Incoming"),
        (&[("RequestIds:TrustUnixSockets", "true")], "RequestIds:TrustUnixSockets"),
        (&[("RequestIds:Heder", "a")], "RequestIds:Heder"),
    ] {
        let error = format!("{:?}", builder(values).build(hello).unwrap_err());
        assert!(error.contains(told), "{values:?}: {error}");
    }
}
