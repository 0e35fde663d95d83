//! Sessions that go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use server_kestrel::{CertificateSelector, SessionOptions, TicketKeys, TlsLayer};

use super::tool::{Begun, Server, begun};
use super::*;

/// TLS with a certificate and these sessions.
fn https(sessions: SessionOptions) -> HttpsOptions {
    HttpsOptions {
        certificate: Some(Authority::new().issue("localhost").certificate()),
        sessions,
        ..HttpsOptions::default()
    }
}

const VERSIONS: [&str; 2] = ["-tls1_2 -servername localhost", "-tls1_3 -servername localhost"];

#[tokio::test]
async fn a_client_that_comes_again_goes_on() {
    let folder = Folder::new("again");
    for ticket_keys in [TicketKeys::None, TicketKeys::memory()] {
        let shown = format!("{ticket_keys:?}");
        let server =
            Server::start(https(SessionOptions { ticket_keys, ..SessionOptions::default() }), hello).await;
        for version in VERSIONS {
            server.keep(&folder.0, "session", version).await;
            let again = server.again(&folder.0, "session", version).await;
            assert_eq!(again, Begun::Reused, "{shown} {version}");
        }
        // Five times, by the tool's own count.
        let said = server.ask(&folder.0, "-tls1_2 -reconnect").await;
        assert_eq!(said.matches("\nReused, TLSv1.2").count(), 5, "{said}");
    }
}

#[tokio::test]
async fn clients_that_take_no_tickets_are_remembered_all_the_same() {
    let folder = Folder::new("no-tickets");
    let sessions = SessionOptions { ticket_keys: TicketKeys::memory(), ..SessionOptions::default() };
    let server = Server::start(https(sessions), hello).await;
    server.keep(&folder.0, "session", "-tls1_2 -no_ticket").await;
    assert_eq!(server.again(&folder.0, "session", "-tls1_2 -no_ticket").await, Begun::Reused);
}

#[tokio::test]
async fn without_memory_and_tickets_every_handshake_is_a_full_one() {
    let folder = Folder::new("none");
    let nothing = SessionOptions { cache_size: 0, ..SessionOptions::default() };
    let server = Server::start(https(nothing), hello).await;
    let said = server.ask(&folder.0, "-tls1_2 -reconnect").await;
    assert_eq!(said.matches("\nNew, TLSv1.2").count(), 6, "{said}");
    let said = server.ask(&folder.0, "-tls1_3 -sess_out session").await;
    assert!(begun(&said) == Begun::New && !said.contains("New Session Ticket arrived"), "{said}");
}

#[tokio::test]
async fn a_client_is_given_as_many_tickets_as_the_options_say() {
    let folder = Folder::new("tickets");
    for ticket_keys in [TicketKeys::None, TicketKeys::memory()] {
        for tickets_per_handshake in [0, 1, 2, 5] {
            let sessions = SessionOptions {
                tickets_per_handshake,
                ticket_keys: ticket_keys.clone(),
                ..SessionOptions::default()
            };
            let server = Server::start(https(sessions), hello).await;
            let said = server.ask(&folder.0, "-tls1_3").await;
            assert_eq!(said.matches("New Session Ticket arrived").count(), tickets_per_handshake, "{said}");
        }
    }
}

#[tokio::test]
async fn a_ticket_tells_its_lifetime() {
    let folder = Folder::new("lifetime");
    let sessions = SessionOptions {
        ticket_keys: TicketKeys::memory(),
        lifetime: Duration::from_secs(12345),
        ..SessionOptions::default()
    };
    let server = Server::start(https(sessions), hello).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let said = server.ask(&folder.0, version).await;
        assert!(said.contains("lifetime hint: 12345 (seconds)"), "{version}: {said}");
    }
}

