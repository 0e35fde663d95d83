//! Options that change while the server runs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use server_abstractions::{App, Body, ConnectionLifetimeFeature, IntoService, Running, Server, Stopped};
use server_kestrel::{Endpoint, HttpProtocols, HttpsOptions, Kestrel, KestrelOptions, memory};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::support::{
    Certificate, Client, Http2, Memory, client_config, collect, connect_tls, count, hello, loopback, manual,
    options, settle, socket_address, soon, status, until, within,
};

mod under_load;

async fn reloading<M>(
    options: KestrelOptions,
    app: impl IntoService<M>,
) -> (watch::Sender<KestrelOptions>, Running) {
    let (change, receiver) = watch::channel(options);
    let running = soon(Box::new(Kestrel::reloading(receiver)).start(App::new(app))).await.unwrap();
    (change, running)
}

fn address(running: &Running, index: usize) -> SocketAddr {
    socket_address(&running.addresses()[index])
}

/// Asks until an answer says that it is the last one: the change has arrived.
async fn told_to_close(client: &mut Client) {
    soon(async { while !client.get("/").await.closes() {} }).await;
    client.closed().await;
}

#[tokio::test]
async fn a_new_endpoint_is_listened_on() {
    let first = loopback();
    let (change, running) = reloading(options([first.clone()]), hello).await;
    let before = address(&running, 0);
    change.send_modify(|options| options.endpoints.push(Endpoint::url("http://[::1]:0").unwrap()));
    until(|| running.addresses().len() == 2).await;
    assert_eq!(address(&running, 0), before);
    for index in 0..2 {
        assert_eq!(Client::tcp(address(&running, index)).await.get("/").await.status, 200);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_closed() {
    let other = Endpoint::url("http://[::1]:0").unwrap();
    let (change, running) = reloading(options([loopback(), other]), hello).await;
    let (stays, goes) = (address(&running, 0), address(&running, 1));
    let mut idle = Client::tcp(goes).await;
    idle.get("/").await;
    let mut kept = Client::tcp(stays).await;
    kept.get("/").await;
    change.send_modify(|options| drop(options.endpoints.pop()));
    until(|| running.addresses().len() == 1).await;
    // What is still said on an old connection is answered, for the last time.
    told_to_close(&mut idle).await;
    soon(async { while TcpStream::connect(goes).await.is_ok() {} }).await;
    // The other one and its connections have noticed nothing.
    assert_eq!(kept.get("/").await.status, 200);
    assert_eq!(Client::tcp(stays).await.get("/").await.status, 200);
}

async fn speaks_http1(at: SocketAddr) -> bool {
    let mut client = Client::tcp(at).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    client.rest().await.starts_with(b"HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_served_in_another_way_keeps_its_socket() {
    let (change, running) = reloading(options([loopback()]), hello).await;
    let at = address(&running, 0);
    // Whoever connects in the meantime is never refused.
    let (is_over, connected) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (over, count) = (is_over.clone(), connected.clone());
    let connecting = std::thread::spawn(move || -> io::Result<()> {
        while !over.load(Ordering::Relaxed) {
            std::net::TcpStream::connect(at)?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    until(|| connected.load(Ordering::Relaxed) > 0).await;
    for protocols in [HttpProtocols::Http2, HttpProtocols::Http1].into_iter().cycle().take(10) {
        change.send_modify(|options| options.endpoints[0].protocols = protocols);
        // The change takes a moment to arrive.
        let changed = async { while speaks_http1(at).await != (protocols == HttpProtocols::Http1) {} };
        soon(changed).await;
    }
    is_over.store(true, Ordering::Relaxed);
    tokio::task::spawn_blocking(|| connecting.join().unwrap()).await.unwrap().unwrap();
    assert_eq!(address(&running, 0), at);
}

#[tokio::test]
async fn limits_hold_for_connections_after_the_change() {
    let (listener, connector) = memory();
    let (change, _running) = reloading(options([Endpoint::listener(listener)]), count).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let mut client = Client::new(connector.connect().await.unwrap());
    assert_eq!(client.exchange(post).await.text(), "3");
    change.send_modify(|options| options.limits.max_request_body_size = Some(2));
    told_to_close(&mut client).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    assert_eq!(client.exchange(post).await.status, 413);
}

#[tokio::test]
async fn the_server_header_follows_the_options() {
    let (listener, connector) = memory();
    let (change, _running) = reloading(options([Endpoint::listener(listener)]), hello).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    assert_eq!(client.get("/").await.header("server"), Some("Kestrel"));
    change.send_modify(|options| options.add_server_header = false);
    told_to_close(&mut client).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    assert_eq!(client.get("/").await.header("server"), None);
}

#[tokio::test]
async fn an_endpoint_can_go_over_to_tls_and_to_another_certificate() {
    let (listener, connector) = memory();
    let endpoint = Endpoint::listener(listener);
    let (change, running) = reloading(options([endpoint.clone()]), hello).await;
    for _ in 0..2 {
        let certificate = Certificate::new();
        change.send_modify(|options| options.endpoints = vec![endpoint.clone().https(certificate.https())]);
        let connect = async || {
            let io = connector.connect().await.unwrap();
            connect_tls(io, client_config(&certificate, &[])).await
        };
        // The change takes a moment to arrive.
        soon(async { while connect().await.is_err() {} }).await;
        assert_eq!(Client::new(connect().await.unwrap()).get("/").await.status, 200);
        assert!(running.addresses()[0].is_https());
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_under_way_is_finished_by_the_old_options() {
    let (app, mut calls) = manual();
    let (listener, connector) = memory();
    let (change, running) = reloading(options([Endpoint::listener(listener)]), app).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let call = soon(calls.recv()).await.unwrap();
    let stopping = call.features.get::<dyn ConnectionLifetimeFeature>().unwrap().stopping();
    change.send_modify(|options| options.add_server_header = false);
    soon(stopping.cancelled()).await;
    sleep(Duration::from_secs(4)).await;
    call.answer(status(204));
    let response = client.response().await;
    assert_eq!((response.header("server"), response.closes()), (Some("Kestrel"), true));
    client.closed().await;
    let before = Instant::now();
    assert_eq!(running.stop(sleep(Duration::from_secs(60))).await, Stopped::Drained);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_that_does_not_end_is_aborted_after_the_grace_and_a_stop() {
    let (app, mut calls) = manual();
    let (listener, connector) = memory();
    let (change, running) = reloading(options([Endpoint::listener(listener)]), app).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let http2 = Http2::new(connector.connect().await.unwrap()).await;
    let (response, _) = http2.send(Request::get("http://a/").body(()).unwrap(), true).await;
    let (mut one, mut two) = (soon(calls.recv()).await.unwrap(), soon(calls.recv()).await.unwrap());
    let before = Instant::now();
    change.send_modify(|options| options.add_server_header = false);
    within(Duration::from_secs(60), one.dropped_whenever()).await;
    within(Duration::from_secs(60), two.dropped_whenever()).await;
    assert_eq!(before.elapsed().as_secs(), 10);
    client.closed().await;
    assert!(collect(response).await.is_err());
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_of_old_options_may_ask_once_more_for_five_seconds() {
    let (listener, connector) = memory();
    let (change, _running) = reloading(options([Endpoint::listener(listener)]), hello).await;
    let connect = async || Client::new(connector.connect().await.unwrap());
    let (mut idle, mut fresh, mut silent) = (connect().await, connect().await, connect().await);
    idle.get("/").await;
    settle().await;
    let before = Instant::now();
    change.send_modify(|options| options.add_server_header = false);
    sleep(Duration::from_millis(4900)).await;
    for client in [&mut idle, &mut fresh] {
        let response = client.get("/").await;
        assert_eq!((response.text(), response.closes()), ("Hello, World!", true));
        assert_eq!(response.header("server"), Some("Kestrel"), "the old options");
        client.closed().await;
    }
    silent.closed().await;
    assert_eq!(before.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn http2_is_told_at_once_and_loses_nothing() {
    let (app, mut calls) = manual();
    let (listener, connector) = memory();
    let (change, _running) = reloading(options([Endpoint::listener(listener)]), app).await;
    let http2 = Http2::new(connector.connect().await.unwrap()).await;
    let (response, _) = http2.send(Request::get("http://a/").body(()).unwrap(), true).await;
    let call = soon(calls.recv()).await.unwrap();
    let before = Instant::now();
    change.send_modify(|options| options.add_server_header = false);
    // No new request is taken from now on, by the client itself.
    let told = async {
        loop {
            if let Err(error) = http2.requests.clone().ready().await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = soon(told).await;
    assert!(told.is_go_away() && told.reason() == Some(h2::Reason::NO_ERROR), "{told}");
    assert_eq!(before.elapsed(), Duration::ZERO);
    call.answer(status(204));
    assert_eq!(collect(response).await.unwrap().status, 204);
    http2.closed().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_grace_of_a_reload() {
    let (listener, connector) = memory();
    let (change, running) = reloading(options([Endpoint::listener(listener)]), hello).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    client.get("/").await;
    change.send_modify(|options| options.add_server_header = false);
    settle().await;
    let before = Instant::now();
    assert_eq!(running.stop(sleep(Duration::from_secs(60))).await, Stopped::Drained);
    client.closed().await;
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn options_without_a_change_leave_connections_alone() {
    let (listener, connector) = memory();
    let (change, _running) = reloading(options([Endpoint::listener(listener)]), hello).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    client.get("/").await;
    for _ in 0..3 {
        change.send_modify(|_| ());
        settle().await;
    }
    assert_eq!(client.get("/").await.status, 200);
}

#[tokio::test]
async fn options_that_are_refused_leave_the_old_ones_in_force() {
    let (listener, connector) = memory();
    let (change, running) = reloading(options([Endpoint::listener(listener)]), hello).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    client.get("/").await;
    let before = running.addresses();
    // No certificate; one that cannot be read; an address that is nobody's.
    change.send_modify(|options| {
        options.endpoints.push(Endpoint::url("https://127.0.0.1:0").unwrap());
    });
    settle().await;
    change.send_modify(|options| {
        options.endpoints.truncate(1);
        options.endpoints[0].https = Some(HttpsOptions::pem_files("/nowhere.pem", "/nowhere.pem"));
    });
    settle().await;
    change.send_modify(|options| {
        options.endpoints[0].https = None;
        options.endpoints.push(Endpoint::url("http://192.0.2.1:0").unwrap());
    });
    settle().await;
    assert_eq!(client.get("/").await.status, 200);
    assert_eq!(Client::new(connector.connect().await.unwrap()).get("/").await.status, 200);
    assert_eq!(running.addresses(), before);
    // What is right is taken again.
    change.send_modify(|options| {
        options.endpoints.pop();
        options.add_server_header = false;
    });
    told_to_close(&mut client).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    assert_eq!(client.get("/").await.header("server"), None);
}

#[tokio::test]
async fn a_server_whose_options_can_no_longer_change_goes_on() {
    let (listener, connector) = memory();
    let (change, running) = reloading(options([Endpoint::listener(listener)]), hello).await;
    drop(change);
    settle().await;
    assert_eq!(Client::new(connector.connect().await.unwrap()).get("/").await.status, 200);
    assert_eq!(soon(running.stop(std::future::pending())).await, Stopped::Drained);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_connections_of_old_options_too() {
    let (app, mut calls) = manual();
    let (listener, connector) = memory();
    let (change, running) = reloading(options([Endpoint::listener(listener)]), app).await;
    let mut client = Client::new(connector.connect().await.unwrap());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let call = soon(calls.recv()).await.unwrap();
    change.send_modify(|options| options.add_server_header = false);
    settle().await;
    let stop = tokio::spawn(running.stop(sleep(Duration::from_secs(60))));
    sleep(Duration::from_secs(2)).await;
    assert!(!stop.is_finished());
    call.answer(status(204));
    assert_eq!(client.response().await.status, 204);
    assert_eq!(soon(stop).await.unwrap(), Stopped::Drained);
}

#[tokio::test]
async fn a_fixed_server_follows_nothing() {
    let server = Memory::start(|_: Request<Body>| async { status(204) }).await;
    assert_eq!(server.client().await.get("/").await.status, 204);
    assert_eq!(soon(server.running.stop(std::future::pending())).await, Stopped::Drained);
}

#[tokio::test]
async fn an_endpoint_can_go_over_from_one_address_to_all_of_them() {
    let (change, running) = reloading(options([loopback()]), hello).await;
    let at = address(&running, 0);
    let one = Endpoint::tcp(at);
    let all = Endpoint::url(&format!("http://*:{}", at.port())).unwrap();
    for (endpoint, is_all) in [(one.clone(), false), (all, true), (one, false)] {
        change.send_modify(|options| options.endpoints = vec![endpoint]);
        until(|| running.addresses().len() == 1 && address(&running, 0).ip().is_unspecified() == is_all)
            .await;
        assert_eq!(address(&running, 0).port(), at.port());
        assert_eq!(Client::tcp(at).await.get("/").await.status, 200);
    }
}
