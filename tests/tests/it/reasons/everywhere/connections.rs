//! Connections that are refused, or end, whatever is spoken on them.

use std::io;
use std::task::{Context, Poll};

use server_abstractions::{HttpUpgradeFeature, Io};
use server_kestrel::{ClientCertificateMode, HttpsOptions, ProxyProtocolOptions, TlsVersions};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::super::transport::reset;
use super::EndReason::*;
use super::*;
use crate::support::{client_config, client_config_of, connect_tls, loopback, manual, soon};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) fn cases() -> Vec<Case> {
    [places(), proxies(), handshakes(), ends(), stops()].into_iter().flatten().collect()
}

fn places() -> Vec<Case> {
    let all = Case::new(MaxConcurrentConnectionsExceeded, "one too many", async || {
        let limit = |options: &mut KestrelOptions| options.limits.max_concurrent_connections = Some(1);
        let scene = Scene::start_with(limit, |endpoint| endpoint, hello).await;
        let mut first = scene.client().await;
        first.get("/").await;
        scene.client().await.rest().await;
        first.get("/").await;
        scene
    });
    let of_address = |metric| {
        Case::new(MaxConnectionsPerAddressExceeded, format!("one too many, {metric:?}"), async || {
            let limit = |options: &mut KestrelOptions| options.limits.max_connections_per_address = Some(1);
            let scene = Scene::start_with(limit, |_| loopback(), hello).await;
            let mut first = Client::new(scene.tcp().await);
            first.get("/").await;
            Client::new(scene.tcp().await).rest().await;
            first.get("/").await;
            scene
        })
        .measured_by(metric)
        .in_real_time()
    };
    let upgraded = Case::new(MaxConcurrentUpgradedConnectionsExceeded, "one too many", async || {
        let limit = |options: &mut KestrelOptions| {
            options.limits.max_concurrent_upgraded_connections = Some(0);
        };
        let app = async |request: Request<Body>| {
            let upgrade = request.features().get::<dyn HttpUpgradeFeature>().unwrap();
            status(if upgrade.upgrade().is_ok() { 101 } else { 503 })
        };
        let scene = Scene::start_with(limit, |endpoint| endpoint, app).await;
        let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
        scene.client().await.exchange(request).await;
        scene
    });
    let upgraded = upgraded.measured_by(Metric::Nothing).without_line();
    vec![
        all.measured_by(Metric::Rejected),
        of_address(Metric::Rejected),
        of_address(Metric::Connection),
        upgraded,
    ]
}

fn proxies() -> Vec<Case> {
    let trusting = ProxyProtocolOptions { trust_unix_sockets: true, ..ProxyProtocolOptions::default() };
    [
        ("what is none", GET, trusting.clone()),
        ("a malformed one", "PROXY TCP4 a b c d\r\n", trusting.clone()),
        ("a part of one", "PROXY TCP4 192.0.2.7", trusting),
        ("one of somebody", "PROXY UNKNOWN\r\n", ProxyProtocolOptions::default()),
    ]
    .map(|(name, bytes, options)| {
        Case::new(ProxyProtocolError, name, async move || {
            let proxied = |endpoint: Endpoint| endpoint.proxy_protocol(options);
            Scene::start_with(|_| (), proxied, hello).await.ends_after(bytes).await
        })
        .without_line()
    })
    .into()
}

/// A server with TLS.
async fn with_tls(change: impl FnOnce(&mut HttpsOptions)) -> (Scene, Certificate) {
    let certificate = Certificate::new();
    let mut https = certificate.https();
    change(&mut https);
    (Scene::start_with(|_| (), |endpoint| endpoint.https(https), hello).await, certificate)
}

