//! Who sees the page.

use std::time::Duration;

use hosting::{Diagnostics, DiagnosticsOptions};
use http::Request;
use http_body_util::BodyExt as _;
use server_abstractions::{App, Body};
use server_kestrel::{Endpoint, Kestrel, ProxyProtocolOptions};
use tower_layer::Layer;

use super::{ON, app, ask, builder, builder_in, client, running};
use crate::layers::Captured;
use crate::program::Folder;
use crate::support::{Client, Memory, hello, loopback, options, socket_address, soon, start};

#[tokio::test]
async fn there_is_no_page_unless_it_is_switched_on() {
    let host = builder(&[("urls", "http://127.0.0.1:0")]).build(app).unwrap().start().await.unwrap();
    for path in ["/_diagnostics", "/_diagnostics/data"] {
        assert_eq!(ask(&mut client(&host).await, path, "").await.text(), "the application");
    }
}

#[tokio::test]
async fn the_page_is_closed_to_everything_from_elsewhere() {
    let host = running(&[]).await;
    let mut client = client(&host).await;
    let (first, second) =
        (ask(&mut client, "/_diagnostics", "").await, ask(&mut client, "/_diagnostics", "").await);
    let nonce = |answer: &crate::support::Response| {
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        assert!(
            policy.starts_with("default-src 'none';") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        nonce
    };
    let (one, two) = (nonce(&first), nonce(&second));
    assert!(one.len() == 32 && one != two);
    assert_eq!(first.text().matches(&format!("nonce=\"{one}\"")).count(), 2, "its style and its script");
    assert_eq!(first.text().matches("<script").count(), 1);
    for elsewhere in ["http://", "https://", "//cdn", "src=", "href=", "@import", "url(", "innerHTML", "{{"] {
        let known = if elsewhere == "http://" { "http://www.w3.org/2000/svg" } else { "\0" };
        assert!(!first.text().replace(known, "").contains(elsewhere), "{elsewhere}");
    }
    for path in ["/_diagnostics", "/_diagnostics/data"] {
        let answer = ask(&mut client, path, "Origin: http://localhost:1\r\n").await;
        for (field, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(answer.header(field), Some(value), "{path} {field}");
        }
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    let post = "POST /_diagnostics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let answer = client.exchange(post).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
    for path in ["/_diagnosticsX", "/_diagnostics/", "/_diagnostics/other"] {
        assert_eq!(ask(&mut client, path, "").await.text(), "the application", "{path}");
    }
}

#[tokio::test]
async fn strangers_get_what_the_application_answers_and_are_told_of_once() {
    let captured = Captured::default();
    let _guard = captured.start();
    let host = running(&[("ForwardedHeaders_Enabled", "true"), ("RequestIds:Enabled", "true")]).await;
    let mut client = client(&host).await;
    for path in ["/_diagnostics", "/_diagnostics/data"] {
        for field in [
            "X-Forwarded-For: 192.0.2.7",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Port: 80",
            "X-Original-Proto: http",
            "Forwarded: for=127.0.0.1",
            "Via: 1.1 proxy",
            "X-Real-IP: 127.0.0.1",
            "CF-Connecting-IP: 192.0.2.7",
            "True-Client-IP: 192.0.2.7",
            "X-Client-IP: 192.0.2.7",
        ] {
            let answer = ask(&mut client, path, &format!("{field}\r\n")).await;
            assert_eq!((answer.status, answer.text()), (200, "the application"), "{path} {field}");
            assert!(answer.header("x-request-id").is_some(), "{path} {field}");
        }
    }
    // Each of them could fill a log otherwise.
    assert_eq!(captured.text().matches("asked for and not shown").count(), 1, "{}", captured.text());
    assert!(captured.text().contains("the request came through a proxy"), "{}", captured.text());
    let answer = ask(&mut client, "/_diagnostics", "").await;
    assert!(answer.text().contains("<title>") && answer.header("x-request-id").is_some());
}

#[test]
fn outside_of_development_it_needs_an_endpoint_or_to_be_open() {
    for environment in ["Production", "Staging", "Own"] {
        let error = format!("{:?}", builder_in(environment, &[ON]).build(app).unwrap_err());
        assert!(error.contains("Diagnostics:Enabled") && error.contains("Diagnostics:Endpoint"), "{error}");
    }
    for values in [
        &[ON, ("Diagnostics:AllowRemote", "true")][..],
        &[ON, ("Diagnostics:Endpoint", "Admin"), ("Kestrel:Endpoints:Admin:Url", "http://127.0.0.1:0")],
        &[("Diagnostics:Enabled", "false")],
    ] {
        let built = builder_in("Production", values).build(app);
        assert!(built.is_ok(), "{values:?}: {built:?}");
    }
}

#[tokio::test]
async fn the_page_is_in_the_access_log_as_every_request_is() {
    let folder = Folder::new();
    let directory = folder.path().join("logs");
    let host = running(&[
        ("AccessLog:LogDirectory", directory.to_str().unwrap()),
        ("AccessLog:LoggingFields:0", "UriStem"),
        ("AccessLog:LoggingFields:1", "ProtocolStatus"),
    ])
    .await;
    let mut client = client(&host).await;
    assert_eq!(ask(&mut client, "/_diagnostics", "").await.status, 200);
    assert_eq!(ask(&mut client, "/_diagnostics/data", "Via: 1.1 a\r\n").await.text(), "the application");
    soon(host.stop()).await;
    let text = std::fs::read_to_string(directory.join("access.log")).unwrap();
    assert!(text.ends_with("\n/_diagnostics 200\n/_diagnostics/data 200\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn many_who_look_on_cost_as_much_as_one() {
    let (_, app) = diagnosed(DiagnosticsOptions { allow_remote: true, ..DiagnosticsOptions::default() });
    let data = async || {
        let request = Request::get("/_diagnostics/data").body(Body::empty()).unwrap();
        app.handle(request).await.into_body().collect().await.unwrap().to_bytes()
    };
    let (one, two) = tokio::join!(data(), data());
    assert_eq!(one, two);
    tokio::time::advance(Duration::from_millis(499)).await;
    assert_eq!(one, data().await);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_ne!(one, data().await, "half a second is long enough");
}

#[tokio::test]
async fn other_names_and_other_sites_are_told_what_to_do() {
    let host = running(&[]).await;
    let mut client = client(&host).await;
    for (head, status) in [
        ("Host: evil.example", 403),
        ("Host: localhost.evil.example", 403),
        ("Host: evil.example\r\nSec-Fetch-Site: same-origin", 403),
        ("Host: 10.0.0.1", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
        ("Host: localhost\r\nSec-Fetch-Site: same-site", 403),
        ("Host: localhost\r\nSec-Fetch-Site: same-origin", 200),
        ("Host: localhost\r\nSec-Fetch-Site: none", 200),
        ("Host: 127.0.0.1:5000", 200),
        ("Host: [::1]", 200),
    ] {
        let answer = client.exchange(&format!("GET /_diagnostics/data HTTP/1.1\r\n{head}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{head}");
        if status == 403 {
            assert!(answer.text().contains("localhost") || answer.text().contains("another site"), "{head}");
        }
    }
}

/// A server with the page around the app, in front of the options' own ways.
fn diagnosed(options: DiagnosticsOptions) -> (Diagnostics, App) {
    let diagnostics = Diagnostics::new(options).unwrap();
    let app = App::new(diagnostics.layer().layer(App::new(hello)));
    (diagnostics, app)
}

#[tokio::test]
async fn only_sockets_of_this_machine_are_local() {
    let (_, app) = diagnosed(DiagnosticsOptions::default());
    // In memory, and on a Unix socket, nobody knows who it is.
    let memory = Memory::start(app.clone()).await;
    assert_eq!(ask(&mut memory.client().await, "/_diagnostics", "").await.text(), "Hello, World!");
    let folder = Folder::new();
    let path = folder.path().join("a.sock");
    let proxied = loopback().proxy_protocol(ProxyProtocolOptions::default());
    let server = start(options([proxied, Endpoint::unix(&path)]), app).await;
    assert_eq!(ask(&mut Client::unix(&path).await, "/_diagnostics", "").await.text(), "Hello, World!");
    // A proxy may tell any client.
    let address = socket_address(&server.addresses()[0]);
    for header in [
        "PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n",
        "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n",
        "PROXY UNKNOWN\r\n",
    ] {
        let mut client = Client::tcp(address).await;
        client.send(header).await;
        assert_eq!(ask(&mut client, "/_diagnostics", "").await.text(), "Hello, World!", "{header}");
    }
}

#[tokio::test]
async fn it_can_be_opened_and_that_warns() {
    let captured = Captured::default();
    let _guard = captured.start();
    let host = running(&[("Diagnostics:AllowRemote", "true"), ("Diagnostics:Path", "/admin/now")]).await;
    let warned = "Diagnostics:AllowRemote is true: everyone who can reach the application";
    assert!(captured.text().contains(warned), "{}", captured.text());
    let mut client = client(&host).await;
    let asked = "GET /admin/now/data HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n";
    assert_eq!(client.exchange(asked).await.status, 200);
    assert!(ask(&mut client, "/admin/now", "").await.text().contains("data-path=\"/admin/now\""));
    assert_eq!(ask(&mut client, "/_diagnostics", "").await.text(), "the application");
}

#[tokio::test]
async fn it_can_be_for_one_endpoint() {
    let values = [
        ON,
        ("Diagnostics:Endpoint", "Admin"),
        ("Kestrel:Endpoints:Admin:Url", "http://127.0.0.1:0"),
        ("Kestrel:Endpoints:Web:Url", "http://127.0.0.1:0"),
    ];
    let host = builder_in("Production", &values).build(app).unwrap().start().await.unwrap();
    let addresses: Vec<_> = host.addresses().iter().map(socket_address).collect();
    let answer = ask(&mut Client::tcp(addresses[0]).await, "/_diagnostics", "").await;
    assert!(answer.text().contains("<title>"), "Admin stands before Web: {}", answer.text());
    let answer = ask(&mut Client::tcp(addresses[1]).await, "/_diagnostics", "").await;
    assert_eq!(answer.text(), "the application");
}

#[test]
fn what_cannot_be_obeyed_fails_the_start_with_the_key() {
    for (values, told) in [
        (&[("Diagnostics:Enabled", "perhaps")][..], "Diagnostics:Enabled"),
        (&[("Diagnostics:Path", "now")], "Diagnostics:Path"),
        (&[("Diagnostics:Path", "/now/")], "Diagnostics:Path"),
        (&[("Diagnostics:Path", "/a\"b")], "Diagnostics:Path"),
        (&[("Diagnostics:AllowRemote", "me")], "Diagnostics:AllowRemote"),
        (&[ON, ("Diagnostics:Endpoint", "Admin")], "Diagnostics:Endpoint"),
        (&[("Diagnostics:Paht", "/now")], "Diagnostics:Paht"),
    ] {
        let error = format!("{:?}", builder(values).build(app).unwrap_err());
        assert!(error.contains(told), "{values:?}: {error}");
    }
    let wrong = DiagnosticsOptions { path: "/".to_owned(), ..DiagnosticsOptions::default() };
    assert!(Diagnostics::new(wrong).unwrap_err().to_string().contains("cannot be at \"/\""));
}

#[tokio::test]
async fn a_server_of_ones_own_can_have_the_page() {
    let (diagnostics, app) = diagnosed(DiagnosticsOptions::default());
    let server =
        Kestrel::new(options([loopback()])).observer(diagnostics.observer()).start(app).await.unwrap();
    let mut client = Client::tcp(socket_address(&server.addresses()[0])).await;
    client.get("/").await;
    let answer = ask(&mut client, "/_diagnostics/data", "").await;
    let data: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&data["totals"]["requests"], &data["connections"]["count"]), (&1.into(), &1.into()));
    assert_eq!(data["limits"].as_array().unwrap().len(), 0, "nobody has told");
}
