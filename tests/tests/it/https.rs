//! TLS that is chosen: by files, by server names, by certificates of clients.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::version::TLS12;
use server_abstractions::{Body, RequestFeatures, TlsConnectionFeature, TlsHandshakeFeature};
use server_kestrel::{
    CertificateFile, CertificateSelector, ClientCertificateMode, ClientCertificateRoots,
    ClientCertificateValidation, ClientCertificates, ConfiguredAt, HttpProtocols, HttpsOptions,
    OnClientHello, SniOptions, TlsVersions,
};
use tokio_rustls::TlsConnector;

use crate::support::{Authority, Client, Memory, hello, soon};

mod believed;
mod policies;
mod scan;
mod sessions;
mod store;
mod ticket_keys;
mod tool;

use tool::{Folder, openssl};

async fn secure<M>(https: HttpsOptions, app: impl server_abstractions::IntoService<M>) -> Memory {
    Memory::start_endpoint(|endpoint| endpoint.https(https), app).await
}

/// Asks once; the answer's text, or why there was none.
async fn ask(server: &Memory, config: ClientConfig, name: &str) -> Result<String, String> {
    let io = server.connector.connect().await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let tls = soon(TlsConnector::from(Arc::new(config)).connect(name, io)).await;
    let mut client = Client::new(tls.map_err(|error| error.to_string())?);
    // In TLS 1.3 the client learns only now that its certificate is refused.
    let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let answer = client.rest().await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (_, text) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
    Ok(text.to_owned())
}

/// What the handshake agreed on, and who the client is.
async fn agreed(request: Request<Body>) -> Response<Body> {
    let handshake = request.features().get::<dyn TlsHandshakeFeature>().unwrap();
    let client = request.features().get::<dyn TlsConnectionFeature>().unwrap();
    let alpn = handshake.application_protocol().map(String::from_utf8_lossy).unwrap_or_default();
    let text = format!(
        "{} {} {}",
        handshake.protocol().as_str(),
        alpn,
        if client.client_certificate().is_some() { "known" } else { "unknown" }
    );
    Response::new(Body::from(text))
}

