//! `TestServer`: the real server without a port.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};
use hosting::server_abstractions::{
    HttpConnectionFeature, HttpRequestFeature, HttpRequestIdentifierFeature, HttpRequestLifetimeFeature,
    HttpResetFeature, HttpSchemeFeature, ServerAddressesFeature, Stopped,
};
use hosting::{
    ApplicationLifetime, Body, BoxError, BoxFuture, HostedService, Request, RequestFeatures, Response,
    StatusCode, TestServer, WebApplication, WebApplicationOptions,
};
use http_body_util::BodyExt;

use crate::program::Folder;
use crate::support::{Client, data, frames, soon, trailers};

async fn facts(request: Request<Body>) -> Response<Body> {
    let features = request.features();
    let text = format!(
        "{} {} {} connection={} id={} lifetime={} reset={} addresses={} peer={:?}",
        request.protocol(),
        request.scheme(),
        request.path(),
        features.get::<dyn HttpConnectionFeature>().is_some(),
        features.get::<dyn HttpRequestIdentifierFeature>().is_some(),
        features.get::<dyn HttpRequestLifetimeFeature>().is_some(),
        features.get::<dyn HttpResetFeature>().is_some(),
        features.get::<dyn ServerAddressesFeature>().is_some(),
        features.get::<dyn HttpConnectionFeature>().and_then(|connection| connection.remote_address()),
    );
    assert!(features.get::<dyn HttpSchemeFeature>().is_some());
    Response::new(Body::from(text))
}

#[tokio::test]
async fn both_protocols_and_their_features_are_there() {
    let server = soon(TestServer::start(facts)).await.expect("starts");
    let rest = "connection=true id=true lifetime=true";
    let response = soon(server.client().get("/a%20b")).await.expect("an answer");
    assert_eq!(response.version(), http::Version::HTTP_11);
    assert_eq!(response.headers()["server"], "Kestrel");
    assert_eq!(
        response.into_body(),
        format!("HTTP/1.1 http /a b {rest} reset=false addresses=true peer=None").as_str()
    );
    let response = soon(server.http2_client().get("/a")).await.expect("an answer");
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert_eq!(
        response.into_body(),
        format!("HTTP/2 http /a {rest} reset=true addresses=true peer=None").as_str()
    );
    assert_eq!(soon(server.stop()).await, Stopped::Drained);
}

#[tokio::test]
async fn a_client_keeps_its_connection_and_opens_another_when_it_was_closed() {
    let app = async |request: Request<Body>| {
        let id = request
            .features()
            .get::<dyn HttpConnectionFeature>()
            .expect("a connection")
            .connection_id()
            .to_owned();
        let mut response = Response::new(Body::from(id));
        if request.uri().path() == "/close" {
            response.headers_mut().insert("connection", hosting::HeaderValue::from_static("close"));
        }
        response
    };
    let server = soon(TestServer::start(app)).await.expect("starts");
    let client = server.client();
    let id = async |path: &str| soon(client.get(path)).await.expect("an answer").into_body();
    let first = id("/").await;
    assert_eq!(id("/close").await, first);
    let second = id("/").await;
    assert_ne!(second, first);
    assert_eq!(id("/").await, second);
    assert_ne!(soon(server.client().get("/")).await.expect("an answer").into_body(), second);
}

#[tokio::test]
async fn what_a_client_cannot_say_goes_byte_by_byte() {
    let server = soon(TestServer::start(facts)).await.expect("starts");
    let mut raw = Client::new(soon(server.connect()).await.expect("connects"));
    assert_eq!(raw.exchange("GET / HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n").await.status, 400);
    raw.closed().await;
}

#[tokio::test]
async fn bodies_and_trailers_go_both_ways() {
    let router = Router::new().route("/echo", post(async |body: axum::body::Bytes| body)).route(
        "/trailers",
        get(async || {
            let body = frames([data("x"), trailers(&[("check", "sum")])]);
            ([("trailer", "check")], axum::body::Body::new(body))
        }),
    );
    let server = soon(TestServer::start(router)).await.expect("starts");
    for client in [server.client(), server.http2_client()] {
        let large = vec![b'x'; 500_000];
        let response = soon(client.post("/echo", large.clone())).await.expect("an answer");
        assert!(response.into_body() == large);
        assert_eq!(soon(client.get("/nope")).await.expect("an answer").status(), StatusCode::NOT_FOUND);
        let request =
            Request::get("/trailers").header("te", "trailers").body(Body::empty()).expect("a request");
        let body = soon(client.send(request)).await.expect("an answer").into_body();
        let body = soon(body.collect()).await.expect("a body");
        assert_eq!(body.trailers().map(|trailers| trailers["check"].clone()).expect("trailers"), "sum");
    }
}

#[tokio::test]
async fn errors_say_what_failed() {
    let server = soon(TestServer::start(facts)).await.expect("starts");
    let (client, http2) = (server.client(), server.http2_client());
    let error = soon(client.get("no path")).await.expect_err("no path");
    assert!(error.to_string().contains("no path"), "{error}");
    soon(client.get("/")).await.expect("an answer");
    soon(http2.get("/")).await.expect("an answer");
    soon(server.stop()).await;
    for client in [client, http2] {
        let error = soon(client.get("/")).await.expect_err("stopped");
        assert!(error.to_string().contains("has stopped"), "{error}");
    }
}

