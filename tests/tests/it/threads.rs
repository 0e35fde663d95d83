//! A server on threads of its own.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use http::{Request, Response};
use server_abstractions::{Body, IntoService, Running, Stopped};
use server_kestrel::{Endpoint, KestrelOptions, Threads};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use crate::support::{Client, Http2, hello, loopback, manual, options, socket_address, soon, start, status};

async fn per_core<M>(count: usize, endpoint: Endpoint, app: impl IntoService<M>) -> Running {
    let threads = Threads::PerCore(NonZeroUsize::new(count));
    start(KestrelOptions { threads, ..options([endpoint]) }, app).await
}

async fn thread(_: Request<Body>) -> Response<Body> {
    // A connection stays where it is.
    tokio::task::yield_now().await;
    Response::new(Body::from(std::thread::current().name().unwrap_or_default().to_owned()))
}

#[tokio::test]
async fn connections_are_served_on_the_servers_threads() {
    let running = per_core(2, loopback(), thread).await;
    let address = socket_address(&running.addresses()[0]);
    let mut names = HashSet::new();
    for _ in 0..20 {
        let mut client = Client::tcp(address).await;
        let name = client.get("/").await.text().to_owned();
        assert_eq!(client.get("/").await.text(), name);
        names.insert(name);
    }
    assert!(names.iter().all(|name| name == "kestrel-0" || name == "kestrel-1"), "{names:?}");
    let client = Http2::new(TcpStream::connect(address).await.unwrap()).await;
    assert!(client.get("/").await.body.starts_with(b"kestrel-"));
}

#[tokio::test]
async fn without_a_count_there_is_a_thread_per_core() {
    let running = per_core(0, loopback(), thread).await;
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    assert!(client.get("/").await.text().starts_with("kestrel-"));
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way() {
    let (app, mut calls) = manual();
    let running = per_core(2, loopback(), app).await;
    let address = socket_address(&running.addresses()[0]);
    let mut client = Client::tcp(address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let call = soon(calls.recv()).await.unwrap();
    let stop = tokio::spawn(running.stop(std::future::pending()));
    // Unbound at once, finished later.
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
    assert!(!stop.is_finished());
    call.answer(status(204));
    let response = client.response().await;
    assert_eq!((response.status, response.closes()), (204, true));
    assert_eq!(soon(stop).await.unwrap(), Stopped::Drained);
    client.closed().await;
}

#[tokio::test]
async fn the_deadline_aborts_what_is_not_finished() {
    let (app, mut calls) = manual();
    let running = per_core(2, loopback(), app).await;
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut call = soon(calls.recv()).await.unwrap();
    assert_eq!(soon(running.stop(sleep(Duration::from_millis(50)))).await, Stopped::Aborted);
    call.dropped().await;
    client.closed().await;
}

#[tokio::test]
async fn a_server_that_is_dropped_stops() {
    let running = per_core(1, loopback(), hello).await;
    let address = socket_address(&running.addresses()[0]);
    let mut client = Client::tcp(address).await;
    client.get("/").await;
    drop(running);
    client.closed().await;
    soon(async { while TcpStream::connect(address).await.is_ok() {} }).await;
}

#[tokio::test]
async fn tasks_of_handlers_end_with_the_server() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let app = move |_: Request<Body>| {
        let (alive, dropped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            std::future::pending::<()>().await;
            drop(alive);
        });
        send.send(dropped).unwrap_or_default();
        async { status(204) }
    };
    let running = per_core(1, loopback(), app).await;
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    assert_eq!(client.get("/").await.status, 204);
    let dropped = soon(receive.recv()).await.unwrap();
    assert_eq!(soon(running.stop(std::future::pending())).await, Stopped::Drained);
    assert!(soon(dropped).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_default_connections_are_served_on_the_callers_runtime() {
    let running = start(options([loopback()]), |_: Request<Body>| async {
        // Only a runtime of several threads allows this.
        tokio::task::block_in_place(|| ());
        status(204)
    })
    .await;
    let address = socket_address(&running.addresses()[0]);
    for _ in 0..10 {
        assert_eq!(Client::tcp(address).await.get("/").await.status, 204);
    }
    assert_eq!(soon(running.stop(std::future::pending())).await, Stopped::Drained);
}
