//! What observers of connections are told.

mod refused;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use server_abstractions::{
    Body, Connection, ConnectionEndFeature, ConnectionEvent, ConnectionObserver, EndpointFeature,
    HttpConnectionFeature, HttpUpgradeFeature, Next, RequestFeatures, TlsHandshakeFeature, from_fn,
};
use server_kestrel::{HttpProtocols, KestrelOptions};
use tokio::net::TcpStream;

use crate::support::{
    Certificate, Client, Memory, client_config, connect_tls, hello, loopback, manual, options, settle,
    socket_address, soon, start_observed, until,
};
use crate::upgrade::{UPGRADE, by_feature};

/// What was told, in words.
#[derive(Default)]
struct Ledger(Mutex<Vec<String>>);

impl Ledger {
    /// What was told so far, which is forgotten.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The same once so many connections have ended.
    async fn take_ended(&self, count: usize) -> Vec<String> {
        let ended = || self.0.lock().unwrap().iter().filter(|told| told.starts_with("ended")).count();
        until(|| ended() >= count).await;
        settle().await;
        self.take()
    }
}

impl ConnectionObserver for Ledger {
    fn observe(&self, event: &ConnectionEvent<'_>) {
        let features = event.features();
        assert!(features.get::<dyn EndpointFeature>().is_some(), "{event:?}");
        let tls = || features.get::<dyn TlsHandshakeFeature>().map_or("none", |tls| tls.protocol().as_str());
        let text = |bytes: Option<&[u8]>| bytes.map_or("?".into(), |bytes| bytes.escape_ascii().to_string());
        let told = match *event {
            ConnectionEvent::Accepted { .. } => "accepted".to_owned(),
            ConnectionEvent::Started { .. } => "started".to_owned(),
            ConnectionEvent::Rejected { error_type, limit, .. } => format!("rejected {error_type} {limit}"),
            ConnectionEvent::TlsHandshakeStarted { .. } => "handshake".to_owned(),
            ConnectionEvent::TlsHandshakeEnded { error_type, .. } => {
                format!("shaken {} {}", error_type.unwrap_or("well"), tls())
            }
            ConnectionEvent::HttpStarted { version, .. } => format!("{version:?} over {}", tls()),
            ConnectionEvent::RequestRefused { status, error_type, method, target, is_with_app, .. } => {
                let mut told = format!("refused {error_type} {} {}", text(method), text(target));
                let _ = write!(told, " {}", status.map_or(0, |status| status.as_u16()));
                told + if is_with_app { " late" } else { "" }
            }
            ConnectionEvent::Upgraded { .. } => "upgraded".to_owned(),
            ConnectionEvent::UpgradeEnded { .. } => "upgrade ended".to_owned(),
            ConnectionEvent::UpgradeRejected { error_type, limit, .. } => {
                format!("not upgraded {error_type} {limit}")
            }
            ConnectionEvent::CutShort { error_type, error, .. } => {
                format!("cut short {error_type}{}", if error.is_some() { " by an error" } else { "" })
            }
            ConnectionEvent::Ended { version, .. } => {
                let reason = features.get::<dyn ConnectionEndFeature>().unwrap().error_type();
                let version = version.map_or("none".to_owned(), |version| format!("{version:?}"));
                format!("ended {} {version} {}", reason.unwrap_or("well"), tls())
            }
            ref other => panic!("{other:?} has no words here"),
        };
        self.0.lock().unwrap().push(told);
    }
}

fn ledger() -> (Arc<Ledger>, [Arc<dyn ConnectionObserver>; 1]) {
    let ledger = Arc::new(Ledger::default());
    (ledger.clone(), [ledger])
}

#[tokio::test]
async fn a_connection_is_told_from_its_beginning_to_its_end() {
    let (ledger, observers) = ledger();
    let server = Memory::start_observed(|_| (), observers, hello).await;
    let mut client = server.client().await;
    client.get("/").await;
    client.get("/").await;
    assert_eq!(ledger.take(), ["accepted", "started", "HTTP/1.1 over none"]);
    client.finish_sending().await;
    assert_eq!(ledger.take_ended(1).await, ["ended well HTTP/1.1 none"]);

    let client = server.http2().await;
    client.get("/").await;
    assert_eq!(ledger.take(), ["accepted", "started", "HTTP/2.0 over none"]);
    drop(client);
    assert_eq!(ledger.take_ended(1).await, ["ended well HTTP/2.0 none"]);

    // A client that never says anything.
    drop(server.client().await);
    assert_eq!(ledger.take_ended(1).await, ["accepted", "started", "ended well none none"]);
}

#[tokio::test]
async fn handshakes() {
    let (ledger, observers) = ledger();
    let certificate = Certificate::new();
    let change = |options: &mut KestrelOptions| {
        let endpoint = options.endpoints.remove(0);
        let mut https = certificate.https();
        https.handshake_timeout = Duration::from_millis(200);
        options.endpoints.push(endpoint.https(https));
    };
    let server = Memory::start_observed(change, observers, hello).await;
    let io = soon(server.connector.connect()).await.unwrap();
    let mut client = Client::new(connect_tls(io, client_config(&certificate, &[])).await.unwrap());
    client.get("/").await;
    let good = ["accepted", "started", "handshake", "shaken well TLSv1.3", "HTTP/1.1 over TLSv1.3"];
    assert_eq!(ledger.take(), good);
    drop(client);
    let told = ledger.take_ended(1).await;
    assert!(told.last().unwrap().ends_with("HTTP/1.1 TLSv1.3"), "{told:?}");

    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let failed = "tls_handshake_failed";
    let expected = |how: &str| {
        let cut = format!("cut short {failed} by an error");
        let ended = format!("ended {failed} none none");
        ["accepted".into(), "started".into(), "handshake".into(), format!("shaken {how} none"), cut, ended]
    };
    assert_eq!(ledger.take_ended(1).await, expected(failed));

    let _silent = server.client().await;
    assert_eq!(ledger.take_ended(1).await, expected("timeout"));
}

