//! Options of sockets, as the system and other processes see them.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use hosting::{WebApplication, WebApplicationOptions};
use http::{Request, Response};
use server_abstractions::{App, Body, IntoService, Running, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions, SocketOptions, TcpKeepAlive, memory};
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::endpoints::start_error;
use crate::program::{Folder, output_of};
use crate::support::{Client, hello, loopback, options, settle, socket_address, soon, start, until};

const SHARED: SocketOptions =
    SocketOptions { backlog: 512, reuse_port: true, no_delay: true, keep_alive: None, unix_mode: None };

fn backlog(backlog: u32) -> SocketOptions {
    SocketOptions { backlog, ..SocketOptions::default() }
}

fn address(running: &Running) -> SocketAddr {
    socket_address(&running.addresses()[0])
}

/// The length of the queue of whoever listens on the port, as the system has it.
async fn queue_of(address: SocketAddr) -> String {
    let filter = format!("sport = :{}", address.port());
    let lines = output_of("ss", ["-tlnH", &filter]).await;
    lines.split_whitespace().nth(2).unwrap_or_default().to_owned()
}

/// What the system knows about the server's end of a connection.
async fn connection_at(address: SocketAddr) -> String {
    let filter = format!("sport = :{}", address.port());
    output_of("ss", ["-tnoH", "state", "established", &filter]).await
}

/// Or in a little less.
fn asks_in_50_minutes(seen: &str) -> bool {
    ["49min", "50min"].iter().any(|time| seen.contains(&format!("timer:(keepalive,{time}")))
}

#[tokio::test]
async fn two_servers_share_a_port_if_both_say_so() {
    let named = |name: &'static str| async move |_: Request<Body>| Response::new(Body::from(name));
    let first = start(options([loopback().socket_options(SHARED)]), named("first")).await;
    let at = address(&first);
    // One that does not say so is told that the address is in use.
    assert!(start_error(options([Endpoint::tcp(at)])).await.is_address_in_use());
    let second = start(options([Endpoint::tcp(at).socket_options(SHARED)]), named("second")).await;
    let (mut is_first, mut is_second) = (false, false);
    // The system chooses by the client's port, and so by chance.
    soon(async {
        while !(is_first && is_second) {
            match Client::tcp(at).await.get("/").await.text() {
                "first" => is_first = true,
                "second" => is_second = true,
                other => panic!("{other}"),
            }
        }
    })
    .await;
    // One takes over from the other.
    soon(first.stop(std::future::pending())).await;
    for _ in 0..20 {
        assert_eq!(Client::tcp(at).await.get("/").await.text(), "second");
    }
    drop(second);
}

#[tokio::test]
async fn a_server_that_shares_cannot_join_one_that_does_not() {
    let first = start(options([loopback()]), hello).await;
    let error = start_error(options([Endpoint::tcp(address(&first)).socket_options(SHARED)])).await;
    assert!(error.is_address_in_use(), "{error}");
}

#[tokio::test]
async fn the_queue_is_as_long_as_was_asked_for() {
    let default = start(options([loopback()]), hello).await;
    assert_eq!(queue_of(address(&default)).await, "512");
    let short = start(options([loopback().socket_options(backlog(3))]), hello).await;
    assert_eq!(queue_of(address(&short)).await, "3");
    // The queue of one that was handed in stays, unless something is said.
    let handed = || TcpListener::bind("127.0.0.1:0").unwrap();
    let stays = start(options([Endpoint::descriptor(handed())]), hello).await;
    assert_eq!(queue_of(address(&stays)).await, "128");
    let changes = start(options([Endpoint::descriptor(handed()).socket_options(backlog(7))]), hello).await;
    assert_eq!(queue_of(address(&changes)).await, "7");
}

#[tokio::test]
async fn silent_peers_are_asked_by_the_system() {
    let keep_alive = TcpKeepAlive { time: Duration::from_secs(3000), ..TcpKeepAlive::default() };
    let asking = SocketOptions { keep_alive: Some(keep_alive), ..SocketOptions::default() };
    let handed = TcpListener::bind("127.0.0.1:0").unwrap();
    for (endpoint, is_asking) in [
        (loopback().socket_options(asking), true),
        (Endpoint::descriptor(handed).socket_options(asking), true),
        (loopback(), false),
    ] {
        let running = start(options([endpoint]), hello).await;
        let mut client = Client::tcp(address(&running)).await;
        assert_eq!(client.get("/").await.status, 200);
        let seen = connection_at(address(&running)).await;
        assert!(seen.contains("127.0.0.1"), "{seen}");
        assert_eq!(asks_in_50_minutes(&seen), is_asking, "{seen}");
    }
}

async fn reloading<M>(
    endpoint: Endpoint,
    app: impl IntoService<M>,
) -> (watch::Sender<KestrelOptions>, Running) {
    let (change, receiver) = watch::channel(options([endpoint]));
    let running = soon(Box::new(Kestrel::reloading(receiver)).start(App::new(app))).await.unwrap();
    (change, running)
}

