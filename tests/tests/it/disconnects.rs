//! Requests that are given up: by a client that leaves, by the app.

use bytes::Bytes;
use http::{Request, Response};
use server_abstractions::{
    Body, ConnectionLifetimeFeature, HttpContext, HttpRequestLifetimeFeature, RequestFeatures,
};
use tokio::sync::mpsc;

use crate::support::{Client, Memory, channel, hello, manual, settle, soon, start_on_tcp, status};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_client_that_leaves_drops_the_handler_and_fires_its_token() {
    let (app, mut calls) = manual();
    let (_running, address) = start_on_tcp(app).await;
    let mut client = Client::tcp(address).await;
    client.send(GET).await;
    let mut call = soon(calls.recv()).await.unwrap();
    assert!(!call.aborted.is_cancelled());
    drop(client);
    soon(call.aborted.cancelled()).await;
    call.dropped().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_memory_is_noticed_as_well() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(GET).await;
    let mut call = soon(calls.recv()).await.unwrap();
    drop(client);
    soon(call.aborted.cancelled()).await;
    call.dropped().await;
}

#[tokio::test]
async fn a_client_that_leaves_within_its_body_is_noticed_by_who_reads_it() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let aborted = HttpContext::of_request(&request).request_aborted();
        send.send(aborted).unwrap_or_default();
        crate::support::count(request)
    })
    .await;
    let mut client = server.client().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    let aborted = soon(receive.recv()).await.unwrap();
    drop(client);
    soon(aborted.cancelled()).await;
}

#[tokio::test]
async fn a_client_that_leaves_drops_the_body_of_its_response() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let (_running, address) = start_on_tcp(move |request: Request<Body>| {
        let (sender, body) = channel();
        let aborted = HttpContext::of_request(&request).request_aborted();
        send.send((sender, aborted)).unwrap_or_default();
        async move { Response::new(body) }
    })
    .await;
    let mut client = Client::tcp(address).await;
    client.send(GET).await;
    let (mut sender, aborted) = soon(receive.recv()).await.unwrap();
    sender.send_data(Bytes::from("begun")).await.unwrap();
    client.take_until("begun").await;
    assert!(!aborted.is_cancelled());
    drop(client);
    soon(aborted.cancelled()).await;
    // Sooner or later there is nobody to send to.
    soon(async { while sender.send_data(Bytes::from("more")).await.is_ok() {} }).await;
}

#[tokio::test]
async fn an_http_2_connection_that_ends_gives_up_all_of_its_requests() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let mut responses = Vec::new();
    for _ in 0..3 {
        responses.push(client.send(Request::get("http://a/").body(()).unwrap(), true).await);
    }
    let mut under_way = Vec::new();
    for _ in 0..3 {
        under_way.push(soon(calls.recv()).await.unwrap());
    }
    client.connection.abort();
    for mut call in under_way {
        soon(call.aborted.cancelled()).await;
        call.dropped().await;
    }
}

#[tokio::test]
async fn the_token_does_not_fire_for_a_response_that_is_complete() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        send.send(HttpContext::of_request(&request).request_aborted()).unwrap_or_default();
        hello(request)
    })
    .await;
    let mut client = server.client().await;
    client.get("/").await;
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response_to_head().await;
    drop(client);
    let client = server.http2().await;
    client.get("/").await;
    let head = client.send(Request::head("http://a/").body(()).unwrap(), true).await.0;
    soon(head).await.unwrap();
    client.closed().await.unwrap();
    drop(server);
    settle().await;
    for request in ["h1 GET", "h1 HEAD", "h2 GET", "h2 HEAD"] {
        assert!(!soon(receive.recv()).await.unwrap().is_cancelled(), "{request}");
    }
}

#[tokio::test]
async fn a_handler_that_aborts_closes_the_connection_without_an_answer() {
    let server = Memory::start(|request: Request<Body>| async move {
        let context = HttpContext::of_request(&request);
        context.abort();
        hello(request).await
    })
    .await;
    let mut client = server.client().await;
    client.send(GET).await;
    client.closed().await;
    let client = server.http2().await;
    let (response, _) = client.send(Request::get("http://a/").body(()).unwrap(), true).await;
    assert!(soon(response).await.unwrap_err().is_reset());
}

#[tokio::test]
async fn a_spawned_task_can_abort_too() {
    let (app, mut calls) = manual();
    let (_running, address) = start_on_tcp(app).await;
    let mut client = Client::tcp(address).await;
    client.send(GET).await;
    let mut call = soon(calls.recv()).await.unwrap();
    let feature = call.features.get::<dyn HttpRequestLifetimeFeature>().unwrap();
    tokio::spawn(async move { feature.abort() });
    client.closed().await;
    call.dropped().await;
    assert!(call.aborted.is_cancelled());
}

#[tokio::test]
async fn a_response_under_way_is_broken_off_by_an_abort() {
    let (send, mut receive) = mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        let feature = request.features().get::<dyn HttpRequestLifetimeFeature>().unwrap();
        let (sender, body) = channel();
        send.send((feature, sender)).unwrap_or_default();
        async move { Response::new(body) }
    })
    .await;
    let mut client = server.client().await;
    client.send(GET).await;
    let (feature, mut sender) = soon(receive.recv()).await.unwrap();
    sender.send_data(Bytes::from("begun")).await.unwrap();
    client.take_until("begun\r\n").await;
    feature.abort();
    client.closed().await;
}

#[tokio::test]
async fn a_connection_can_be_aborted_as_a_whole() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let mut responses = Vec::new();
    for _ in 0..2 {
        responses.push(client.send(Request::get("http://a/").body(()).unwrap(), true).await.0);
    }
    let (mut one, mut two) = (soon(calls.recv()).await.unwrap(), soon(calls.recv()).await.unwrap());
    one.features.get::<dyn ConnectionLifetimeFeature>().unwrap().abort();
    one.dropped().await;
    two.dropped().await;
    for response in responses {
        assert!(soon(response).await.is_err());
    }
    let mut client = server.client().await;
    client.send(GET).await;
    let mut call = soon(calls.recv()).await.unwrap();
    call.features.get::<dyn ConnectionLifetimeFeature>().unwrap().abort();
    client.closed().await;
    call.dropped().await;
}

#[tokio::test]
async fn an_abort_after_the_answer_harms_nobody() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let client = server.http2().await;
    let (response, _) = client.send(Request::get("http://a/").body(()).unwrap(), true).await;
    let call = soon(calls.recv()).await.unwrap();
    let feature = call.features.get::<dyn HttpRequestLifetimeFeature>().unwrap();
    call.answer(status(204));
    assert_eq!(soon(response).await.unwrap().status(), 204);
    feature.abort();
    let (response, _) = client.send(Request::get("http://a/").body(()).unwrap(), true).await;
    soon(calls.recv()).await.unwrap().answer(status(204));
    assert_eq!(soon(response).await.unwrap().status(), 204);
}

#[tokio::test]
async fn an_abort_after_the_answer_spares_the_next_request_of_the_connection() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    client.send(GET).await;
    let call = soon(calls.recv()).await.unwrap();
    let feature = call.features.get::<dyn HttpRequestLifetimeFeature>().unwrap();
    call.answer(status(204));
    client.response().await;
    feature.abort();
    client.send(GET).await;
    let call = soon(calls.recv()).await.unwrap();
    feature.abort();
    settle().await;
    call.answer(status(204));
    assert_eq!(client.response().await.status, 204);
}
