//! Where a session may go on: under the terms that it began under, whatever keys are shared.

use std::os::unix::fs::PermissionsExt;

use server_kestrel::{SessionOptions, TicketKeys};

use server_kestrel::ServerCertificate;

use super::tool::{Begun, Server, begun};
use super::*;

/// All that the policies are made of.
struct World {
    folder: Folder,
    sessions: SessionOptions,
    certificate: ServerCertificate,
    other_certificate: ServerCertificate,
}

impl World {
    /// The client's certificate is in `client.pem`.
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let (authority, clients) = (Authority::new(), Authority::new());
        let (client, other) = (clients.issue("client"), clients.issue("another"));
        folder.write("roots.pem", &clients.pem);
        folder.write("more-roots.pem", &(clients.pem.clone() + &authority.pem));
        folder.write("list.pem", &clients.revoke(&other));
        folder.write("revoked.pem", &clients.revoke(&client));
        folder.write("client.pem", &(client.pem + &client.key_pem));
        let keys = folder.0.join("keys");
        openssl(&folder.0, "rand -out keys 80");
        std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o600)).unwrap();
        let ticket_keys = TicketKeys::file(keys);
        Self {
            folder,
            sessions: SessionOptions { ticket_keys, ..SessionOptions::default() },
            certificate: authority.issue("localhost").certificate(),
            other_certificate: authority.issue("localhost").certificate(),
        }
    }

    fn https(&self) -> HttpsOptions {
        HttpsOptions {
            certificate: Some(self.certificate.clone()),
            sessions: self.sessions.clone(),
            ..HttpsOptions::default()
        }
    }

    fn by_roots(&self, mode: ClientCertificateMode, roots: &str, lists: &[&str]) -> HttpsOptions {
        let client_certificates = ClientCertificates {
            mode,
            roots: ClientCertificateRoots::File(self.folder.0.join(roots)),
            revocation_lists: lists.iter().map(|list| self.folder.0.join(list)).collect(),
            validation: None,
            ..ClientCertificates::default()
        };
        HttpsOptions { client_certificates, ..self.https() }
    }

    fn by_name(&self, name: &str) -> HttpsOptions {
        HttpsOptions { sni: [(name.to_owned(), SniOptions::default())].into(), ..self.https() }
    }

    /// Policies that differ in one thing, and whether another process can have the same one.
    fn policies(&self) -> Vec<(&'static str, HttpsOptions, bool)> {
        let (allow, require) = (ClientCertificateMode::Allow, ClientCertificateMode::Require);
        let code = ClientCertificates {
            mode: require,
            validation: Some(ClientCertificateValidation::any()),
            ..ClientCertificates::default()
        };
        let other_certificate =
            HttpsOptions { certificate: Some(self.other_certificate.clone()), ..self.https() };
        vec![
            ("nobody is asked", self.https(), true),
            ("another certificate", other_certificate, true),
            ("for all names", self.by_name("*"), true),
            ("clients may have none", self.by_roots(allow, "roots.pem", &[]), true),
            ("clients must have one", self.by_roots(require, "roots.pem", &[]), true),
            ("more roots", self.by_roots(require, "more-roots.pem", &[]), true),
            ("a revocation list", self.by_roots(require, "roots.pem", &["list.pem"]), true),
            ("code judges", HttpsOptions { client_certificates: code, ..self.https() }, false),
        ]
    }
}

async fn assert_apart(version: &str) {
    let world = World::new(version);
    let folder = &world.folder.0;
    let arguments = format!("-{version} -cert client.pem -key client.pem");
    let policies = world.policies();
    let mut servers = Vec::new();
    for (name, https, _) in &policies {
        let server = Server::start(https.clone(), hello).await;
        server.keep(folder, name.replace(' ', "-").as_str(), &arguments).await;
        servers.push(server);
    }
    for (name, https, is_portable) in &policies {
        let same = Server::start(https.clone(), hello).await;
        let session = name.replace(' ', "-");
        let expected = if *is_portable { Begun::Reused } else { Begun::New };
        assert_eq!(same.again(folder, &session, &arguments).await, expected, "{name}: another process");
        for ((other, ..), server) in policies.iter().zip(&servers) {
            let expected = if other == name { Begun::Reused } else { Begun::New };
            let again = server.again(folder, &session, &arguments).await;
            assert_eq!(again, expected, "a session of {name:?} under {other:?}");
        }
    }
}