#[tokio::test]
async fn a_renewed_certificate_ends_the_sessions_of_the_old_one() {
    let folder = Folder::new("renewed");
    let authority = Authority::new();
    let place = |name: &str| {
        let issued = authority.issue(name);
        let temporary = folder.write("new.pem", &(issued.pem + &issued.key_pem));
        std::fs::rename(temporary, folder.0.join("both.pem")).unwrap();
    };
    for ticket_keys in [TicketKeys::None, TicketKeys::memory()] {
        place("localhost");
        let file = CertificateFile::new(folder.0.join("both.pem"));
        let sessions = SessionOptions { ticket_keys, ..SessionOptions::default() };
        let server =
            Server::start(HttpsOptions { sessions, ..HttpsOptions::certificate_file(file) }, hello).await;
        for version in VERSIONS {
            server.keep(&folder.0, &version[1..7], version).await;
        }
        place("other");
        let renewed = async {
            while server.again(&folder.0, "tls1_2", VERSIONS[0]).await == Begun::Reused {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), renewed).await.expect("it is renewed");
        assert_eq!(server.again(&folder.0, "tls1_3", VERSIONS[1]).await, Begun::New);
    }
}

#[tokio::test]
async fn the_certificate_of_a_client_that_comes_again_is_judged_again() {
    let folder = Folder::new("judged-again");
    let issued = Authority::new().issue("somebody");
    folder.write("client.pem", &(issued.pem + &issued.key_pem));
    let believed = Arc::new(AtomicBool::new(true));
    let validation = ClientCertificateValidation::new({
        let believed = Arc::clone(&believed);
        move |_| believed.load(Ordering::SeqCst)
    });
    for ticket_keys in [TicketKeys::None, TicketKeys::memory()] {
        let client_certificates = ClientCertificates {
            mode: ClientCertificateMode::Require,
            validation: Some(validation.clone()),
            ..ClientCertificates::default()
        };
        let sessions = SessionOptions { ticket_keys, ..SessionOptions::default() };
        let server = Server::start(HttpsOptions { client_certificates, ..https(sessions) }, hello).await;
        for version in VERSIONS {
            let version = format!("{version} -cert client.pem -key client.pem");
            for (is_believed, expected) in [(true, Begun::Reused), (false, Begun::Not)] {
                server.keep(&folder.0, "session", &version).await;
                believed.store(is_believed, Ordering::SeqCst);
                assert_eq!(server.again(&folder.0, "session", &version).await, expected, "{version}");
                believed.store(true, Ordering::SeqCst);
            }
        }
    }
}

#[tokio::test]
async fn sessions_that_cannot_be_are_refused() {
    type Change = fn(&mut SessionOptions);
    let changes: [(&str, Change); 5] = [
        ("sessions.cache_size is 16777217", |sessions| sessions.cache_size = (1 << 24) + 1),
        ("sessions.tickets_per_handshake is 17", |sessions| sessions.tickets_per_handshake = 17),
        ("sessions.lifetime is 0ns; it must be from 1 second", |sessions| sessions.lifetime = Duration::ZERO),
        ("sessions.lifetime is 604801s", |sessions| sessions.lifetime = Duration::from_secs(604_801)),
        ("sessions.ticket_key_rotation is 60s; it must be at least", |sessions| {
            sessions.ticket_keys = TicketKeys::Memory { rotation: Duration::from_secs(60) };
        }),
    ];
    let refused = |https: &HttpsOptions| {
        let error = TlsLayer::new(https, HttpProtocols::default()).unwrap_err();
        assert!(error.is_configuration(), "{error}");
        error.to_string()
    };
    for (expected, change) in changes {
        let mut sessions = SessionOptions::default();
        change(&mut sessions);
        let error = refused(&https(sessions));
        assert!(error.contains(expected), "{error}");
    }
    // Where they would be ignored.
    let sessions = SessionOptions { cache_size: 1, ..SessionOptions::default() };
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let selector = CertificateSelector::new(|_| None);
    let resolver = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let issued = Authority::new().issue("a");
    let whole = resolver.with_single_cert(vec![issued.der], issued.key).unwrap();
    let rustls = HttpsOptions { sessions: sessions.clone(), ..HttpsOptions::rustls(Arc::new(whole)) };
    assert!(refused(&rustls).contains("beside a whole TLS configuration"));
    let choose = OnClientHello::new(|_| async { Err("nothing".into()) });
    let chosen =
        HttpsOptions { sessions: sessions.clone(), on_client_hello: Some(choose), ..HttpsOptions::default() };
    assert!(refused(&chosen).contains("on_client_hello"));
    let selected = HttpsOptions { sessions, certificate_selector: Some(selector), ..HttpsOptions::default() };
    assert!(TlsLayer::new(&selected, HttpProtocols::default()).is_ok());
}
