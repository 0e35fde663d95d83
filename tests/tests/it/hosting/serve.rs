//! `hosting::serve` in the place of `axum::serve`, and `Host` with servers of one's own.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use hosting::server_abstractions::{
    App, BoxFuture, FeatureCollection, Lifetime, Running, Server, StartError, Stopped,
};
use hosting::{Body, Host, HostOptions, Request};
use http_body_util::BodyExt;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::program::{Folder, curl};
use crate::support::{Client, soon};

fn router() -> Router {
    Router::new().route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string())).route(
        "/slow",
        get(async || {
            tokio::time::sleep(Duration::from_millis(700)).await;
            "done"
        }),
    )
}

#[tokio::test]
async fn a_router_is_served_until_its_signal() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopping) = oneshot::channel::<()>();
    let serving = tokio::spawn(
        hosting::serve(listener, router())
            .with_graceful_shutdown(async { stopping.await.unwrap_or(()) })
            .into_future(),
    );
    for option in ["--http1.1", "--http2-prior-knowledge"] {
        let answer = curl([option, &format!("http://{address}/")]).await;
        assert!(answer.text().starts_with("127.0.0.1:"), "{answer:?}");
        assert_eq!(answer.header("server"), Some("Kestrel"));
    }
    let mut slow = Client::tcp(address).await;
    let mut idle = Client::tcp(address).await;
    idle.get("/").await;
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    stop.send(()).expect("it is being served");
    idle.closed().await;
    assert_eq!(slow.response().await.text(), "done");
    soon(serving).await.expect("no panic").expect("no error");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn the_shutdown_timeout_ends_what_does_not_end() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let app = async |_: Request<Body>| std::future::pending::<hosting::Response<Body>>().await;
    let (stop, stopping) = oneshot::channel::<()>();
    let serving = hosting::serve(listener, app)
        .shutdown_timeout(Duration::from_millis(300))
        .with_graceful_shutdown(async { stopping.await.unwrap_or(()) });
    let serving = tokio::spawn(serving.into_future());
    let mut client = Client::tcp(address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(()).expect("it is being served");
    soon(serving).await.expect("no panic").expect("no error");
    client.closed().await;
}

#[tokio::test]
async fn dropping_it_stops_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(hosting::serve(listener, router()).into_future());
    let mut client = Client::tcp(address).await;
    client.get("/").await;
    serving.abort();
    client.closed().await;
}

#[tokio::test]
async fn a_unix_listener_and_options_are_taken_too() {
    let folder = Folder::new();
    let path = folder.path().join("serve.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let serving =
        hosting::serve(listener, async |_: Request<Body>| hosting::Response::new(Body::from("hello")))
            .options(|options| options.add_server_header = false);
    let serving = tokio::spawn(serving.into_future());
    let mut client = Client::unix(&path).await;
    let response = client.get("/").await;
    assert_eq!((response.text(), response.header("server")), ("hello", None));
    serving.abort();
}

type Questions = mpsc::Receiver<(Request<Body>, oneshot::Sender<hosting::Response<Body>>)>;

/// A server whose requests come from a channel.
struct ChannelServer {
    features: FeatureCollection,
    questions: Questions,
    log: Arc<Mutex<Vec<&'static str>>>,
}

impl Server for ChannelServer {
    fn features(&self) -> &FeatureCollection {
        &self.features
    }

    fn start(mut self: Box<Self>, app: App) -> BoxFuture<'static, Result<Running, StartError>> {
        let (lifetime, guard) = Lifetime::new();
        let draining = lifetime.draining();
        let finished = tokio::spawn(async move {
            let _guard = guard;
            let mut draining = std::pin::pin!(draining);
            loop {
                let question = tokio::select! {
                    question = self.questions.recv() => question,
                    () = &mut draining => None,
                };
                let Some((request, answer)) = question else { break };
                let _ = answer.send(app.handle(request).await);
            }
            self.log.lock().expect("no panic").push("server stopped");
        });
        let running = Running::new(FeatureCollection::new(), lifetime, async move { Ok(finished.await?) });
        Box::pin(std::future::ready(Ok(running)))
    }
}

#[tokio::test]
async fn a_host_runs_any_server_and_its_services() {
    let (ask, questions) = mpsc::channel(1);
    let log = Arc::new(Mutex::new(Vec::new()));
    let server = ChannelServer { features: FeatureCollection::new(), questions, log: Arc::clone(&log) };
    let written = Arc::clone(&log);
    let service = hosting::background("watcher", async move |stopping| {
        written.lock().expect("no panic").push("service started");
        stopping.cancelled().await;
        Ok(())
    });
    let app = Router::new()
        .route("/{name}", get(async |axum::extract::Path(name): axum::extract::Path<String>| name));
    let options = HostOptions { shutdown_timeout: Duration::from_secs(5), ..HostOptions::default() };
    let running =
        soon(Host::new(server, app).options(options).service(service).start()).await.expect("starts");
    assert!(running.addresses().is_empty());

    let (answer, answered) = oneshot::channel();
    let request = Request::get("/kestrel").body(Body::empty()).expect("a request");
    ask.send((request, answer)).await.expect("the server listens");
    let response = soon(answered).await.expect("an answer");
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "kestrel");

    assert_eq!(soon(running.stop()).await, Stopped::Drained);
    assert_eq!(*log.lock().expect("no panic"), ["service started", "server stopped"]);
}