#[tokio::test]
async fn keys_and_certificates_of_every_format_are_read() {
    let folder = Folder::new("formats");
    let authority = Authority::new();
    let issued = authority.issue("localhost");
    folder.write("c.pem", &issued.pem);
    folder.write("ec.pem", &issued.key_pem);
    let convert = |arguments: &str| openssl(&folder.0, arguments);
    convert("ec -in ec.pem -out sec1.pem");
    convert("pkcs8 -topk8 -in ec.pem -out encrypted.pem -v2 aes-256-cbc -passout pass:secret");
    convert("pkcs12 -export -in c.pem -inkey ec.pem -out both.pfx -passout pass:secret");
    convert("pkcs12 -export -legacy -in c.pem -inkey ec.pem -out legacy.pfx -passout pass:secret");
    convert(
        "req -x509 -newkey rsa:2048 -nodes -keyout rsa8.pem -out rsa.crt -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:false",
    );
    convert("rsa -in rsa8.pem -traditional -out rsa1.pem");
    let file = |path: &str, key: Option<&str>, password: Option<&str>| CertificateFile {
        path: folder.0.join(path),
        key_path: key.map(|key| folder.0.join(key)),
        password: password.map(str::to_owned),
        configured_at: ConfiguredAt::default(),
    };
    for certificate in [
        file("c.pem", Some("ec.pem"), None),
        file("c.pem", Some("sec1.pem"), None),
        file("c.pem", Some("encrypted.pem"), Some("secret")),
        file("both.pfx", None, Some("secret")),
        file("legacy.pfx", None, Some("secret")),
    ] {
        let shown = format!("{certificate:?}");
        let server = secure(HttpsOptions::certificate_file(certificate), hello).await;
        let text = ask(&server, authority.client(None), "localhost").await;
        assert_eq!(text.as_deref(), Ok("Hello, World!"), "{shown}");
    }
    for key in ["rsa8.pem", "rsa1.pem"] {
        secure(HttpsOptions::certificate_file(file("rsa.crt", Some(key), None)), hello).await;
    }
    for (certificate, expected) in [
        (file("c.pem", Some("encrypted.pem"), None), "is encrypted, and there is no password"),
        (file("c.pem", Some("encrypted.pem"), Some("wrong")), "is the password right?"),
        (file("both.pfx", None, Some("wrong")), "is the password right?"),
        (file("c.pem", Some("rsa8.pem"), None), "the private key is not that of the certificate"),
        (file("c.pem", None, None), "contains no private key"),
    ] {
        let error = server_kestrel::TlsLayer::new(
            &HttpsOptions::certificate_file(certificate),
            HttpProtocols::default(),
        );
        let error = error.unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_server_name_chooses_its_certificate_and_what_is_spoken() {
    let authority = Authority::new();
    let sni = |name: &str| SniOptions {
        certificate: Some(authority.issue(name).certificate()),
        ..SniOptions::default()
    };
    let mut names = BTreeMap::new();
    names.insert("a.test".to_owned(), sni("a.test"));
    names.insert("*.test".to_owned(), SniOptions { tls_versions: Some(TlsVersions::Tls12), ..sni("b.test") });
    names.insert(
        "*.Sub.test".to_owned(),
        SniOptions { protocols: Some(HttpProtocols::Http1), ..sni("b.sub.test") },
    );
    let https = HttpsOptions { sni: names.clone(), ..HttpsOptions::default() };
    let server = secure(https, agreed).await;
    let offering = || {
        let mut config = authority.client(None);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    };
    for (name, expected) in [
        ("a.test", Ok("TLSv1.3 http/1.1 unknown")),
        ("A.TEST", Ok("TLSv1.3 http/1.1 unknown")),
        ("b.test", Ok("TLSv1.2 http/1.1 unknown")),
        ("b.sub.test", Ok("TLSv1.3 http/1.1 unknown")),
        ("test", Err(())),
        ("other", Err(())),
    ] {
        let text = ask(&server, offering(), name).await;
        assert_eq!(text.as_deref().map_err(|_| ()), expected, "{name}");
    }
    // Another one for all others, and for those who name none.
    names.insert("*".to_owned(), sni("other"));
    let server = secure(HttpsOptions { sni: names, ..HttpsOptions::default() }, agreed).await;
    assert!(ask(&server, offering(), "other").await.is_ok());
}

#[tokio::test]
async fn clients_are_asked_for_certificates_and_judged() {
    let folder = Folder::new("clients");
    let (authority, others) = (Authority::new(), Authority::new());
    let own = authority.issue("localhost");
    let (good, bad, revoked) = (others.issue("good"), authority.issue("bad"), others.issue("revoked"));
    let roots = folder.write("roots.pem", &others.pem);
    let list = folder.write("list.pem", &others.revoke(&revoked));
    let https = |clients: ClientCertificates| HttpsOptions {
        certificate: Some(own.certificate()),
        client_certificates: clients,
        ..HttpsOptions::default()
    };
    let by_roots = |mode| ClientCertificates {
        mode,
        roots: ClientCertificateRoots::File(roots.clone()),
        ..ClientCertificates::default()
    };
    let judged = ClientCertificates {
        mode: ClientCertificateMode::Require,
        validation: Some(ClientCertificateValidation::new({
            let bad = bad.der.clone();
            move |chain| chain[0] == bad
        })),
        ..ClientCertificates::default()
    };
    let with_list =
        ClientCertificates { revocation_lists: vec![list], ..by_roots(ClientCertificateMode::Require) };
    for (clients, cases) in [
        (ClientCertificates::default(), [("none", true), ("good", true), ("bad", true), ("revoked", true)]),
        (
            by_roots(ClientCertificateMode::Allow),
            [("none", true), ("good", true), ("bad", false), ("revoked", true)],
        ),
        (
            by_roots(ClientCertificateMode::Require),
            [("none", false), ("good", true), ("bad", false), ("revoked", true)],
        ),
        (with_list, [("none", false), ("good", true), ("bad", false), ("revoked", false)]),
        (judged, [("none", false), ("good", false), ("bad", true), ("revoked", false)]),
    ] {
        let is_asked = clients.mode != ClientCertificateMode::None;
        let server = secure(https(clients.clone()), agreed).await;
        for (who, is_served) in cases {
            let certificate = [("good", &good), ("bad", &bad), ("revoked", &revoked)];
            let certificate = certificate.iter().find(|(name, _)| *name == who).map(|(_, issued)| *issued);
            let text = ask(&server, authority.client(certificate), "localhost").await;
            let expected =
                if is_asked && certificate.is_some() { "TLSv1.3  known" } else { "TLSv1.3  unknown" };
            let expected = is_served.then_some(expected);
            assert_eq!(text.as_deref().ok(), expected, "{who} {clients:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_that_changes_is_used_by_new_handshakes() {
    let folder = Folder::new("reload");
    let (first, second) = (Authority::new(), Authority::new());
    let place = |authority: &Authority| {
        let issued = authority.issue("localhost");
        // By rename, as those do it who renew certificates.
        let temporary = folder.write("new.pem", &(issued.pem + &issued.key_pem));
        std::fs::rename(temporary, folder.0.join("both.pem")).unwrap();
    };
    place(&first);
    let file = CertificateFile::new(folder.0.join("both.pem"));
    let server = secure(HttpsOptions::certificate_file(file), hello).await;
    assert!(ask(&server, first.client(None), "localhost").await.is_ok());
    place(&second);
    let taken = async {
        while ask(&server, second.client(None), "localhost").await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), taken).await.expect("within five seconds");
    // A broken one changes nothing.
    folder.write("both.pem", "broken");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for _ in 0..3 {
        assert!(ask(&server, second.client(None), "localhost").await.is_ok());
    }
}

#[tokio::test]
async fn code_can_choose_the_certificate_and_everything() {
    let authority = Authority::new();
    let issued = authority.issue("localhost");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = CertifiedKey::from_der(vec![issued.der.clone()], issued.key.clone_key(), &provider).unwrap();
    let key = Arc::new(key);
    let selector = CertificateSelector::new(move |name| (name == Some("localhost")).then(|| key.clone()));
    let https = HttpsOptions { certificate_selector: Some(selector), ..HttpsOptions::default() };
    let server = secure(https, hello).await;
    assert!(ask(&server, authority.client(None), "localhost").await.is_ok());
    assert!(ask(&server, authority.client(None), "other").await.is_err());

    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der], issued.key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let choose = OnClientHello::new(move |hello| {
        let config = Arc::clone(&config);
        async move {
            assert_eq!(hello.application_protocols, [b"http/1.1"]);
            if hello.server_name.as_deref() == Some("localhost") { Ok(config) } else { Err("who?".into()) }
        }
    });
    let https = HttpsOptions { on_client_hello: Some(choose), ..HttpsOptions::default() };
    let server = secure(https, agreed).await;
    let offering = || {
        let mut config = authority.client(None);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    };
    assert_eq!(ask(&server, offering(), "localhost").await.as_deref(), Ok("TLSv1.2 http/1.1 unknown"));
    assert!(ask(&server, offering(), "other").await.is_err());
}

#[tokio::test]
async fn handshakes_wait_for_their_turn() {
    let authority = Authority::new();
    let https = HttpsOptions {
        certificate: Some(authority.issue("localhost").certificate()),
        max_concurrent_handshakes: Some(1),
        handshake_timeout: Duration::from_millis(300),
        ..HttpsOptions::default()
    };
    let server = secure(https, hello).await;
    let mut silent = server.client().await;
    silent.send([22]).await;
    // The silent one has its time, and then the next one has its turn.
    let ask = async { while ask(&server, authority.client(None), "localhost").await.is_err() {} };
    soon(ask).await;
}
