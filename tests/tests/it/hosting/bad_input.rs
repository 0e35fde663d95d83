//! What is wrong ends the program before it listens, with one line that names the thing and where it was written.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::program::{Folder, Launch};
use crate::support::Certificate;

#[track_caller]
fn assert_names(error: &str, expected: &[&str]) {
    for name in expected {
        assert!(error.contains(name), "{name:?} is not named: {error}");
    }
}

#[tokio::test]
async fn a_port_in_use() {
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", other.local_addr().expect("an address"));
    // The address before it is bound already when it fails, and is given up.
    let urls = format!("http://127.0.0.2:0;{url}");
    let error = Launch::of("hello").args(["--urls", &urls]).fail().await;
    assert_names(&error, &[&url, "the address is in use"]);
}

#[tokio::test]
async fn a_port_in_use_on_one_of_the_loopback_addresses() {
    let port = crate::program::free_port();
    let _other = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let url = format!("http://localhost:{port}");
    let error = Launch::of("hello").args(["--urls", &url]).fail().await;
    assert_names(&error, &[&port.to_string(), "the address is in use"]);
}

#[tokio::test]
async fn urls_that_are_none() {
    for (url, reason) in [
        ("nope", "it has no scheme"),
        ("ftp://localhost", "http or https"),
        ("http://127.0.0.1:x", "the port"),
        ("http://127.0.0.1:70000", "the port"),
        ("http://127.0.0.1:80/base", "path base"),
        ("http://", "the host is missing"),
        ("http://unix:relative.sock", "absolute"),
    ] {
        let launch = Launch::of("hello").args(["--urls", &format!("http://127.0.0.1:0;{url}")]);
        assert_names(&launch.fail().await, &["urls", "command line --urls", url, reason]);
    }
    let launch = Launch::of("hello").env("ASPNETCORE_URLS", "nope");
    assert_names(&launch.fail().await, &["nope", "environment variable ASPNETCORE_URLS"]);
    let launch = Launch::of("hello").file("appsettings.json", "{\n  \"Urls\": \"nope\" }");
    assert_names(&launch.fail().await, &["nope", "appsettings.json:2:"]);
    let profile = r#"{ "profiles": { "p": { "commandName": "Project", "applicationUrl": "nope" } } }"#;
    let error = Launch::of("hello").under_cargo(profile).fail().await;
    assert_names(&error, &["nope", "launch profile \"p\"", "launchSettings.json"]);
}

#[tokio::test]
async fn a_socket_that_cannot_be() {
    let error = Launch::of("hello").args(["--urls", "http://localhost:0"]).fail().await;
    assert_names(&error, &["http://localhost:0", "http://127.0.0.1:0"]);
    let error = Launch::of("hello").args(["--urls", "http://192.0.2.1:0"]).fail().await;
    assert_names(&error, &["http://192.0.2.1:0"]);
    let error = Launch::of("hello").args(["--urls", "http://unix:/nonexistent/hello.sock"]).fail().await;
    assert_names(&error, &["/nonexistent/hello.sock"]);
}

#[tokio::test]
async fn https_in_production_without_a_certificate() {
    let error = Launch::of("hello").args(["--urls", "https://127.0.0.1:0"]).fail().await;
    assert_names(&error, &["https://127.0.0.1:0", "Kestrel:Certificates:Default:Path", "Development"]);
}

async fn with_certificate(certificate: &Path, key: &Path) -> String {
    let variable = "Kestrel__Certificates__Default__";
    Launch::of("hello")
        .args(["--urls", "https://127.0.0.1:0"])
        .env(&format!("{variable}Path"), certificate)
        .env(&format!("{variable}KeyPath"), key)
        .fail()
        .await
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn pair(folder: &Folder, name: &str) -> (PathBuf, PathBuf) {
    let certificate = Certificate::new();
    (
        folder.write(&format!("{name}.crt"), certificate.pem),
        folder.write(&format!("{name}.key"), certificate.key_pem),
    )
}

#[tokio::test]
async fn certificates_that_cannot_be_used() {
    let folder = Folder::new();
    let (certificate, key) = pair(&folder, "one");
    let (_, other_key) = pair(&folder, "two");
    let missing = folder.path().join("missing.pem");
    let garbage = folder.write("garbage.pem", [0xff, 0, 0xfe, b'-', b'-']);
    let broken = folder.write("broken.pem", "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let not_der = folder.write("der.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

    for bad in [&missing, &folder.path().to_owned(), &garbage, &broken, &not_der, &key] {
        assert_names(&with_certificate(bad, &key).await, &[&shown(bad)]);
    }
    for bad in [&missing, &folder.path().to_owned(), &garbage, &certificate] {
        assert_names(&with_certificate(&certificate, bad).await, &[&shown(bad)]);
    }
    assert_names(&with_certificate(&certificate, &other_key).await, &[&shown(&certificate), "key"]);
}

#[tokio::test]
async fn a_key_that_the_user_may_not_read() {
    let folder = Folder::new();
    let (certificate, key) = pair(&folder, "one");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o000)).expect("our own file");
    // Root may read everything, so for root something else must be in the way.
    let key = if fs::read(&key).is_ok() { certificate.join("key") } else { key };
    assert_names(&with_certificate(&certificate, &key).await, &["cannot read the private key", &shown(&key)]);
}