#[tokio::test]
async fn an_abort_and_a_panic_are_seen_by_the_client() {
    let app = async |request: Request<Body>| {
        if request.uri().path() == "/panic" {
            panic!("on purpose");
        }
        request.features().get::<dyn HttpRequestLifetimeFeature>().expect("a feature").abort();
        Response::new(Body::empty())
    };
    let server = soon(TestServer::start(app)).await.expect("starts");
    for client in [server.client(), server.http2_client()] {
        assert_eq!(soon(client.get("/panic")).await.expect("an answer").status(), 500);
        soon(client.get("/")).await.expect_err("an abort");
    }
}

type Log = Arc<Mutex<Vec<String>>>;

struct Logged(&'static str, Log);

impl Logged {
    fn write(&self, what: &str) {
        self.1.lock().expect("no panic").push(format!("{what} {}", self.0));
    }
}

impl HostedService for Logged {
    fn name(&self) -> &str {
        self.0
    }

    fn start<'a>(&'a mut self, _: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        self.write("start");
        let fails = self.0 == "failing";
        Box::pin(std::future::ready(if fails { Err("on purpose".into()) } else { Ok(()) }))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        self.write("stop");
        Box::pin(std::future::ready(Ok(())))
    }
}

fn arguments(arguments: &[&str], folder: &Folder) -> WebApplicationOptions {
    WebApplicationOptions {
        arguments: Some(arguments.iter().map(|argument| (*argument).to_owned()).collect()),
        content_root: Some(folder.path().to_owned()),
        ..WebApplicationOptions::default()
    }
}

#[tokio::test]
async fn a_whole_application_runs_in_memory() {
    let folder = Folder::new();
    folder.write("appsettings.json", r#"{ "Greeting": "file", "Kestrel": { "AddServerHeader": false } }"#);
    let log = Log::default();
    // The urls are for the real start; in memory nothing is bound, so that 192.0.2.1 does no harm.
    let options = arguments(&["--Greeting", "arguments", "--urls", "http://192.0.2.1:1"], &folder);
    let builder = WebApplication::builder_with(options)
        .service(Logged("one", Arc::clone(&log)))
        .service(Logged("two", Arc::clone(&log)))
        .pipeline(|steps| {
            assert!(steps.server_features().get::<dyn ServerAddressesFeature>().is_some());
            steps.map("/api", facts)
        });
    let greeting = builder.configuration().get("Greeting").expect("a greeting").to_owned();
    assert_eq!(builder.environment().content_root, folder.path());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let app = async move |_: Request<Body>| {
        counted.fetch_add(1, Ordering::Relaxed);
        Response::new(Body::from(greeting.clone()))
    };
    let server = soon(builder.start_test_server(app)).await.expect("starts");
    let lifetime = server.host().lifetime().clone();
    assert!(lifetime.started().is_cancelled() && !lifetime.stopping().is_cancelled());
    assert_eq!(*log.lock().expect("no panic"), ["start one", "start two"]);

    let response = soon(server.client().get("/")).await.expect("an answer");
    assert_eq!(response.headers().get("server"), None);
    assert_eq!(response.into_body(), "arguments");
    let response = soon(server.client().get("/api/x")).await.expect("an answer");
    assert!(response.body().starts_with(b"HTTP/1.1 http /x "));
    assert_eq!(requests.load(Ordering::Relaxed), 1);

    assert_eq!(soon(server.stop()).await, Stopped::Drained);
    assert!(lifetime.stopped().is_cancelled());
    assert_eq!(*log.lock().expect("no panic"), ["start one", "start two", "stop two", "stop one"]);
}

#[tokio::test]
async fn a_service_that_does_not_start_is_named() {
    let folder = Folder::new();
    let log = Log::default();
    let builder = WebApplication::builder_with(arguments(&[], &folder))
        .service(Logged("one", Arc::clone(&log)))
        .service(Logged("failing", Arc::clone(&log)));
    let error = soon(builder.start_test_server(facts)).await.expect_err("a service that fails");
    assert_eq!(format!("{error:?}"), "the service 'failing' did not start: on purpose");
    assert_eq!(*log.lock().expect("no panic"), ["start one", "start failing", "stop one"]);
}

#[tokio::test]
async fn bad_configuration_fails_the_build() {
    let folder = Folder::new();
    folder.write("appsettings.json", "{ \"Kestrel\": { \"Nope\": 1 } }");
    let error = WebApplication::builder_with(arguments(&[], &folder)).build(facts).expect_err("a wrong key");
    let shown = format!("{error:?}");
    assert!(shown.contains("Kestrel:Nope") && shown.contains("appsettings.json:1:"), "{shown}");
}

#[tokio::test]
async fn an_application_can_stop_itself() {
    // With a subscriber of our own, the default one is not installed for the other tests.
    let _ours = tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::new());
    let folder = Folder::new();
    let builder = WebApplication::builder_with(arguments(&[], &folder)).urls("http://127.0.0.1:0");
    let lifetime = builder.lifetime().clone();
    let application = builder.build(facts).expect("is built");
    let running = tokio::spawn(application.run());
    soon(lifetime.started().cancelled()).await;
    lifetime.stop();
    soon(running).await.expect("no panic").expect("no error");
    assert!(lifetime.stopped().is_cancelled());
}
