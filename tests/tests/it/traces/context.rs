//! How a trace goes on.

use hosting::{Believed, RequestTraceLayer, TraceContext, TrustedPeers};
use http::{Request, Response};
use server_abstractions::Body;

use super::{Spans, parents, traced, traced_with};
use crate::support::{Client, Response as Answer};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";

/// Answers with the fields that it would send on.
async fn sends_on(request: Request<Body>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if let Some(context) = request.extensions().get::<TraceContext>() {
        context.inject(response.headers_mut());
    }
    response
}

async fn exchange(client: &mut Client, fields: &str) -> Answer {
    client.exchange(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await
}

#[tokio::test]
async fn a_trace_goes_on_to_the_next_service() {
    let spans = Spans::default();
    let _guard = spans.start();
    let (_running, address) = traced(sends_on).await;
    let mut client = Client::tcp(address).await;
    let fields = format!("{PARENT}tracestate: a=1, b=2\r\nTraceState: c=3\r\n");
    let answer = exchange(&mut client, &fields).await;
    let span = spans.one();
    assert_eq!(span.field("trace_id"), TRACE);
    assert_eq!(span.field("parent_id"), "b7ad6b7169203331");
    let sent = format!("00-{TRACE}-{}-01", span.field("span_id"));
    assert_eq!(answer.header("traceparent"), Some(&*sent));
    assert_eq!(answer.header("tracestate"), Some("a=1,b=2,c=3"));
}

#[tokio::test]
async fn a_new_trace_begins_where_none_can_go_on() {
    let spans = Spans::default();
    let _guard = spans.start();
    let (_running, address) = traced(sends_on).await;
    let mut client = Client::tcp(address).await;
    let mut traces = std::collections::BTreeSet::new();
    let wrong = [
        String::new(),
        "tracestate: a=1\r\n".to_owned(),
        format!("{PARENT}{PARENT}"),
        PARENT.replace("00-0a", "ff-0a"),
        PARENT.replace("-01\r", "-01-what\r"),
        PARENT.replace("-01\r", "-1\r"),
        PARENT.replace("0af7", "0AF7"),
        PARENT.replace(TRACE, &"0".repeat(32)),
        PARENT.replace("b7ad6b7169203331", &"0".repeat(16)),
    ];
    for fields in &wrong {
        let answer = exchange(&mut client, fields).await;
        let sent = answer.header("traceparent").unwrap();
        assert!(
            sent.starts_with("00-") && !sent.contains(TRACE) && sent.ends_with("-03"),
            "{fields}: {sent}"
        );
        assert_eq!(answer.header("tracestate"), None, "{fields}");
        traces.insert(sent.to_owned());
    }
    assert_eq!(traces.len(), wrong.len(), "each has ids of its own");
    assert!(spans.all().iter().all(|span| !span.has("parent_id")));
}

#[tokio::test]
async fn a_state_that_is_malformed_costs_only_itself() {
    let spans = Spans::default();
    let _guard = spans.start();
    let (_running, address) = traced(sends_on).await;
    let mut client = Client::tcp(address).await;
    let many = (0..33).map(|n| format!("k{n}=1")).collect::<Vec<_>>().join(",");
    for state in ["a=1,B=2", "a", &many] {
        let answer = exchange(&mut client, &format!("{PARENT}tracestate: {state}\r\n")).await;
        assert!(answer.header("traceparent").unwrap().contains(TRACE), "{state}");
        assert_eq!(answer.header("tracestate"), None, "{state}");
    }
}

#[tokio::test]
async fn only_those_who_are_believed_have_their_traces_continued() {
    let spans = Spans::default();
    let _guard = spans.start();
    let other = TrustedPeers { networks: vec!["10.0.0.0/8".parse().unwrap()], unix_sockets: true };
    for (believed, goes_on) in [
        (Believed::Everyone, true),
        (Believed::Peers(TrustedPeers::default()), true),
        (Believed::Peers(other), false),
        (Believed::Nobody, false),
    ] {
        let shown = format!("{believed:?}");
        // The fields themselves are gone too, so that nobody goes on with them by hand.
        let app = async move |request: Request<Body>| {
            let has_field = request.headers().contains_key("traceparent");
            let mut response = sends_on(request).await;
            response.headers_mut().insert("x-has-field", has_field.to_string().parse().unwrap());
            response
        };
        let (_running, address) = traced_with(parents(believed), app).await;
        let answer = exchange(&mut Client::tcp(address).await, PARENT).await;
        assert_eq!(answer.header("traceparent").unwrap().contains(TRACE), goes_on, "{shown}");
        assert_eq!(answer.header("x-has-field"), Some(if goes_on { "true" } else { "false" }), "{shown}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_trusted_only_if_that_is_said() {
    let spans = Spans::default();
    let _guard = spans.start();
    let folder = crate::program::Folder::new();
    for unix_sockets in [false, true] {
        let path = folder.path().join(format!("{unix_sockets}.sock"));
        let trusted = TrustedPeers { unix_sockets, ..TrustedPeers::default() };
        let app = tower_layer::Layer::layer(
            &parents(Believed::Peers(trusted)),
            server_abstractions::App::new(sends_on),
        );
        let endpoint = server_kestrel::Endpoint::unix(&path);
        let _running = crate::support::start(crate::support::options([endpoint]), app).await;
        let answer = exchange(&mut Client::unix(&path).await, PARENT).await;
        assert_eq!(answer.header("traceparent").unwrap().contains(TRACE), unix_sockets);
    }
}

#[tokio::test]
async fn without_a_subscriber_there_is_no_span_and_what_came_is_passed_on_as_it_is() {
    let (_running, address) = traced(sends_on).await;
    let mut client = Client::tcp(address).await;
    let answer = exchange(&mut client, &format!("{PARENT}tracestate: a=1\r\n")).await;
    assert_eq!(answer.header("traceparent"), PARENT.trim_end().strip_prefix("traceparent: "));
    assert_eq!(answer.header("tracestate"), Some("a=1"));
    assert_eq!(exchange(&mut client, "").await.header("traceparent"), None);
}

#[tokio::test]
async fn a_tracer_may_choose_the_ids() {
    let spans = Spans::default();
    let _guard = spans.start();
    let layer = RequestTraceLayer::default().with_tracer(|span, parent| {
        assert!(!span.is_disabled());
        let parent = parent?;
        Some(TraceContext::of_ids(parent.trace_id(), 7, 0)?.with_parent(parent))
    });
    let (_running, address) = traced_with(layer, sends_on).await;
    let mut client = Client::tcp(address).await;
    let answer = exchange(&mut client, &format!("{PARENT}tracestate: a=1\r\n")).await;
    assert_eq!(answer.header("traceparent"), Some(&*format!("00-{TRACE}-0000000000000007-00")));
    assert_eq!(answer.header("tracestate"), Some("a=1"));
    let span = spans.one();
    assert_eq!((span.field("span_id"), span.field("parent_id")), ("0000000000000007", "b7ad6b7169203331"));
    assert!(exchange(&mut client, "").await.header("traceparent").is_some(), "the layer's own");
}