#[tokio::test]
async fn an_endpoint_whose_socket_changes_is_listened_on_anew() {
    let (change, running) = reloading(loopback(), hello).await;
    let at = address(&running);
    change.send_modify(|options| options.endpoints = vec![Endpoint::tcp(at)]);
    until(|| running.addresses().len() == 1 && address(&running) == at).await;
    let mut old = Client::tcp(at).await;
    assert_eq!(old.get("/").await.status, 200);
    change.send_modify(|options| options.endpoints[0].socket_options = backlog(9));
    old.closed().await;
    let listening = async { while queue_of(at).await != "9" {} };
    soon(listening).await;
    assert_eq!(Client::tcp(at).await.get("/").await.status, 200);
    // What cannot be held leaves the socket as it is, and its connections.
    let mut kept = Client::tcp(at).await;
    assert_eq!(kept.get("/").await.status, 200);
    change.send_modify(|options| options.endpoints[0].socket_options = backlog(0));
    settle().await;
    assert_eq!(kept.get("/").await.status, 200);
    assert_eq!(queue_of(at).await, "9");
}

#[tokio::test]
async fn a_socket_that_was_handed_in_stays_as_it_is() {
    let handed = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = handed.local_addr().unwrap();
    let (change, running) = reloading(Endpoint::descriptor(handed), hello).await;
    let mut kept = Client::tcp(at).await;
    assert_eq!(kept.get("/").await.status, 200);
    change.send_modify(|options| options.endpoints[0].socket_options = backlog(9));
    settle().await;
    assert_eq!(kept.get("/").await.status, 200);
    assert_eq!(queue_of(at).await, "128");
    assert_eq!(Client::tcp(at).await.get("/").await.status, 200);
    assert_eq!(running.addresses().len(), 1);
}

#[tokio::test]
async fn what_a_socket_cannot_be_is_refused_by_name() {
    let folder = Folder::new();
    let path = folder.path().join("s");
    let unix = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let handed = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (listener, _connector) = memory();
    let no_delay = SocketOptions { no_delay: false, ..SocketOptions::default() };
    for (endpoint, expected) in [
        (loopback().unix_mode(0o660), "socket_options.unix_mode is 0660; it must be left out"),
        (loopback().socket_options(backlog(0)), "socket_options.backlog is 0"),
        (Endpoint::unix("/s").socket_options(SHARED), "socket_options.reuse_port"),
        (Endpoint::descriptor(handed()).socket_options(SHARED), "was bound without it"),
        (Endpoint::descriptor(handed()).unix_mode(0o660), "socket_options.unix_mode"),
        (Endpoint::descriptor(unix.try_clone().unwrap()).unix_mode(0o660), "has 0600"),
        (Endpoint::descriptor(unix.try_clone().unwrap()).socket_options(no_delay), "socket_options.no_delay"),
        (Endpoint::listener(listener).socket_options(backlog(9)), "socket_options.backlog"),
    ] {
        let error = start_error(options([endpoint])).await;
        assert!(error.is_configuration() && error.to_string().contains(expected), "{expected}: {error}");
    }
    // One that is as it should be is taken.
    start(options([Endpoint::descriptor(unix).unix_mode(0o600)]), hello).await;
}

#[tokio::test]
async fn defaults_are_for_the_sockets_of_urls() {
    let kestrel = Kestrel::new(KestrelOptions {
        default_socket_options: SocketOptions { unix_mode: Some(0o600), ..backlog(11) },
        ..KestrelOptions::default()
    });
    let feature = kestrel.features().get::<dyn server_abstractions::ServerAddressesFeature>().unwrap();
    let folder = Folder::new();
    let path = folder.path().join("s");
    let urls = format!("http://127.0.0.1:0;http://unix:{}", path.display());
    feature.set_addresses(server_abstractions::Address::parse_list(&urls).unwrap(), false).unwrap();
    let running = soon(Box::new(kestrel).start(App::new(hello))).await.unwrap();
    assert_eq!(queue_of(address(&running)).await, "11");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn the_configuration_reaches_the_sockets() {
    let folder = Folder::new();
    let path = folder.path().join("s");
    let value = |key: &str, value: &str| (format!("Kestrel:{key}"), value.to_owned());
    let options = WebApplicationOptions {
        arguments: Some(Vec::new()),
        content_root: Some(folder.path().to_owned()),
        values: vec![
            value("EndpointDefaults:SocketOptions:UnixMode", "0620"),
            value("EndpointDefaults:SocketOptions:KeepAlive:Time", "00:50:00"),
            value("Endpoints:A:Url", "http://127.0.0.1:0"),
            value("Endpoints:A:SocketOptions:Backlog", "13"),
            value("Endpoints:B:Url", &format!("http://unix:{}", path.display())),
            value("Threads", "2"),
        ],
        ..WebApplicationOptions::default()
    };
    let thread = async |_: Request<Body>| {
        Response::new(Body::from(std::thread::current().name().unwrap_or_default().to_owned()))
    };
    let running = WebApplication::builder_with(options).build(thread).unwrap().start().await.unwrap();
    let at = socket_address(&running.addresses()[0]);
    assert_eq!(queue_of(at).await, "13");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o620);
    let mut client = Client::new(TcpStream::connect(at).await.unwrap());
    let answer = client.get("/").await;
    assert!(answer.text().starts_with("kestrel-"), "{}", answer.text());
    let seen = connection_at(at).await;
    assert!(asks_in_50_minutes(&seen), "{seen}");
}
