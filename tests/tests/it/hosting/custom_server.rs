//! Servers in the place of Kestrel: the sample `custom-server`, whose requests come from its standard input, and one
//! that only pretends.

use std::sync::Arc;
use std::time::Duration;

use hosting::server_abstractions::{
    FeatureCollection, Lifetime, Running, Server, ServerAddresses, ServerAddressesFeature, StartError,
};
use hosting::{
    App, Body, BoxFuture, Request, Response, WebApplication, WebApplicationBuilder, WebApplicationOptions,
};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::program::{Launch, Program};

async fn start() -> Program {
    let mut program = Launch::of("custom-server").spawn_with_input();
    program.line("Content root path").await;
    program
}

async fn write(program: &mut Program, lines: &str) {
    let stdin = program.stdin.as_mut().expect("a pipe");
    stdin.write_all(lines.as_bytes()).await.expect("the program reads");
    stdin.flush().await.expect("the program reads");
}

#[tokio::test]
async fn every_line_is_answered_and_the_end_of_the_input_is_the_end() {
    let mut program = start().await;
    assert!(program.urls().is_empty());
    let folder = program.folder().path().display().to_string();
    assert!(program.seen().last().is_some_and(|line| line.ends_with(&folder)), "{:?}", program.seen());
    write(&mut program, "GET /a\nPOST /b?c\n").await;
    program.line("POST /b").await;
    write(&mut program, "nonsense\nGET /after").await;
    drop(program.stdin.take());
    let end = program.end().await;
    assert_eq!((end.code, end.stderr.as_str()), (Some(0), ""), "{end:?}");
    let answers: Vec<_> = end.stdout.iter().filter(|line| !line.contains("hosting::lifetime")).collect();
    assert_eq!(
        answers,
        [
            "200 OK",
            "GET /a",
            "200 OK",
            "POST /b",
            "400 Bad Request",
            "a line is a method and a path, such as: GET /",
            "200 OK",
            "GET /after"
        ]
    );
    assert!(end.stdout.iter().any(|line| line.contains("Application is shutting down")));
}

#[tokio::test]
async fn a_signal_ends_it_while_it_waits_for_input() {
    let program = start().await;
    let stopping = Instant::now();
    let end = program.stop().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(stopping.elapsed() < Duration::from_secs(1), "{:?}", stopping.elapsed());
}

/// Takes the host's addresses, and says that it listens there.
struct Pretender {
    features: FeatureCollection,
    addresses: Arc<ServerAddresses>,
}

impl Pretender {
    fn new() -> Self {
        let addresses = Arc::new(ServerAddresses::new());
        let mut features = FeatureCollection::new();
        features.set::<dyn ServerAddressesFeature>(addresses.clone());
        Self { features, addresses }
    }
}

impl Server for Pretender {
    fn features(&self) -> &FeatureCollection {
        &self.features
    }

    fn start(self: Box<Self>, _: App) -> BoxFuture<'static, Result<Running, StartError>> {
        let told = self.addresses.begin_start();
        self.addresses.set_bound(told);
        let (lifetime, guard) = Lifetime::new();
        let draining = lifetime.draining();
        let finished = async move {
            draining.await;
            drop(guard);
            Ok(())
        };
        Box::pin(std::future::ready(Ok(Running::new(self.features, lifetime, finished))))
    }
}

fn application(arguments: &[&str]) -> WebApplicationBuilder {
    let arguments = Some(arguments.iter().map(|argument| (*argument).to_owned()).collect());
    WebApplication::builder_with(WebApplicationOptions { arguments, ..WebApplicationOptions::default() })
}

async fn nothing(_: Request<Body>) -> Response<Body> {
    Response::new(Body::empty())
}

#[tokio::test]
async fn a_server_in_the_place_of_kestrel_is_told_the_configured_addresses() {
    let application = application(&["--urls", "http://a:1;http://b:2"]).server(Pretender::new());
    let running = application.build(nothing).unwrap().start().await.unwrap();
    let addresses: Vec<_> = running.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["http://a:1", "http://b:2"]);
    running.stop().await;
}

#[tokio::test]
async fn options_of_kestrel_are_refused_when_another_server_takes_its_place() {
    let section = application(&["--Kestrel:AddServerHeader", "false"]).server(Pretender::new());
    let code = application(&[]).server(Pretender::new()).kestrel(|_| {});
    for builder in [section, code] {
        let error = builder.build(nothing).unwrap_err().to_string();
        assert!(error.contains("Kestrel"), "{error}");
    }
    let error = application(&[]).server(Pretender::new()).start_test_server(nothing).await.unwrap_err();
    assert!(error.to_string().contains("test server"), "{error}");
}