#[tokio::test]
async fn a_certificate_of_an_endpoint_is_named_with_it() {
    let error = Launch::of("hello")
        .env("Kestrel__Endpoints__Web__Url", "https://127.0.0.1:0")
        .env("Kestrel__Endpoints__Web__Certificate__Path", "missing.pem")
        .env("Kestrel__Endpoints__Web__Certificate__KeyPath", "missing.pem")
        .fail()
        .await;
    assert_names(&error, &["missing.pem", "https://127.0.0.1:0 (endpoint \"Web\")"]);
    let error = Launch::of("hello")
        .env("ASPNETCORE_URLS", "https://127.0.0.1:0")
        .env("Kestrel__Certificates__Default__Path", "a.pem")
        .fail()
        .await;
    assert_names(&error, &["a.pem"]);
    let error = Launch::of("hello").env("Kestrel__Certificates__Default__KeyPath", "a.key").fail().await;
    assert_names(&error, &["Kestrel:Certificates:Default:Path"]);
}

#[tokio::test]
async fn keys_and_values_that_the_server_does_not_know() {
    for (argument, value, expected) in [
        ("Kestrel:Endpionts:Web:Url", "http://*:80", "Kestrel:Endpionts"),
        ("Kestrel:Endpoints:Web:Protocol", "Http1", "Kestrel:Endpoints:Web:Protocol"),
        ("Kestrel:AddServerHeader", "perhaps", "Kestrel:AddServerHeader = \"perhaps\""),
        ("Kestrel:Endpoints:Web:Url", "nope", "Kestrel:Endpoints:Web:Url = \"nope\""),
        ("shutdownTimeoutSeconds", "-5", "shutdownTimeoutSeconds = \"-5\""),
        ("shutdownTimeoutSeconds", "soon", "shutdownTimeoutSeconds = \"soon\""),
        ("shutdownGraceSeconds", "-5", "shutdownGraceSeconds = \"-5\""),
        ("preferHostingUrls", "perhaps", "preferHostingUrls = \"perhaps\""),
        ("suppressStatusMessages", "perhaps", "suppressStatusMessages = \"perhaps\""),
        ("Logging:LogLevel:Default", "Loud", "Logging:LogLevel:Default = \"Loud\""),
    ] {
        let switch = format!("--{argument}");
        let error = Launch::hello().args([&switch, value]).fail().await;
        assert_names(&error, &[expected, &format!("command line {switch}")]);
    }
    let error = Launch::of("hello").args(["--http_ports", "eighty"]).fail().await;
    assert_names(&error, &["http_ports = \"eighty\"", "command line --http_ports"]);
    let error = Launch::hello().args(["-u=http://127.0.0.1:0"]).fail().await;
    assert_names(&error, &["-u"]);
}

#[tokio::test]
async fn broken_files_are_named_with_line_and_column() {
    let error = Launch::hello().file("appsettings.json", "{\n  \"a\": }").fail().await;
    assert_names(&error, &["appsettings.json", "line 2, column 8"]);
    let launch = Launch::hello().file("appsettings.Production.json", "[]");
    assert_names(&launch.fail().await, &["appsettings.Production.json"]);
    let launch = Launch::hello().file("appsettings.json", b"{ \"a\": \"\xff\" }");
    assert_names(&launch.fail().await, &["appsettings.json"]);
    let error = Launch::hello().under_cargo("{\n \"profiles\" }").fail().await;
    assert_names(&error, &["Properties/launchSettings.json", "line 2, column 13"]);
    let wrong_type = r#"{ "profiles": { "p": { "commandName": "Project", "applicationUrl": [] } } }"#;
    let error = Launch::hello().under_cargo(wrong_type).fail().await;
    assert_names(&error, &["Properties/launchSettings.json", "line 1, column", "applicationUrl"]);
}

