//! Extended CONNECT (RFC 8441): a stream of bytes within HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request, Response};
use server_abstractions::{Body, HttpExtendedConnectFeature, RequestFeatures, UpgradeError};
use tokio::io::AsyncWriteExt;

use crate::support::{Memory, read_to_end, soon, status};
use crate::upgrade::shout;

fn extended_connect() -> Request<()> {
    let mut request = Request::builder().method(Method::CONNECT).uri("http://a/chat").body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request
}

#[tokio::test]
async fn an_extended_connect_becomes_a_stream_of_bytes() {
    let server = Memory::start(|request: Request<Body>| async move {
        let feature = request.features().get::<dyn HttpExtendedConnectFeature>().unwrap();
        assert!(feature.is_extended_connect());
        assert_eq!((feature.protocol(), request.uri().path()), (Some("websocket"), "/chat"));
        let stream = feature.accept().unwrap();
        assert_eq!(feature.accept().err(), Some(UpgradeError::AlreadyTaken));
        tokio::spawn(async move { shout(stream.await.unwrap()).await });
        Response::new(Body::empty())
    })
    .await;
    let client = server.http2().await;
    client.settled().await;
    let (response, mut up) = client.send(extended_connect(), false).await;
    let mut down = soon(response).await.unwrap().into_body();
    up.send_data(Bytes::from("hello"), false).unwrap();
    assert_eq!(soon(down.data()).await.unwrap().unwrap(), "HELLO");
    up.send_data(Bytes::from("again"), true).unwrap();
    assert_eq!(soon(read_to_end(&mut down)).await.unwrap(), "AGAIN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_server_may_speak_first_on_an_extended_connect() {
    let server = Memory::start(|request: Request<Body>| async move {
        let stream = request.features().get::<dyn HttpExtendedConnectFeature>().unwrap().accept().unwrap();
        tokio::spawn(async move {
            let mut stream = stream.await.unwrap();
            stream.write_all(b"first").await.unwrap();
            stream.flush().await.unwrap();
            std::future::pending::<()>().await;
        });
        // So that another task than the connection's accepts it.
        tokio::time::sleep(Duration::from_millis(2)).await;
        Response::new(Body::empty())
    })
    .await;
    for _ in 0..100 {
        let client = server.http2().await;
        client.settled().await;
        let (response, _up) = client.send(extended_connect(), false).await;
        let mut down = soon(response).await.unwrap().into_body();
        // A look of the server once a second would come too late.
        let first = tokio::time::timeout(Duration::from_millis(700), down.data()).await;
        assert_eq!(first.expect("the server's bytes").unwrap().unwrap(), "first");
    }
}

#[tokio::test]
async fn an_extended_connect_can_be_refused() {
    let server = Memory::start(|_: Request<Body>| async { status(403) }).await;
    let client = server.http2().await;
    client.settled().await;
    let (response, _up) = client.send(extended_connect(), false).await;
    assert_eq!(soon(response).await.unwrap().status(), 403);
}
