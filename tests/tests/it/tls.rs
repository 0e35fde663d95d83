//! TLS: what is agreed on, client certificates, handshakes that fail or never end.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use server_abstractions::{
    App, Body, RequestFeatures, Server, TlsConnectionFeature, TlsHandshakeFeature, TlsProtocol,
};
use server_kestrel::{Endpoint, HttpsOptions, Kestrel, KestrelOptions, ServerCertificate, TlsLayer, memory};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::{
    Certificate, Client, Http2, Memory, client_config, client_config_of, connect_tls, echo, hello, loopback,
    options, socket_address, soon, start, within,
};

async fn secure<M>(certificate: &Certificate, app: impl server_abstractions::IntoService<M>) -> Memory {
    Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), app).await
}

#[tokio::test]
async fn a_request_is_answered_over_a_real_socket() {
    let certificate = Certificate::new();
    let running = start(options([loopback().https(certificate.https())]), hello).await;
    let address = &running.addresses()[0];
    assert!(address.is_https() && address.to_string().starts_with("https://127.0.0.1:"), "{address}");
    let io = || TcpStream::connect(socket_address(address));
    let tls = connect_tls(io().await.unwrap(), client_config(&certificate, &["http/1.1"])).await.unwrap();
    assert_eq!(Client::new(tls).get("/").await.text(), "Hello, World!");
    let tls = connect_tls(io().await.unwrap(), client_config(&certificate, &["h2"])).await.unwrap();
    assert_eq!(Http2::over_tls(tls).await.get("/").await.body, "Hello, World!");
}

async fn handshake(request: Request<Body>) -> Response<Body> {
    let feature = request.features().get::<dyn TlsHandshakeFeature>().unwrap();
    let alpn = feature.application_protocol().map(String::from_utf8_lossy);
    Response::new(Body::from(format!(
        "{} {} {:?} {alpn:?}",
        feature.protocol().as_str(),
        feature.cipher_suite(),
        feature.server_name()
    )))
}

#[tokio::test]
async fn both_versions_are_spoken_and_the_feature_tells_what_was_agreed_on() {
    let certificate = Certificate::new();
    let server = secure(&certificate, handshake).await;
    let text = async |alpn: &'static [&'static str], version| {
        let config = client_config_of(&certificate, alpn, &[version], None);
        let tls = connect_tls(server.connector.connect().await.unwrap(), config).await.unwrap();
        Client::new(tls).get("/").await.text().to_owned()
    };
    let tls13 = text(&["http/1.1"], &TLS13).await;
    assert!(tls13.starts_with("TLSv1.3 TLS13_AES_"), "{tls13}");
    assert!(tls13.ends_with(r#" Some("localhost") Some("http/1.1")"#), "{tls13}");
    let tls12 = text(&[], &TLS12).await;
    assert!(tls12.starts_with("TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_"), "{tls12}");
    assert!(tls12.ends_with(r#" Some("localhost") None"#), "{tls12}");
}

#[tokio::test]
async fn a_client_without_a_server_name_has_none() {
    let certificate = Certificate::new();
    let server = secure(&certificate, handshake).await;
    let mut config = client_config(&certificate, &[]);
    config.enable_sni = false;
    let tls = connect_tls(server.connector.connect().await.unwrap(), config).await.unwrap();
    let response = Client::new(tls).get("/").await;
    assert!(response.text().contains(" None "), "{}", response.text());
}

#[tokio::test]
async fn a_client_certificate_is_a_feature() {
    async fn app(request: Request<Body>) -> Response<Body> {
        let feature = request.features().get::<dyn TlsConnectionFeature>().unwrap();
        assert!(feature.client_certificate_chain().is_empty());
        Response::new(Body::from(feature.client_certificate().map_or(&b"none"[..], |own| own.der()).to_vec()))
    }
    let (certificate, client) = (Certificate::new(), Certificate::new());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(client.roots()), provider.clone())
        .allow_unauthenticated()
        .build()
        .unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der.clone()], certificate.key.clone_key())
        .unwrap();
    let https = HttpsOptions::rustls(Arc::new(config));
    let server = Memory::start_endpoint(|endpoint| endpoint.https(https), app).await;

    for version in [&TLS12, &TLS13] {
        let config = client_config_of(&certificate, &[], &[version], None);
        let tls = connect_tls(server.connector.connect().await.unwrap(), config).await.unwrap();
        assert_eq!(Client::new(tls).get("/").await.text(), "none");

        let own = Some(client.clone());
        let config = client_config_of(&certificate, &[], &[version], own);
        let tls = connect_tls(server.connector.connect().await.unwrap(), config).await.unwrap();
        assert_eq!(Client::new(tls).get("/").await.body, client.der.to_vec());
    }

    // One that nobody vouches for is refused.
    let config = client_config_of(&certificate, &[], &[&TLS12], Some(Certificate::new()));
    assert!(connect_tls(server.connector.connect().await.unwrap(), config).await.is_err());
}

