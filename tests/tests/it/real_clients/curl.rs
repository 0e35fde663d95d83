//! curl.

use serde_json::json;

use super::{Keys, serve, serve_with};
use crate::program::{curl, curl_exit_code, output_of};

/// curl's exit codes.
const UNTRUSTED: i32 = 60;
/// To send or to receive has failed; which of them the alert meets first is chance.
const REFUSED: [i32; 2] = [55, 56];

#[tokio::test]
async fn it_comes_by_the_protocol_and_the_version_that_it_is_told() {
    let keys = Keys::new();
    keys.issue("own", "localhost");
    let program = serve(json!({ "Certificate": keys.section("own") })).await;
    let port = program.address().port();
    let (trusted, url) = (keys.path("authority.pem"), format!("https://localhost:{port}/connection"));
    for (protocol, version, facts) in [
        ("--http1.1", "1.3", ["HTTP/1.1", "http/1.1", "TLSv1.3"]),
        ("--http1.1", "1.2", ["HTTP/1.1", "http/1.1", "TLSv1.2"]),
        ("--http2", "1.3", ["HTTP/2", "h2", "TLSv1.3"]),
        ("--http2", "1.2", ["HTTP/2", "h2", "TLSv1.2"]),
    ] {
        let answer = curl(["--cacert", &trusted, protocol, "--tls-max", version, "--ipv4", &url]).await;
        let connection = answer.json();
        let tls = &connection["tls"];
        let found = [&answer.version, tls["alpn"].as_str().unwrap(), tls["version"].as_str().unwrap()];
        assert_eq!(found, facts, "{protocol} {version} {connection}");
        assert_eq!((answer.status, &connection["protocol"]), (200, &json!(facts[0])));
        assert_eq!(tls["sni"], "localhost");
        assert!(!answer.text().contains("CN="), "no certificate was asked for: {connection}");
    }
    // Without the authority nothing is believed.
    assert_eq!(curl_exit_code(["--ipv4", &url]).await, UNTRUSTED);
}

#[tokio::test]
async fn it_shows_a_certificate_that_is_asked_for() {
    let keys = Keys::new();
    keys.issue("own", "localhost");
    keys.issue("client", "client");
    let endpoint =
        json!({ "Certificate": keys.section("own"), "ClientCertificateMode": "RequireCertificate" });
    let program = serve_with(endpoint, json!({ "ClientCertificateRoots": keys.path("authority.pem") })).await;
    let url = format!("https://localhost:{}/connection", program.address().port());
    let (trusted, own, key) = (keys.path("authority.pem"), keys.path("client.pem"), keys.path("client.key"));
    for protocol in ["--http1.1", "--http2"] {
        let always = ["--cacert", &trusted, protocol, "--ipv4"];
        let [a, b, c, d] = always;
        let answer = curl([a, b, c, d, "--cert", &own, "--key", &key, &url]).await;
        assert!(answer.text().contains("\"CN=client\""), "{}", answer.text());
        let code = curl_exit_code([a, b, c, d, &url]).await;
        assert!(REFUSED.contains(&code), "{protocol} {code}");
    }
}

#[tokio::test]
async fn it_uses_one_connection_for_many_requests() {
    let keys = Keys::new();
    keys.issue("own", "localhost");
    let program = serve(json!({ "Certificate": keys.section("own") })).await;
    let url = format!("https://localhost:{}/connection", program.address().port());
    let trusted = keys.path("authority.pem");
    for protocol in ["--http1.1", "--http2"] {
        let arguments = ["--silent", "--cacert", &trusted, protocol, "--ipv4", "--max-time", "9"];
        let write = ["--write-out", "\n%{num_connects} %{local_port}\n", &url, &url, &url, &url];
        let text = output_of("curl", arguments.iter().chain(&write)).await;
        let (connects, ids): (Vec<_>, Vec<_>) = text.lines().partition(|line| !line.starts_with('{'));
        let opened: Vec<_> = connects.iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(opened, ["1", "0", "0", "0"], "{protocol} {text}");
        let ids: Vec<_> = ids
            .iter()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["connection_id"].clone())
            .collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0]), "{protocol} {ids:?}");
    }
}