#[tokio::test]
async fn a_profile_that_is_not_there() {
    let settings = r#"{ "profiles": { "http": { "commandName": "Project" } } }"#;
    let error = Launch::hello().under_cargo(settings).args(["--launch-profile", "nope"]).fail().await;
    assert_names(&error, &["\"nope\"", "Properties/launchSettings.json", "\"http\""]);
    let launch = Launch::hello();
    let folder = launch.folder().to_owned();
    let error = launch.env("CARGO_MANIFEST_DIR", folder).args(["--launch-profile", "nope"]).fail().await;
    assert_names(&error, &["\"nope\"", "Properties/launchSettings.json"]);
    let error = Launch::hello().args(["--launch-profile"]).fail().await;
    assert_names(&error, &["--launch-profile"]);
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_told_with_its_key_and_place() {
    let (own, other) = (Certificate::new(), Certificate::new());
    let folder = Folder::new();
    folder.write("other.key", &other.key_pem);
    folder.write("text.pem", "not a certificate");
    let at = |file: &str| folder.path().join(file).display().to_string();
    let certificate = json!({ "Path": folder.write("own.pem", &own.pem), "KeyPath": folder.write("own.key", &own.key_pem) });
    let of_clients = |key: &str, value: serde_json::Value| json!({ "Certificate": certificate, "ClientCertificateMode": "RequireCertificate", key: value });
    for (endpoint, key, expected) in [
        (
            json!({ "Certificate": { "Path": at("missing.pem") } }),
            "Certificate:Path",
            "cannot read the certificate",
        ),
        (
            json!({ "Certificate": { "Path": at("text.pem") } }),
            "Certificate:Path",
            "contains no PEM certificate",
        ),
        (
            json!({ "Certificate": { "Path": at("own.pem"), "KeyPath": at("other.key") } }),
            "Certificate:Path",
            "the private key is not that of the certificate",
        ),
        (
            json!({ "Certificate": { "Subject": "nobody", "StoreFolder": folder.path() } }),
            "Certificate:Subject",
            "nobody",
        ),
        (
            json!({ "Certificate": certificate, "Sessions": { "TicketKeyFile": at("missing.keys") } }),
            "Sessions:TicketKeyFile",
            "cannot use the ticket keys",
        ),
        (of_clients("ClientCertificateRoots", json!(at("text.pem"))), "ClientCertificateRoots", "text.pem"),
        (
            of_clients("ClientCertificateRevocationLists", json!([at("missing.pem")])),
            "ClientCertificateRevocationLists",
            "missing.pem",
        ),
    ] {
        let mut settings = json!({ "Kestrel": { "Endpoints": { "A": endpoint } } });
        settings["Kestrel"]["Endpoints"]["A"]["Url"] = "https://127.0.0.1:0".into();
        let error = Launch::of("hello").file("appsettings.json", settings.to_string()).fail().await;
        for part in [&format!("Kestrel:Endpoints:A:{key} ("), "appsettings.json:1:", expected] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_misspelt_key_gets_the_one_that_was_meant() {
    // In a section of the host's own it fails the start; beside them it may be the application's own.
    let error = Launch::hello().file("appsettings.json", r#"{ "Kestrel": { "Endpoint": {} } }"#).fail().await;
    assert!(error.contains("Kestrel:Endpoint (") && error.contains("did you mean Endpoints?"), "{error}");
    let settings = r#"{ "Kestrell": { "Limits": {} }, "Shop": { "Endpoint": 1 } }"#;
    let end = Launch::hello().file("appsettings.json", settings).start().await.stop().await;
    let warnings: Vec<_> = end.stdout.iter().filter(|line| line.contains("did you mean")).collect();
    let [warning] = warnings[..] else { panic!("{end:?}") };
    for part in ["WARN", "Kestrell (", "appsettings.json:1:", "did you mean Kestrel?"] {
        assert!(warning.contains(part), "{part}: {warning}");
    }
}