#[tokio::test]
async fn without_a_client_certificate_the_feature_is_there_and_empty() {
    let certificate = Certificate::new();
    let app = |request: Request<Body>| async move {
        let feature = request.features().get::<dyn TlsConnectionFeature>();
        Response::new(Body::from(format!(
            "{:?}",
            feature.map(|feature| feature.client_certificate().is_some())
        )))
    };
    let server = secure(&certificate, app).await;
    let tls = connect_tls(server.connector.connect().await.unwrap(), client_config(&certificate, &[])).await;
    assert_eq!(Client::new(tls.unwrap()).get("/").await.text(), "Some(false)");
    assert_eq!(Memory::start(app).await.client().await.get("/").await.text(), "None");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_given_up_after_ten_seconds() {
    let certificate = Certificate::new();
    let server = secure(&certificate, hello).await;
    for begun in [&b""[..], b"\x16\x03\x01\x02"] {
        let mut client = server.client().await;
        client.send(begun).await;
        let before = Instant::now();
        assert!(within(Duration::from_secs(60), client.rest_whenever()).await.is_empty());
        assert_eq!(before.elapsed().as_secs(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_for_a_handshake_can_be_set() {
    let https = HttpsOptions { handshake_timeout: Duration::from_secs(3), ..Certificate::new().https() };
    let server = Memory::start_endpoint(|endpoint| endpoint.https(https), hello).await;
    let mut client = server.client().await;
    let before = Instant::now();
    client.closed().await;
    assert_eq!(before.elapsed().as_secs(), 3);
    let https = HttpsOptions { handshake_timeout: Duration::ZERO, ..Certificate::new().https() };
    let error = start_error(options([loopback().https(https)])).await;
    assert!(error.is_configuration() && error.to_string().contains("handshake_timeout is 0"), "{error}");
}

#[tokio::test]
async fn handshakes_that_do_not_end_hold_up_nobody() {
    let certificate = Certificate::new();
    let server = secure(&certificate, hello).await;
    let mut unfinished = Vec::new();
    for _ in 0..20 {
        unfinished.push(server.client().await);
    }
    let tls = connect_tls(server.connector.connect().await.unwrap(), client_config(&certificate, &[])).await;
    assert_eq!(Client::new(tls.unwrap()).get("/").await.status, 200);
}

#[tokio::test]
async fn what_is_no_handshake_ends_the_connection_and_others_go_on() {
    let certificate = Certificate::new();
    let server = secure(&certificate, hello).await;
    for garbage in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\0\0\0\0\0\0\0\0", "\u{16}\u{3}\u{1}\u{0}\u{5}hello"]
    {
        let mut client = server.client().await;
        client.send(garbage).await;
        let answer = client.rest().await;
        // An alert or nothing; no HTTP.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    let tls = connect_tls(server.connector.connect().await.unwrap(), client_config(&certificate, &[])).await;
    assert_eq!(Client::new(tls.unwrap()).get("/").await.status, 200);
}

#[tokio::test]
async fn a_connection_ends_with_the_goodbye_of_tls() {
    let certificate = Certificate::new();
    let server = secure(&certificate, hello).await;
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let io = server.connector.connect().await.unwrap();
        let mut tls = connect_tls(io, client_config(&certificate, &[])).await.unwrap();
        tls.write_all(request.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        // Without the goodbye this fails with `UnexpectedEof`.
        soon(tls.read_to_end(&mut received)).await.unwrap_or_else(|error| panic!("{request}: {error}"));
        assert!(received.starts_with(b"HTTP/1."));
    }
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let certificate = Certificate::new();
    let server = secure(&certificate, echo).await;
    let body = "0123456789abcdef".repeat(100_000);
    let tls = connect_tls(server.connector.connect().await.unwrap(), client_config(&certificate, &[])).await;
    let (mut read, mut write) = tokio::io::split(tls.unwrap());
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let sending = tokio::spawn(async move { write.write_all(request.as_bytes()).await });
    let mut received = String::new();
    soon(read.read_to_string(&mut received)).await.unwrap();
    soon(sending).await.unwrap().unwrap();
    assert!(received.ends_with(&body), "{}", received.len());

    let tls =
        connect_tls(server.connector.connect().await.unwrap(), client_config(&certificate, &["h2"])).await;
    let response = Http2::over_tls(tls.unwrap()).await.post("/", body.clone()).await;
    assert!(response.body == body, "{}", response.body.len());
}

async fn start_error(options: KestrelOptions) -> server_abstractions::StartError {
    soon(Box::new(Kestrel::new(options)).start(App::new(hello))).await.expect_err("the start fails")
}

fn with_certificate(certificate: ServerCertificate) -> KestrelOptions {
    let (listener, _) = memory();
    let https = HttpsOptions { certificate: Some(certificate), ..HttpsOptions::default() };
    options([Endpoint::listener(listener).https(https)])
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_fails_the_start_and_names_the_file() {
    let folder = std::env::temp_dir().join(format!("certificates-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let good = Certificate::new();
    let path = |name: &str, content: &str| {
        std::fs::write(folder.join(name), content).unwrap();
        folder.join(name)
    };
    let certificate = path("cert.pem", &good.pem);
    let key = path("key.pem", &good.key_pem);
    let empty = path("empty.pem", "");
    let garbage = path("garbage.pem", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n");
    let other_key = path("other-key.pem", &Certificate::new().key_pem);
    let missing = folder.join("missing.pem");
    let both = path("both.pem", &format!("{}{}", good.pem, good.key_pem));
    for (certificate, key, named) in [
        (&missing, &key, "missing.pem"),
        (&certificate, &missing, "missing.pem"),
        (&empty, &key, "empty.pem"),
        (&garbage, &key, "garbage.pem"),
        (&key, &key, "key.pem"),
        (&certificate, &certificate, "cert.pem"),
        (&certificate, &other_key, "cert.pem"),
    ] {
        let files = HttpsOptions::pem_files(certificate, key).certificate.unwrap();
        let error = start_error(with_certificate(files)).await;
        assert!(error.is_configuration() && error.to_string().contains(named), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    for (certificate, key) in [(&certificate, &key), (&both, &both)] {
        let files = HttpsOptions::pem_files(certificate, key).certificate.unwrap();
        start(with_certificate(files), hello).await;
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn https_without_a_certificate_fails_the_start_unless_there_is_a_default() {
    let url = || options([Endpoint::url("https://127.0.0.1:0").unwrap()]);
    let error = start_error(url()).await;
    assert!(error.is_configuration() && error.to_string().contains("https://127.0.0.1:0"), "{error}");

    let certificate = Certificate::new();
    let running = start(KestrelOptions { https_defaults: Some(certificate.https()), ..url() }, hello).await;
    let io = TcpStream::connect(socket_address(&running.addresses()[0])).await.unwrap();
    let tls = connect_tls(io, client_config(&certificate, &[])).await.unwrap();
    assert_eq!(Client::new(tls).get("/").await.status, 200);
}

#[test]
fn a_version_of_tls_has_its_usual_name() {
    assert_eq!((TlsProtocol::Tls12.as_str(), TlsProtocol::Tls13.as_str()), ("TLSv1.2", "TLSv1.3"));
}

#[tokio::test]
async fn the_layer_can_be_used_by_hand() {
    let certificate = Certificate::new();
    let layer = TlsLayer::new(&certificate.https(), server_kestrel::HttpProtocols::Http1AndHttp2).unwrap();
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), handshake).await;
    let config = client_config(&certificate, &["h2"]);
    let tls = connect_tls(server.connector.connect().await.unwrap(), config).await.unwrap();
    let response = Http2::over_tls(tls).await.get("/").await;
    assert!(response.body.starts_with(b"TLSv1.3 "), "{:?}", response.body);
}
