//! The same layers under Kestrel, under `axum::serve` and under bare hyper.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use hyper_util::rt::TokioIo;
use server_abstractions::{HttpRequestFeature, RequestFeatures, TlsConnectionFeature};
use server_proxy_integration::{
    CertificateForwardingLayer, CertificateForwardingOptions, ForwardedFields, ForwardedHeadersLayer,
    ForwardedHeadersOptions, HostFilteringLayer, HostFilteringOptions, IisIntegration, IisIntegrationOptions,
    PathBaseLayer,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tower::{ServiceBuilder, ServiceExt};

use crate::support::{Certificate, Client, loopback, options, socket_address, start};

/// The client for axum, the client for us, scheme, path base, path, and whether there is a certificate.
fn show<B>(request: &Request<B>) -> String {
    let extension = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.to_string());
    let remote = request.context().remote_address().map(|remote| remote.to_string());
    let feature = request.features().get::<dyn TlsConnectionFeature>();
    let has_certificate = feature.is_some_and(|feature| feature.client_certificate().is_some());
    format!(
        "{} {} {} {}|{} {has_certificate}",
        extension.as_deref().unwrap_or("-"),
        remote.as_deref().unwrap_or("-"),
        request.scheme(),
        request.path_base(),
        request.uri().path()
    )
}

/// All layers around a router.
fn router() -> Router {
    let router = Router::new().fallback(get(async |request: axum::extract::Request| show(&request)));
    let forwarded =
        ForwardedHeadersOptions { fields: ForwardedFields::ALL, ..ForwardedHeadersOptions::default() };
    let iis = IisIntegrationOptions {
        port: 1.try_into().unwrap(),
        socket: None,
        path_base: "/".to_owned(),
        token: "t".to_owned(),
        web_sockets: false,
        forward_client_certificate: true,
    };
    router
        .layer(
            ServiceBuilder::new()
                .layer(
                    HostFilteringLayer::new(&HostFilteringOptions::from_list("good.example;client.example"))
                        .unwrap(),
                )
                .layer(ForwardedHeadersLayer::new(&forwarded).unwrap())
                .layer(CertificateForwardingLayer::new(&CertificateForwardingOptions::default()).unwrap())
                .layer(PathBaseLayer::new("/base").unwrap())
                .option_layer(None::<server_proxy_integration::IisIntegrationLayer>),
        )
        .merge(
            Router::new().route(
                "/iis",
                get(async || "iis")
                    .layer(IisIntegration::new(iis).unwrap().layer(CancellationToken::new()).unwrap()),
            ),
        )
}

fn request(certificate: &Certificate) -> String {
    format!(
        "GET /base/x HTTP/1.1\r\nHost: good.example\r\nX-Forwarded-For: 6.6.6.6, 192.0.2.7:5000\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: client.example\r\nX-Client-Cert: {}\r\n\r\n",
        STANDARD.encode(&certificate.der)
    )
}

const BELIEVED: &str = "192.0.2.7:5000 192.0.2.7:5000 https /base|/x true";

#[tokio::test]
async fn under_kestrel() {
    let running = start(options([loopback()]), router()).await;
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    // What axum's extractor shows is written by `hosting`.
    let expected = BELIEVED.replacen("192.0.2.7:5000", "-", 1);
    assert_eq!(client.exchange(&request(&Certificate::new())).await.text(), expected);
    assert_eq!(client.get("/").await.status, 400, "another host");
}

#[tokio::test]
async fn under_kestrel_with_hosting() {
    let builder = hosting::WebApplication::builder_with(hosting::WebApplicationOptions {
        arguments: Some(["--urls", "http://127.0.0.1:0"].map(str::to_owned).to_vec()),
        ..hosting::WebApplicationOptions::default()
    });
    let forwarded =
        ForwardedHeadersOptions { fields: ForwardedFields::ALL, ..ForwardedHeadersOptions::default() };
    let layer = ForwardedHeadersLayer::new(&forwarded).unwrap();
    let router = Router::new().fallback(get(async |request: axum::extract::Request| show(&request)));
    let running = builder.pipeline(|steps| steps.layer(layer)).build(router).unwrap().start().await.unwrap();
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    let text = client.exchange(&request(&Certificate::new())).await;
    assert_eq!(text.text(), "192.0.2.7:5000 192.0.2.7:5000 https |/base/x false");
}

#[tokio::test]
async fn under_axum_serve() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router().into_make_service_with_connect_info::<SocketAddr>();
    let _server = AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, service).await }));
    let mut client = Client::tcp(address).await;
    let certificate = Certificate::new();
    assert_eq!(client.exchange(&request(&certificate)).await.text(), BELIEVED);
    assert_eq!(client.get("/").await.status, 400, "another host");
    assert_eq!(client.exchange("GET /iis HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 400, "no token");
    assert_eq!(
        client.exchange("GET /iis HTTP/1.1\r\nHost: a\r\nMS-ASPNETCORE-TOKEN: t\r\n\r\n").await.text(),
        "iis"
    );

    // Without the connection's address nobody is known.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _server = AbortOnDropHandle::new(tokio::spawn(async move { axum::serve(listener, router()).await }));
    let response = Client::tcp(address).await.exchange(&request(&certificate)).await;
    assert_eq!(response.text(), "- - http /base|/x false");
}

#[tokio::test]
async fn under_bare_hyper() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = async move {
        for tells_the_peer in [true, false] {
            let (stream, peer) = listener.accept().await.unwrap();
            serve_with_hyper(stream, tells_the_peer.then_some(peer)).await;
        }
    };
    let _server = AbortOnDropHandle::new(tokio::spawn(serve));
    let certificate = Certificate::new();
    assert_eq!(Client::tcp(address).await.exchange(&request(&certificate)).await.text(), BELIEVED);
    assert_eq!(
        Client::tcp(address).await.exchange(&request(&certificate)).await.text(),
        "- - http /base|/x false"
    );
}

/// Serves one connection. With a peer, requests tell it as axum does.
async fn serve_with_hyper(stream: TcpStream, peer: Option<SocketAddr>) {
    let service = hyper::service::service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().extend(peer.map(ConnectInfo).map(with_extension).unwrap_or_default());
        async { router().oneshot(request).await }
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.unwrap();
}

fn with_extension(info: ConnectInfo<SocketAddr>) -> http::Extensions {
    let mut extensions = http::Extensions::new();
    extensions.insert(info);
    extensions
}
