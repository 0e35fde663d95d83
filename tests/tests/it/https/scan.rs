//! What an auditor's scan finds: versions, suites and key exchanges.

use std::collections::BTreeSet;

use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

use rustls::version::TLS13;

use super::tool::{Begun, Server, begun};
use super::*;

/// A server with a certificate of this kind of key, and the folder of the scan.
async fn scanned(key: &str) -> (Folder, Server) {
    let folder = Folder::new(&format!("scan-{}", &key[..2]));
    let make = format!(
        "req -x509 -newkey {key} -nodes -keyout key.pem -out certificate.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    );
    openssl(&folder.0, &make);
    let https = HttpsOptions::pem_files(folder.0.join("certificate.pem"), folder.0.join("key.pem"));
    (folder, Server::start(https, hello).await)
}

const RSA: &str = "rsa:2048";
const ECDSA: &str = "ec -pkeyopt ec_paramgen_curve:P-256";

/// The suite that was agreed on.
fn suite(said: &str) -> Option<&str> {
    (begun(said) == Begun::New).then(|| said.split("Cipher is ").nth(1)?.lines().next()).flatten()
}

#[tokio::test]
async fn tls_1_2_has_the_suites_with_ecdhe_and_aead_and_no_other_one() {
    for (key, authentication) in [(RSA, "RSA"), (ECDSA, "ECDSA")] {
        let (folder, server) = scanned(key).await;
        // Everything that the tool has, then everything but what was accepted, until nothing is.
        let mut accepted = BTreeSet::new();
        let said = loop {
            let but: String = accepted.iter().map(|suite| format!(":!{suite}")).collect();
            let offer = format!("-tls1_2 -cipher ALL:COMPLEMENTOFALL{but}:@SECLEVEL=0");
            let said = server.ask(&folder.0, &offer).await;
            let Some(suite) = suite(&said) else { break said };
            assert!(accepted.insert(suite.to_owned()), "{suite} again");
        };
        // The server has refused what was left, of which there was something.
        assert!(said.contains("alert handshake failure"), "{said}");
        let expected = ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"];
        let expected = expected.map(|cipher| format!("ECDHE-{authentication}-{cipher}"));
        assert_eq!(accepted, BTreeSet::from(expected));
    }
}

#[tokio::test]
async fn older_versions_are_refused_by_the_server() {
    let (folder, server) = scanned(RSA).await;
    for version in ["-tls1", "-tls1_1"] {
        let said = server.ask(&folder.0, &format!("{version} -cipher ALL:@SECLEVEL=0")).await;
        // By an alert of the server's, and not by the tool itself.
        let is_refused = said.contains("SSL alert number 70") || said.contains("SSL alert number 40");
        assert!(begun(&said) == Begun::Not && is_refused, "{version}: {said}");
    }
    for version in ["-tls1_2", "-tls1_3"] {
        assert_eq!(begun(&server.ask(&folder.0, version).await), Begun::New, "{version}");
    }
}

#[tokio::test]
async fn tls_1_3_has_its_three_suites() {
    let (folder, server) = scanned(ECDSA).await;
    for (name, is_spoken) in [
        ("TLS_AES_128_GCM_SHA256", true),
        ("TLS_AES_256_GCM_SHA384", true),
        ("TLS_CHACHA20_POLY1305_SHA256", true),
        ("TLS_AES_128_CCM_SHA256", false),
        ("TLS_AES_128_CCM_8_SHA256", false),
    ] {
        let said = server.ask(&folder.0, &format!("-tls1_3 -ciphersuites {name}")).await;
        assert_eq!(suite(&said), is_spoken.then_some(name), "{said}");
    }
}

#[tokio::test]
async fn there_is_no_renegotiation_and_no_compression() {
    let (folder, server) = scanned(ECDSA).await;
    let said = server.ask(&folder.0, "-tls1_2 -comp").await;
    assert!(
        said.contains("Compression: NONE") && said.contains("Secure Renegotiation IS supported"),
        "{said}"
    );
}

#[tokio::test]
async fn the_post_quantum_key_exchange_is_there_and_preferred() {
    let authority = Authority::new();
    let https = HttpsOptions {
        certificate: Some(authority.issue("localhost").certificate()),
        ..HttpsOptions::default()
    };
    let running =
        crate::support::start(crate::support::options([crate::support::loopback().https(https)]), hello)
            .await;
    let address = crate::support::socket_address(&running.addresses()[0]);
    // Alone; and beside a classic one.
    let both: &[&'static dyn SupportedKxGroup] = &[kx_group::X25519MLKEM768, kx_group::X25519];
    for groups in [&both[..1], both] {
        let provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(authority.roots())
            .with_no_client_auth();
        let io = tokio::net::TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let tls = soon(TlsConnector::from(Arc::new(config)).connect(name, io)).await.unwrap();
        let agreed = tls.get_ref().1.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(agreed, rustls::NamedGroup::X25519MLKEM768);
        assert_eq!(Client::new(tls).get("/").await.text(), "Hello, World!");
    }
    // And all that without a provider for the whole process.
    assert!(CryptoProvider::get_default().is_none());
}
