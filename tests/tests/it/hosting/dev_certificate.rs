//! The certificate that a program makes for itself in Development.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::{Folder, Launch, Program, curl, output_of};

async fn start(data: &Folder) -> Program {
    let launch = Launch::of("hello").data(data).env("ASPNETCORE_ENVIRONMENT", "Development");
    launch.args(["--urls", "https://127.0.0.1:0"]).start().await
}

/// Asks the program by the name `localhost`, trusting nothing but the certificate in the folder.
async fn assert_trusted(program: &Program, data: &Folder) {
    let port = program.address().port();
    let trusted = data.path().join("server-kestrel/dev-certs/localhost.crt").display().to_string();
    let resolve = format!("localhost:{port}:127.0.0.1");
    let url = format!("https://localhost:{port}/");
    let answer = curl(["--cacert", &trusted, "--resolve", &resolve, &url]).await;
    assert_eq!((answer.version.as_str(), answer.text()), ("HTTP/2", "Hello, World!"));
    curl(["--cacert", &trusted, &format!("https://127.0.0.1:{port}/")]).await;
}

fn says_that_it_made_one(program: &Program) -> bool {
    program.seen().iter().any(|line| line.contains("made a development certificate"))
}

#[tokio::test]
async fn it_is_made_on_first_use_and_used_again() {
    let data = Folder::new();
    let program = start(&data).await;
    assert!(says_that_it_made_one(&program));
    assert_trusted(&program, &data).await;
    program.stop().await;

    let folder = data.path().join("server-kestrel/dev-certs");
    let mode = |name: &str| fs::metadata(folder.join(name)).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode("localhost.pem"), 0o600);
    assert_eq!(mode("."), 0o700);
    let made = fs::read(folder.join("localhost.pem")).expect("a file");

    let again = start(&data).await;
    assert!(!says_that_it_made_one(&again));
    assert_trusted(&again, &data).await;
    assert_eq!(fs::read(folder.join("localhost.pem")).expect("a file"), made);
}

#[tokio::test]
async fn a_file_that_is_no_certificate_is_replaced() {
    let data = Folder::new();
    data.write("server-kestrel/dev-certs/localhost.pem", "broken");
    let program = start(&data).await;
    assert!(says_that_it_made_one(&program));
    assert_trusted(&program, &data).await;
}

#[tokio::test]
async fn it_names_what_a_developer_calls_the_machine() {
    let data = Folder::new();
    start(&data).await.stop().await;
    let certificate = data.path().join("server-kestrel/dev-certs/localhost.crt").display().to_string();
    let text = output_of("openssl", ["x509", "-noout", "-text", "-in", &certificate]).await;
    for part in [
        "Subject: CN = localhost",
        "DNS:localhost, DNS:*.dev.localhost, DNS:*.dev.internal, DNS:host.docker.internal, DNS:host.containers.internal",
        "IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
        "CA:FALSE",
        "Digital Signature",
        "TLS Web Server Authentication",
        "1.3.6.1.4.1.311.84.1.1",
        "NIST CURVE: P-256",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let key = data.path().join("server-kestrel/dev-certs/localhost.pem").display().to_string();
    output_of("openssl", ["pkey", "-noout", "-check", "-in", &key]).await;
}

#[tokio::test]
async fn programs_that_start_at_once_use_the_same_one() {
    let data = Folder::new();
    let (one, two, three, four) = tokio::join!(start(&data), start(&data), start(&data), start(&data));
    for program in [one, two, three, four] {
        assert_trusted(&program, &data).await;
    }
}

#[tokio::test]
async fn without_a_place_for_it_the_start_fails() {
    let launch = || {
        let launch = Launch::of("hello").env("ASPNETCORE_ENVIRONMENT", "Development");
        launch.args(["--urls", "https://127.0.0.1:0"])
    };
    let error = launch().env("HOME", "").env("XDG_DATA_HOME", "").fail().await;
    assert!(error.contains("Kestrel:Certificates:Default:Path"), "{error}");
    let error = launch().env("XDG_DATA_HOME", "/dev/null").fail().await;
    assert!(error.contains("/dev/null/server-kestrel/dev-certs"), "{error}");
}

/// Asks the program by the name `localhost`, trusting nothing but this certificate.
async fn assert_shows(program: &Program, certificate: &str) {
    let resolve = format!("localhost:{}:127.0.0.1", program.address().port());
    let url = format!("https://localhost:{}/", program.address().port());
    let answer = curl(["--cacert", certificate, "--resolve", &resolve, &url]).await;
    assert_eq!(answer.text(), "Hello, World!");
}

#[tokio::test]
async fn one_that_was_exported_for_the_application_is_used_by_its_password() {
    let data = Folder::new();
    let made = crate::support::Certificate::new();
    let certificate = data.write("own.crt", &made.pem).display().to_string();
    let key = data.write("own.key", &made.key_pem).display().to_string();
    let launch = || {
        let launch = Launch::of("hello").data(&data).args(["--urls", "https://127.0.0.1:0"]);
        launch.env("Kestrel__Certificates__Development__Password", "secret")
    };
    let place = data.path().join("server-kestrel/https/hello.pfx").display().to_string();
    let error = launch().fail().await;
    assert!(error.contains("Kestrel:Certificates:Development:Password") && error.contains(&place), "{error}");

    data.write("server-kestrel/https/hello.pfx", "");
    let export =
        ["pkcs12", "-export", "-in", &certificate, "-inkey", &key, "-passout", "pass:secret", "-out"];
    output_of("openssl", export.into_iter().chain([&place[..]])).await;
    assert_shows(&launch().start().await, &certificate).await;
    let error = launch().env("Kestrel__Certificates__Development__Password", "wrong").fail().await;
    assert!(error.contains("is the password right?"), "{error}");
}

#[tokio::test]
async fn a_certificate_is_found_in_the_store_of_the_user() {
    let data = Folder::new();
    let made = crate::support::Certificate::new();
    let certificate = data.write("server-kestrel/certificates/My/own.crt", &made.pem).display().to_string();
    data.write("server-kestrel/certificates/My/own.key", &made.key_pem);
    let launch = |subject: &str| {
        let launch = Launch::of("hello").data(&data).args(["--urls", "https://127.0.0.1:0"]);
        launch.env("Kestrel__Certificates__Default__Subject", subject)
    };
    // What the tests' certificates are called by the library that makes them.
    assert_shows(&launch("rcgen self signed").start().await, &certificate).await;
    let error = launch("somebody else").fail().await;
    assert!(error.contains("server-kestrel/certificates/My: none of these can be used: own.crt"), "{error}");
}