#[tokio::test]
async fn no_session_of_tls_1_2_goes_on_under_another_policy() {
    assert_apart("tls1_2").await;
}

#[tokio::test]
async fn no_session_of_tls_1_3_goes_on_under_another_policy() {
    assert_apart("tls1_3").await;
}

#[tokio::test]
async fn a_client_that_was_revoked_does_not_come_again() {
    let world = World::new("revoked");
    let folder = &world.folder.0;
    for version in ["tls1_2", "tls1_3"] {
        let arguments = format!("-{version} -cert client.pem -key client.pem");
        let require = |lists: &[&str]| world.by_roots(ClientCertificateMode::Require, "roots.pem", lists);
        let before = Server::start(require(&["list.pem"]), agreed).await;
        before.keep(folder, version, &arguments).await;
        assert_eq!(before.again(folder, version, &arguments).await, Begun::Reused);
        let after = Server::start(require(&["revoked.pem"]), agreed).await;
        assert_eq!(after.again(folder, version, &arguments).await, Begun::Not);
        // The list in the same place has changed: so has what is in force after a reload or a restart.
        let list = std::fs::read_to_string(folder.join("list.pem")).unwrap();
        world.folder.write("list.pem", &std::fs::read_to_string(folder.join("revoked.pem")).unwrap());
        let restarted = Server::start(require(&["list.pem"]), agreed).await;
        assert_eq!(restarted.again(folder, version, &arguments).await, Begun::Not);
        world.folder.write("list.pem", &list);
    }
}

#[tokio::test]
async fn a_client_whose_certificate_has_expired_does_not_come_again() {
    let world = World::new("expired");
    let folder = &world.folder.0;
    let clients = Authority::new();
    world.folder.write("roots.pem", &clients.pem);
    let https = world.by_roots(ClientCertificateMode::Require, "roots.pem", &[]);
    let server = Server::start(https, agreed).await;
    let arguments = "-tls1_2 -cert short.pem -key short.pem";
    // A slow machine gets one that is valid for longer.
    for seconds in [3, 10, 30] {
        let expires = std::time::SystemTime::now() + Duration::from_secs(seconds);
        let short = clients.issue_with("short", |parameters| parameters.not_after = expires.into());
        world.folder.write("short.pem", &(short.pem + &short.key_pem));
        let keep = format!("{arguments} -sess_out session");
        if begun(&server.ask(folder, &keep).await) == Begun::Not
            || server.again(folder, "session", arguments).await == Begun::Not
        {
            continue;
        }
        while expires.elapsed().is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // The end of validity is a whole second, and is within it.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let said = server.ask(folder, &format!("{arguments} -sess_in session")).await;
        assert!(begun(&said) == Begun::Not && said.contains("\nReused, TLSv1.2"), "{said}");
        return;
    }
    panic!("no handshake within 30 seconds");
}

#[tokio::test]
async fn a_client_that_comes_again_is_still_known() {
    let world = World::new("known");
    let arguments = "-tls1_3 -cert client.pem -key client.pem";
    let https = world.by_roots(ClientCertificateMode::Allow, "roots.pem", &[]);
    let server = Server::start(https.clone(), agreed).await;
    server.keep(&world.folder.0, "session", arguments).await;
    let other = Server::start(https, agreed).await;
    let said = other.ask(&world.folder.0, &format!("{arguments} -sess_in session")).await;
    assert!(said.contains("\nReused, TLSv1.3") && said.contains("TLSv1.3  known"), "{said}");
}

#[tokio::test]
async fn a_session_of_one_server_name_does_not_go_on_under_another() {
    let world = World::new("names");
    let server = Server::start(world.by_name("*.test"), hello).await;
    for version in ["-tls1_2", "-tls1_3"] {
        let name = |name: &str| format!("{version} -servername {name}.test");
        server.keep(&world.folder.0, "session", &name("a")).await;
        assert_eq!(server.again(&world.folder.0, "session", &name("a")).await, Begun::Reused);
        assert_eq!(server.again(&world.folder.0, "session", &name("b")).await, Begun::New);
    }
}