#[tokio::test]
async fn a_handshake_that_is_given_up_has_ended() {
    let (ledger, observers) = ledger();
    let certificate = Certificate::new();
    let running = start_observed(options([loopback().https(certificate.https())]), observers, hello).await;
    let _client = TcpStream::connect(socket_address(&running.addresses()[0])).await.unwrap();
    until(|| ledger.0.lock().unwrap().len() == 3).await;
    running.stop(std::future::ready(())).await;
    let told = ledger.take_ended(1).await;
    let expected = ["accepted", "started", "handshake", "shaken app_shutdown_timeout none"];
    assert_eq!(told[..4], expected, "{told:?}");
    assert_eq!(told.len(), 5, "{told:?}");
}

#[tokio::test]
async fn upgrades() {
    let (ledger, observers) = ledger();
    let one = |options: &mut KestrelOptions| options.limits.max_concurrent_upgraded_connections = Some(1);
    let app = async |request: Request<Body>| match request.uri().path() {
        "/" => by_feature(request).await,
        _ => {
            let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap().upgrade();
            Response::new(Body::from(upgrade.is_err().to_string()))
        }
    };
    let server = Memory::start_observed(one, observers, app).await;
    let mut client = server.client().await;
    assert_eq!(client.exchange(UPGRADE).await.status, 101);
    assert_eq!(ledger.take(), ["accepted", "started", "HTTP/1.1 over none", "upgraded"]);

    let mut second = server.client().await;
    let refused = second.exchange(&UPGRADE.replace("GET /", "GET /no")).await;
    assert_eq!(refused.text(), "true");
    drop(second);
    let told = ledger.take_ended(1).await;
    let rejected = "not upgraded max_concurrent_upgraded_connections_exceeded 1";
    assert_eq!(told[..4], ["accepted", "started", "HTTP/1.1 over none", rejected], "{told:?}");
    assert!(!told.iter().any(|told| told == "upgrade ended"), "{told:?}");

    // The task of the connection has ended long since; the bytes have not.
    settle().await;
    assert_eq!(ledger.take(), [""; 0]);
    client.finish_sending().await;
    client.closed().await;
    assert_eq!(ledger.take_ended(1).await, ["upgrade ended", "ended well HTTP/1.1 none"]);
}

#[tokio::test]
async fn connections_without_a_place() {
    let (ledger, observers) = ledger();
    let one = |options: &mut KestrelOptions| options.limits.max_concurrent_connections = Some(1);
    let server = Memory::start_observed(one, observers, hello).await;
    let mut first = server.client().await;
    first.get("/").await;
    ledger.take();
    server.client().await.closed().await;
    assert_eq!(ledger.take(), ["rejected max_concurrent_connections_exceeded 1"]);

    let (ledger, observers) = self::ledger();
    let mut options = options([loopback()]);
    options.limits.max_connections_per_address = Some(1);
    let running = start_observed(options, observers, hello).await;
    let address = socket_address(&running.addresses()[0]);
    let mut first = Client::tcp(address).await;
    first.get("/").await;
    ledger.take();
    Client::tcp(address).await.closed().await;
    let reason = "max_connections_per_address_exceeded";
    let rejected = format!("rejected {reason} 1");
    let expected = ["accepted", "started", &rejected, &format!("ended {reason} none none")];
    assert_eq!(ledger.take_ended(1).await, expected);
}

#[tokio::test]
async fn whatever_ends_a_connection_its_end_is_told_once() {
    // The server goes while a handler works.
    let (ledger, observers) = ledger();
    let (app, mut calls) = manual();
    let server = Memory::start_observed(|_| (), observers, app).await;
    let mut client = server.client().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let _call = soon(calls.recv()).await.unwrap();
    ledger.take();
    server.running.stop(std::future::ready(())).await;
    let expected = ["cut short app_shutdown_timeout", "ended app_shutdown_timeout HTTP/1.1 none"];
    assert_eq!(ledger.take_ended(1).await, expected);

    // A connection layer panics, with the bytes and without them.
    async fn fail(connection: Connection, next: Next) -> Result<(), server_abstractions::BoxError> {
        let features = connection.features.clone();
        let served = tokio::time::timeout(Duration::from_millis(50), next.run(connection)).await;
        assert!(served.is_ok(), "{}", features.get::<dyn HttpConnectionFeature>().unwrap().connection_id());
        Ok(())
    }
    let (ledger, observers) = self::ledger();
    let failing = |options: &mut KestrelOptions| {
        let endpoint = options.endpoints.remove(0);
        options.endpoints.push(endpoint.layer(from_fn(fail)));
    };
    let server = Memory::start_observed(failing, observers, hello).await;
    let mut client = server.client().await;
    client.get("/").await;
    client.closed().await;
    let told = ledger.take_ended(1).await;
    assert_eq!(told, ["accepted", "started", "HTTP/1.1 over none", "ended well HTTP/1.1 none"]);
}

#[tokio::test]
async fn an_observer_that_panics_disturbs_nobody() {
    struct Clumsy;
    impl ConnectionObserver for Clumsy {
        fn observe(&self, event: &ConnectionEvent<'_>) {
            panic!("clumsy with {event:?}");
        }
    }
    let (ledger, [second]) = ledger();
    let server = Memory::start_observed(|_| (), [Arc::new(Clumsy) as _, second], hello).await;
    let mut client = server.client().await;
    assert_eq!(client.get("/").await.status, 200);
    client.finish_sending().await;
    assert_eq!(ledger.take_ended(1).await.len(), 4);
}