fn handshakes() -> Vec<Case> {
    let bytes = [("plain HTTP", GET, false), ("a client that goes", "", true)].map(|(name, bytes, goes)| {
        Case::new(TlsHandshakeFailed, name, async move || {
            let (scene, _) = with_tls(|_| ()).await;
            let mut client = scene.client().await;
            client.send(bytes).await;
            if goes {
                client.finish_sending().await;
            }
            client.rest_whenever().await;
            scene
        })
    });
    let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
    let clients = [
        ("no certificate of the client", tls13, "http/1.1"),
        ("no version in common", tls12, "http/1.1"),
        ("no protocol in common", tls13, "gopher"),
    ]
    .map(|(name, version, protocol)| {
        Case::new(TlsHandshakeFailed, name, async move || {
            let is_without = name.starts_with("no certificate");
            let (scene, certificate) = with_tls(|https| {
                https.tls_versions = TlsVersions::Tls13;
                if is_without {
                    https.client_certificates.mode = ClientCertificateMode::Require;
                }
            })
            .await;
            let config = client_config_of(&certificate, &[protocol], &[version], None);
            let io = scene.connector.connect().await.unwrap();
            if let Ok(stream) = connect_tls(io, config).await {
                Client::new(stream).rest_whenever().await;
            }
            scene
        })
    });
    let distrusted =
        Case::new(TlsHandshakeFailed, "a certificate that the client does not know", async || {
            let (scene, _) = with_tls(|_| ()).await;
            let config = client_config(&Certificate::new(), &["http/1.1"]);
            connect_tls(scene.connector.connect().await.unwrap(), config).await.unwrap_err();
            scene
        });
    let failed = bytes.into_iter().chain(clients).chain([distrusted]);
    let both = failed.collect::<Vec<_>>().into_iter();
    let late = |reason, metric| {
        Case::new(reason, format!("too late, {metric:?}"), async || {
            let (scene, _) = with_tls(|_| ()).await;
            scene.ends_after("").await
        })
        .measured_by(metric)
        .event(Some(TlsHandshakeFailed))
    };
    both.chain([late(TlsHandshakeTimeout, Metric::Handshake)]).collect()
}

/// Bytes that fail once the first have been read.
struct Failing {
    io: Box<dyn Io>,
    has_read: bool,
}

impl AsyncRead for Failing {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_read {
            return Poll::Ready(Err(io::Error::other("the disk is full of eels")));
        }
        let polled = Pin::new(&mut *self.io).poll_read(cx, buf);
        self.has_read = polled.is_ready();
        polled
    }
}

impl AsyncWrite for Failing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

fn ends() -> Vec<Case> {
    let idle = Case::new(KeepAliveTimeout, "behind an answer", async || {
        Scene::start(hello).await.ends_after(GET).await
    });
    let fails = Case::new(IoError, "reading fails", async || {
        let layer = from_fn(async |Connection { io, features }, next: Next| {
            next.run(Connection { io: Box::new(Failing { io, has_read: false }), features }).await
        });
        let (app, _calls) = manual();
        Scene::start_with(|_| (), |endpoint| endpoint.layer(layer), app).await.ends_after(GET).await
    });
    let goes = Case::new(ConnectionReset, "with a request under way", async || {
        let (app, mut calls) = manual();
        let scene = Scene::start_with(|_| (), |_| loopback(), app).await;
        let mut client = scene.tcp().await;
        client.write_all(GET.as_bytes()).await.unwrap();
        let mut call = soon(calls.recv()).await.unwrap();
        reset(client);
        call.dropped().await;
        scene
    });
    let aborted = ["/connection", "/request"].map(|path| {
        Case::new(AbortedByApp, path, async move || {
            let app = async |request: Request<Body>| {
                let features = request.features();
                match request.uri().path() {
                    "/connection" => features.get::<dyn ConnectionLifetimeFeature>().unwrap().abort(),
                    _ => features.get::<dyn HttpRequestLifetimeFeature>().unwrap().abort(),
                }
                std::future::pending::<Response<Body>>().await
            };
            Scene::start(app).await.ends_after(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
        })
    });
    [idle.without_line().event(None), fails, goes.in_real_time()].into_iter().chain(aborted).collect()
}

fn stops() -> Vec<Case> {
    let request = Case::new(AppShutdownTimeout, "with a request under way", async || {
        let (app, mut calls) = manual();
        let mut scene = Scene::start(app).await;
        let mut client = scene.client().await;
        client.send(GET).await;
        let _call = calls.recv().await.unwrap();
        scene.stop().await;
        scene
    });
    let handshake = Case::new(AppShutdownTimeout, "with a handshake under way", async || {
        let (mut scene, _) = with_tls(|_| ()).await;
        let _client = scene.client().await;
        crate::support::settle().await;
        scene.stop().await;
        scene
    });
    vec![request, handshake.measured_by(Metric::Handshake).event(None)]
}
