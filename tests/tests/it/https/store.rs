//! Certificates that are looked for in a folder.

use std::process::Command;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::UnixTime;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use server_kestrel::{FindCertificate, StoredCertificate, TlsLayer};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use server_kestrel::ServerCertificate;

use super::*;
use crate::support::Issued;

/// Makes a certificate of this subject that is valid for so many days; a negative number has passed.
fn make(
    folder: &Folder,
    file: &str,
    subject: &str,
    days: i64,
    usage: rcgen::ExtendedKeyUsagePurpose,
) -> Issued {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(rcgen::DnType::OrganizationName, "Example");
    parameters.distinguished_name.push(rcgen::DnType::CommonName, subject);
    let now = std::time::SystemTime::now();
    let day = Duration::from_secs(24 * 3600);
    let at = |days: i64| {
        let span = day * days.unsigned_abs() as u32;
        if days < 0 { now - span } else { now + span }
    };
    (parameters.not_before, parameters.not_after) = (at(-30).into(), at(days).into());
    parameters.extended_key_usages = vec![usage];
    let certificate = parameters.self_signed(&key).unwrap();
    let issued = Issued {
        pem: certificate.pem(),
        key_pem: key.serialize_pem(),
        der: certificate.der().clone(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        serial: rcgen::SerialNumber::from(1),
    };
    folder.write(&format!("{file}.crt"), &issued.pem);
    folder.write(&format!("{file}.key"), &issued.key_pem);
    issued
}

fn for_servers(folder: &Folder, file: &str, subject: &str, days: i64) -> Issued {
    make(folder, file, subject, days, rcgen::ExtendedKeyUsagePurpose::ServerAuth)
}

fn subject(folder: &Folder, text: &str) -> StoredCertificate {
    StoredCertificate::new(&folder.0, FindCertificate::Subject(text.to_owned()))
}

fn https(stored: StoredCertificate) -> HttpsOptions {
    HttpsOptions { certificate: Some(ServerCertificate::Store(stored)), ..HttpsOptions::default() }
}

/// Takes any certificate, also one that has expired: it only wants to see it.
#[derive(Debug)]
struct Curious;

impl ServerCertVerifier for Curious {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate that the server shows.
async fn shown(server: &Memory) -> CertificateDer<'static> {
    let io = server.connector.connect().await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut config = Authority::new().client(None);
    config.dangerous().set_certificate_verifier(Arc::new(Curious));
    let tls = soon(TlsConnector::from(Arc::new(config)).connect(name, io)).await.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn assert_shown(stored: StoredCertificate, expected: &Issued) {
    let name = format!("{stored:?}");
    assert_eq!(shown(&secure(https(stored), hello).await).await, expected.der, "{name}");
}

fn refused(stored: StoredCertificate) -> String {
    let error = TlsLayer::new(&https(stored), HttpProtocols::default()).unwrap_err();
    assert!(error.is_configuration(), "{error}");
    error.to_string()
}

#[tokio::test]
async fn the_one_that_expires_last_of_those_that_fit_is_used() {
    let folder = Folder::new("store");
    let short = for_servers(&folder, "a-short", "www.a.test", 10);
    let long = for_servers(&folder, "b-long", "www.a.test", 20);
    let expired = for_servers(&folder, "c-expired", "old.a.test", -1);
    make(&folder, "d-client", "www.a.test", 30, rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    for_servers(&folder, "e-other", "www.b.test", 40);
    for_servers(&folder, "f-no-key", "www.a.test", 50);
    std::fs::remove_file(folder.0.join("f-no-key.key")).unwrap();
    folder.write("g-broken.pem", "broken");
    std::fs::create_dir(folder.0.join("h-folder.pem")).unwrap();

    // The common name, a part of it, and a part of the whole name; regardless of case.
    for text in ["www.a.test", "WWW.A", "O=Example, CN=www.a.test"] {
        assert_shown(subject(&folder, text), &long).await;
    }
    // A thumbprint as tools write it.
    for (algorithm, issued) in [("-sha1", &short), ("-sha256", &long)] {
        folder.write("one", &issued.pem);
        let output = Command::new("openssl")
            .args(["x509", "-noout", "-fingerprint", algorithm, "-in"])
            .arg(folder.0.join("one"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let thumbprint = text.trim().split_once('=').unwrap().1;
        assert_eq!(thumbprint.matches(':').count(), if algorithm == "-sha1" { 19 } else { 31 });
        let find = FindCertificate::Thumbprint(thumbprint.to_owned());
        assert_shown(StoredCertificate::new(&folder.0, find), issued).await;
        let find = FindCertificate::Thumbprint(thumbprint.replace(':', "").to_lowercase());
        assert_shown(StoredCertificate::new(&folder.0, find), issued).await;
    }
    let invalid = StoredCertificate { allow_invalid: true, ..subject(&folder, "old.a.test") };
    assert_shown(invalid, &expired).await;
}

#[tokio::test]
async fn keys_are_in_the_same_file_or_beside_it_and_in_pkcs12() {
    let folder = Folder::new("store-formats");
    let pem = for_servers(&folder, "pem", "pem.test", 10);
    folder.write("pem.pem", &(pem.pem.clone() + &pem.key_pem));
    for name in ["pem.crt", "pem.key"] {
        std::fs::remove_file(folder.0.join(name)).unwrap();
    }
    let pfx = for_servers(&folder, "pfx", "pfx.test", 10);
    let encrypted = for_servers(&folder, "enc", "enc.test", 10);
    openssl(&folder.0, "pkcs12 -export -in pfx.crt -inkey pfx.key -out pfx.pfx -passout pass:secret");
    openssl(&folder.0, "pkcs8 -topk8 -in enc.key -out new.key -v2 aes-256-cbc -passout pass:secret");
    std::fs::rename(folder.0.join("new.key"), folder.0.join("enc.key")).unwrap();
    for name in ["pfx.crt", "pfx.key"] {
        std::fs::remove_file(folder.0.join(name)).unwrap();
    }
    for (text, issued) in [("pem.test", &pem), ("pfx.test", &pfx), ("enc.test", &encrypted)] {
        let password = Some("secret".to_owned());
        assert_shown(StoredCertificate { password, ..subject(&folder, text) }, issued).await;
    }
    let error = refused(subject(&folder, "pfx.test"));
    assert!(error.contains("pfx.pfx: cannot read") && error.contains("is the password right?"), "{error}");
    let error = refused(subject(&folder, "enc.test"));
    assert!(error.contains("enc.crt") && error.contains("there is no password"), "{error}");
}

#[tokio::test]
async fn one_that_expires_later_is_picked_up() {
    let folder = Folder::new("store-later");
    let first = for_servers(&folder, "first", "a.test", 10);
    let server = secure(https(subject(&folder, "a.test")), hello).await;
    assert_eq!(shown(&server).await, first.der);
    for_servers(&folder, "sooner", "a.test", 5);
    let later = for_servers(&folder, "later", "a.test", 20);
    let taken = async {
        loop {
            let shown = shown(&server).await;
            if shown == later.der {
                break;
            }
            assert_eq!(shown, first.der);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), taken).await.expect("within five seconds");
    // With nothing that fits, the last one stays.
    for name in ["first", "sooner", "later"] {
        std::fs::remove_file(folder.0.join(format!("{name}.crt"))).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for _ in 0..2 {
        assert_eq!(shown(&server).await, later.der);
    }
}

#[test]
fn what_was_found_and_why_it_was_not_taken_is_told() {
    let folder = Folder::new("store-refused");
    let folder_name = folder.0.display().to_string();
    let error = refused(subject(&folder, "a.test"));
    assert!(error.contains("there is no file *.pem"), "{error}");
    for_servers(&folder, "expired", "a.test", -1);
    make(&folder, "client", "a.test", 30, rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    for_servers(&folder, "other", "www.b.test", 40);
    for_servers(&folder, "no-key", "a.test", 50);
    std::fs::remove_file(folder.0.join("no-key.key")).unwrap();
    let error = refused(subject(&folder, "a.test"));
    for part in [
        r#"the subject "a.test""#,
        &folder_name,
        "expired.crt: it is valid from",
        "client.crt: it may not be used by a server",
        r#"other.crt: its subject is "O=Example, CN=www.b.test""#,
        "no-key.crt: ",
        "contains no private key",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let thumbprint = FindCertificate::Thumbprint("ab".repeat(20));
    let error = refused(StoredCertificate::new(&folder.0, thumbprint));
    assert!(error.contains("its thumbprint is "), "{error}");
    let error = refused(StoredCertificate::new(&folder.0, FindCertificate::Thumbprint("ab".to_owned())));
    assert!(error.contains("40 (SHA-1) or 64 (SHA-256)"), "{error}");
    assert!(refused(subject(&folder, "")).contains("must not be empty"));
    let missing = StoredCertificate { folder: folder.0.join("missing"), ..subject(&folder, "a") };
    assert!(refused(missing).contains("the folder cannot be read"));
}

#[tokio::test]
async fn a_certificate_that_is_about_to_expire_is_told_at_the_start() {
    let folder = Folder::new("expiring");
    for (file, days) in [("soon", 13), ("later", 15), ("past", -1)] {
        for_servers(&folder, file, file, days);
    }
    let endpoint = |name: &str, file: &str| {
        let path = |end: &str| folder.0.join(format!("{file}.{end}")).display().to_string();
        format!(
            r#""{name}": {{ "Url": "https://127.0.0.1:0", "Certificate": {{ "Path": "{}", "KeyPath": "{}" }} }}"#,
            path("crt"),
            path("key")
        )
    };
    let endpoints = [("A", "soon"), ("B", "soon"), ("C", "later"), ("D", "past")];
    let endpoints = endpoints.map(|(name, file)| endpoint(name, file)).join(", ");
    let settings = format!(r#"{{ "Kestrel": {{ "Endpoints": {{ {endpoints} }} }} }}"#);
    let program = crate::program::Launch::of("hello").file("appsettings.json", settings);
    let mut program = program.spawn();
    let mut told = [program.line("a certificate ").await, program.line("a certificate ").await];
    told.sort_by_key(|line| line.contains("has expired"));
    for (line, parts) in [
        (&told[0], ["expires in less than 14 days", "endpoints=\"A; B\"", "soon.crt", "not_after=\""]),
        (&told[1], ["has expired", "endpoints=\"D\"", "past.crt", " GMT\""]),
    ] {
        assert!(line.contains("WARN") && parts.iter().all(|part| line.contains(part)), "{line}");
    }
    // It may have started before the files were read.
    let started = "Content root path";
    if !program.seen().iter().any(|line| line.contains(started)) {
        program.line(started).await;
    }
    let end = program.stop().await;
    assert_eq!(end.stdout.iter().filter(|line| line.contains("a certificate ")).count(), 2, "{end:?}");
}
