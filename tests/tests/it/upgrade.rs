//! Connections that become something else: HTTP/1.1 upgrades and CONNECT.

use http::{Request, Response};
use hyper_util::rt::TokioIo;
use server_abstractions::{
    Body, HttpMaxRequestBodySizeFeature, HttpRequestBodyDetectionFeature, HttpUpgradeFeature, Io,
    RequestFeatures, Upgrade, UpgradeError,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Memory, hello, soon};

pub(crate) const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n";

pub(crate) fn switching() -> Response<Body> {
    Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", "shout")
        .body(Body::empty())
        .unwrap()
}

/// Sends everything back in upper case until the client ends.
pub(crate) async fn shout(mut io: Box<dyn Io>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = io.read(&mut buffer).await {
        let loud = buffer[..count].to_ascii_uppercase();
        if io.write_all(&loud).await.is_err() || io.flush().await.is_err() {
            return;
        }
    }
    let _ = io.shutdown().await;
}

/// Upgrades by the feature.
pub(crate) async fn by_feature(request: Request<Body>) -> Response<Body> {
    let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap().upgrade().unwrap();
    tokio::spawn(async move { shout(upgrade.await.unwrap()).await });
    switching()
}

/// Upgrades as programs do that know hyper but not us.
pub(crate) async fn by_hyper(mut request: Request<Body>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move { shout(Box::new(TokioIo::new(upgrade.await.unwrap()))).await });
    switching()
}

async fn echoes_both_ways(server: &Memory) {
    let mut client = server.client().await;
    // What comes with the request belongs to the new protocol already.
    let response = client.exchange(&format!("{UPGRADE}early ")).await;
    assert_eq!((response.status, response.header("upgrade")), (101, Some("shout")));
    client.send("and late").await;
    assert_eq!(client.take(14).await, "EARLY AND LATE");
    client.finish_sending().await;
    client.closed().await;
}

#[tokio::test]
async fn an_upgrade_by_the_feature_gives_the_bytes_to_the_app() {
    echoes_both_ways(&Memory::start(by_feature).await).await;
}

#[tokio::test]
async fn an_upgrade_by_hyper_gives_the_bytes_to_the_app() {
    echoes_both_ways(&Memory::start(by_hyper).await).await;
}

#[tokio::test]
async fn a_request_that_asks_for_no_upgrade_has_no_such_feature() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpUpgradeFeature>();
        Response::new(Body::from(feature.is_some().to_string()))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    assert_eq!(client.get("/").await.text(), "false");
    assert_eq!(client.exchange(UPGRADE).await.text(), "true");
    // With a body it cannot be upgraded, and the body is a body like any other.
    let with_body = UPGRADE.replace("Upgrade: shout", "Upgrade: shout\r\nContent-Length: 3") + "abc";
    assert_eq!(client.exchange(&with_body).await.text(), "false");
    assert_eq!(client.get("/").await.text(), "false");
}

#[tokio::test]
async fn an_upgrade_that_the_connection_field_does_not_name_is_none() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpUpgradeFeature>();
        let of_hyper = request.extensions().get::<hyper::upgrade::OnUpgrade>();
        Response::new(Body::from(format!("{} {}", feature.is_some(), of_hyper.is_some())))
    }
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    for (fields, expected) in [
        ("Upgrade: shout\r\n", "false false"),
        ("Connection: keep-alive\r\nUpgrade: shout\r\n", "false false"),
        ("Connection: keep-alive, upgrade\r\nUpgrade: shout\r\n", "true true"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(client.exchange(&request).await.text(), expected, "{fields}");
    }
}

#[tokio::test]
async fn a_request_that_can_be_upgraded_has_no_body() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpRequestBodyDetectionFeature>().unwrap();
        Response::new(Body::from(feature.can_have_body().to_string()))
    }
    let server = Memory::start(app).await;
    assert_eq!(server.client().await.exchange(UPGRADE).await.text(), "false");
}

#[tokio::test]
async fn an_upgrade_is_given_once() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn HttpUpgradeFeature>().unwrap();
        assert!(feature.is_upgradable_request());
        let size = request.features().get::<dyn HttpMaxRequestBodySizeFeature>().unwrap();
        assert!(!size.is_read_only());
        let _first = feature.upgrade().unwrap();
        assert!(size.is_read_only());
        assert_eq!(feature.upgrade().err(), Some(UpgradeError::AlreadyTaken));
        hello(request).await
    }
    let server = Memory::start(app).await;
    assert_eq!(server.client().await.exchange(UPGRADE).await.text(), "Hello, World!");
}

#[tokio::test]
async fn an_upgrade_that_the_answer_refuses_leaves_the_connection_as_it_is() {
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let server = Memory::start(move |request: Request<Body>| {
        if let Some(feature) = request.features().get::<dyn HttpUpgradeFeature>() {
            send.send(feature.upgrade().unwrap()).unwrap_or_default();
        }
        hello(request)
    })
    .await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(UPGRADE).await.text(), "Hello, World!");
    assert_eq!(client.get("/").await.text(), "Hello, World!");
    // Who waits for it nevertheless learns of it when the connection ends.
    let upgrade: Upgrade = soon(receive.recv()).await.unwrap();
    drop(client);
    assert!(soon(upgrade).await.is_err());
}

#[tokio::test]
async fn a_connect_that_is_accepted_becomes_a_tunnel() {
    let server = Memory::start(|mut request: Request<Body>| async move {
        assert_eq!(request.uri().authority().unwrap(), "a:443");
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move { shout(Box::new(TokioIo::new(upgrade.await.unwrap()))).await });
        Response::new(Body::empty())
    })
    .await;
    let mut client = server.client().await;
    client.send("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\nearly ").await;
    let head = client.take_until("\r\n\r\n").await;
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"));
    client.send("and late").await;
    assert_eq!(client.take(14).await, "EARLY AND LATE");
}
