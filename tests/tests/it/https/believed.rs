//! Roots and revocation lists that change while they are used.

use rustls::version::TLS13;
use rustls::{HandshakeKind, SupportedProtocolVersion};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::*;
use crate::support::Issued;

/// A server that asks clients for certificates.
async fn asking(own: &Issued, clients: ClientCertificates) -> Memory {
    let options = HttpsOptions {
        certificate: Some(own.certificate()),
        client_certificates: clients,
        ..HttpsOptions::default()
    };
    secure(options, hello).await
}

fn client(authority: &Authority, own: &Issued, version: &'static SupportedProtocolVersion) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_client_auth_cert(vec![own.der.clone()], own.key.clone_key())
        .unwrap()
}

/// The common name of an authority.
fn name_of(authority: &Authority) -> String {
    let certificate = server_abstractions::ClientCertificate::from_der(authority.der.to_vec()).unwrap();
    certificate.common_name().unwrap().to_owned()
}

/// Asks once, and tells how hands were shaken.
async fn kind(server: &Memory, config: ClientConfig) -> Result<HandshakeKind, String> {
    let io = server.connector.connect().await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = soon(TlsConnector::from(Arc::new(config)).connect(name, io)).await;
    let tls = tls.map_err(|error| error.to_string())?;
    let kind = tls.get_ref().1.handshake_kind().unwrap();
    let mut client = Client::new(tls);
    let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let answer = client.rest().await;
    if answer.starts_with(b"HTTP/1.1 200") { Ok(kind) } else { Err(format!("no answer: {answer:?}")) }
}

fn by_roots(authority: &Authority) -> ClientCertificates {
    ClientCertificates {
        mode: ClientCertificateMode::Require,
        roots: ClientCertificateRoots::Store(Arc::new(authority.roots())),
        ..ClientCertificates::default()
    }
}

/// By rename, as those do it who renew lists.
fn replace(folder: &Folder, name: &str, content: &str) {
    let temporary = folder.write("new.pem", content);
    std::fs::rename(temporary, folder.0.join(name)).unwrap();
}

/// Waits until new handshakes of a client are as expected; nobody waits longer than is promised.
async fn until_served(server: &Memory, config: impl Fn() -> ClientConfig, is_served: bool) {
    let taken = async {
        while kind(server, config()).await.is_ok() != is_served {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), taken).await.expect("within five seconds");
}

#[tokio::test]
async fn a_list_that_changes_is_used_by_new_handshakes_and_by_sessions_of_before() {
    let folder = Folder::new("changing-list");
    let authority = Authority::new();
    let own = authority.issue("localhost");
    let nobody = authority.issue("nobody");
    folder.write("list.pem", &authority.revoke(&nobody));
    let identity = authority.issue("client");
    let other = authority.issue("other");
    let clients =
        ClientCertificates { revocation_lists: vec![folder.0.join("list.pem")], ..by_roots(&authority) };
    let server = asking(&own, clients).await;
    let (mut sessions, mut others) = (Vec::new(), Vec::new());
    for version in [&TLS12, &TLS13] {
        let config = client(&authority, &identity, version);
        assert_eq!(kind(&server, config.clone()).await, Ok(HandshakeKind::Full));
        assert_eq!(kind(&server, config.clone()).await, Ok(HandshakeKind::Resumed));
        sessions.push(config);
        let config = client(&authority, &other, version);
        assert_eq!(kind(&server, config.clone()).await, Ok(HandshakeKind::Full));
        others.push(config);
    }
    replace(&folder, "list.pem", &authority.revoke(&identity));
    until_served(&server, || client(&authority, &identity, &TLS13), false).await;
    for config in sessions {
        // Each time anew, whatever it remembers.
        for _ in 0..3 {
            assert!(kind(&server, config.clone()).await.is_err());
        }
    }
    for config in others {
        assert_eq!(
            kind(&server, config.clone()).await,
            Ok(HandshakeKind::Full),
            "no session of before goes on"
        );
        assert_eq!(kind(&server, config).await, Ok(HandshakeKind::Resumed));
    }
    // A broken one changes nothing.
    folder.write("list.pem", "broken");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for _ in 0..3 {
        assert!(kind(&server, client(&authority, &identity, &TLS13)).await.is_err());
    }
    replace(&folder, "list.pem", &authority.revoke(&nobody));
    until_served(&server, || client(&authority, &identity, &TLS13), true).await;
}

#[tokio::test]
async fn roots_that_change_are_used_by_new_handshakes_and_told_to_clients() {
    let folder = Folder::new("changing-roots");
    let (server_authority, first, second) = (Authority::new(), Authority::new(), Authority::new());
    let own = server_authority.issue("localhost");
    let roots = folder.write("roots.pem", &first.pem);
    let clients = ClientCertificates {
        mode: ClientCertificateMode::Require,
        roots: ClientCertificateRoots::File(roots),
        ..ClientCertificates::default()
    };
    let server = asking(&own, clients).await;
    let identities = [first.issue("client"), second.issue("client")];
    let client = |index: usize| client(&server_authority, &identities[index], &TLS13);
    assert!(kind(&server, client(0)).await.is_ok());
    assert!(kind(&server, client(1)).await.is_err());
    assert_eq!(told_roots(&server, &server_authority).await, [name_of(&first)]);
    let session = client(0);
    assert!(kind(&server, session.clone()).await.is_ok());
    replace(&folder, "roots.pem", &second.pem);
    until_served(&server, || client(1), true).await;
    assert!(kind(&server, client(0)).await.is_err());
    assert!(kind(&server, session).await.is_err());
    assert_eq!(told_roots(&server, &server_authority).await, [name_of(&second)]);
}

/// The names of roots that the server tells clients to choose by.
async fn told_roots(server: &Memory, authority: &Authority) -> Vec<String> {
    let (tell, mut told) = unbounded_channel();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_root_certificates(authority.roots())
        .with_client_cert_resolver(Arc::new(Listening(tell)));
    assert!(kind(server, config).await.is_err());
    told.recv().await.unwrap()
}

/// Has no certificate, and listens to what is asked for.
#[derive(Debug)]
struct Listening(UnboundedSender<Vec<String>>);

impl rustls::client::ResolvesClientCert for Listening {
    fn resolve(&self, hints: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // The common name is the last thing in each.
        let name = |hint: &&[u8]| {
            let text = String::from_utf8_lossy(hint).into_owned();
            text.rsplit(|letter: char| letter.is_control()).next().unwrap_or_default().to_owned()
        };
        let _ = self.0.send(hints.iter().map(name).collect());
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}
