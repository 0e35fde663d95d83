//! What the configuration of an application switches on.

use std::sync::{Arc, Mutex};

use hosting::{
    Body, Request, Response, TestServer, WebApplication, WebApplicationBuilder, WebApplicationOptions,
};
use http::StatusCode;

use super::Seen;
use crate::layers::Captured;
use crate::program::{Folder, Launch, curl, free_port};
use crate::support::soon;

/// An application in memory with these settings, and what it has seen last.
async fn hosted(values: &[(&str, &str)]) -> (TestServer, Arc<Mutex<Option<Seen>>>) {
    let seen = Arc::new(Mutex::new(None));
    let last = seen.clone();
    let show = async move |request: Request<Body>| {
        *last.lock().unwrap() = Some(Seen::of(&request));
        Response::new(Body::from("seen"))
    };
    (soon(builder(values).start_test_server(show)).await.expect("starts"), seen)
}

fn builder(values: &[(&str, &str)]) -> WebApplicationBuilder {
    let folder = Folder::new();
    WebApplication::builder_with(WebApplicationOptions {
        arguments: Some(Vec::new()),
        content_root: Some(folder.path().to_owned()),
        values: values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        ..WebApplicationOptions::default()
    })
}

async fn status(server: &TestServer, fields: &[(&str, &str)]) -> StatusCode {
    let request =
        fields.iter().fold(Request::get("/"), |request, (name, value)| request.header(*name, *value));
    soon(server.client().send(request.body(Body::empty()).unwrap())).await.unwrap().status()
}

#[tokio::test]
async fn allowed_hosts_are_configured() {
    for (allowed, host, expected) in [
        (None, "any.example", 200),
        (Some(""), "any.example", 200),
        (Some("*"), "any.example", 200),
        (Some("example.com;*.example.com"), "www.example.com:80", 200),
        (Some("example.com;*.example.com"), "any.example", 400),
    ] {
        let values: Vec<_> = allowed.map(|allowed| ("AllowedHosts", allowed)).into_iter().collect();
        let (server, _) = hosted(&values).await;
        assert_eq!(status(&server, &[("host", host)]).await, expected, "{allowed:?} {host}");
    }
    for (key, value) in [("AllowedHosts", "a:80"), ("AllowedHosts:0", "a")] {
        let error = format!("{:?}", builder(&[(key, value)]).build(crate::support::hello).unwrap_err());
        assert!(error.contains("AllowedHosts"), "{error}");
    }
}

#[test]
fn hosts_that_cannot_be_allowed_fail_the_start_with_the_key_and_what_to_write() {
    for (hosts, advice) in [
        (".shop.example", "write shop.example;*.shop.example"),
        ("https://shop.example", "leave out the scheme"),
        ("shop.example,www.shop.example", "separated by ;"),
    ] {
        let error =
            format!("{:?}", builder(&[("AllowedHosts", hosts)]).build(crate::support::hello).unwrap_err());
        assert!(error.contains("AllowedHosts = ") && error.contains(advice), "{error}");
    }
}

#[tokio::test]
async fn a_list_without_hosts_allows_all_and_warns() {
    for (hosts, warns) in [("", false), ("*", false), (";", true), (" ; ", true)] {
        let captured = Captured::default();
        let _guard = captured.start();
        let (server, _) = hosted(&[("AllowedHosts", hosts)]).await;
        assert_eq!(
            captured.text().contains("it names no host, so every host is allowed"),
            warns,
            "{hosts:?}"
        );
        assert_eq!(status(&server, &[("host", "any.example")]).await, 200, "{hosts:?}");
    }
}

#[tokio::test]
async fn the_switch_for_forwarded_headers_believes_everyone_and_warns() {
    for (value, is_on) in [("true", true), ("TRUE", true), ("false", false)] {
        let captured = Captured::default();
        let _guard = captured.start();
        let (server, seen) = hosted(&[("FORWARDEDHEADERS_ENABLED", value)]).await;
        let warnings = captured.text().matches("believed from everyone").count();
        assert_eq!(warnings, usize::from(is_on));
        let fields = [
            ("x-forwarded-for", "6.6.6.6, 1.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
        ];
        assert_eq!(status(&server, &fields).await, 200);
        let seen = seen.lock().unwrap().take().unwrap();
        let expected = if is_on { (Some("1.1.1.1:0".to_owned()), "https") } else { (None, "http") };
        assert_eq!((seen.remote.map(|remote| remote.to_string()), &*seen.scheme), expected);
        assert_eq!(seen.header("host").as_deref(), Some("localhost"));
    }
    let error = format!(
        "{:?}",
        builder(&[("FORWARDEDHEADERS_ENABLED", "maybe")]).build(crate::support::hello).unwrap_err()
    );
    assert!(error.contains("FORWARDEDHEADERS_ENABLED = \"maybe\""), "{error}");
}

const MODULE: [(&str, &str); 3] =
    [("ASPNETCORE_PORT", "12345"), ("ASPNETCORE_APPL_PATH", "/app"), ("ASPNETCORE_TOKEN", "secret")];

#[tokio::test]
async fn a_module_pairs_before_hosts_are_looked_at_and_takes_one_entry() {
    let mut values = MODULE.to_vec();
    values.extend([
        ("AllowedHosts", "example.com"),
        ("FORWARDEDHEADERS_ENABLED", "true"),
        ("ASPNETCORE_IIS_HTTPAUTH", "windows;"),
    ]);
    let captured = Captured::default();
    let _guard = captured.start();
    let (server, seen) = hosted(&values).await;
    let log = captured.text();
    assert!(log.contains("requests are anonymous") && log.contains("has no effect"), "{log}");
    assert_eq!(status(&server, &[("host", "example.com")]).await, 400);
    let token = ("ms-aspnetcore-token", "secret");
    assert_eq!(status(&server, &[("host", "other"), token]).await, 400);
    assert_eq!(status(&server, &[("host", "example.com"), token]).await, 200);
    assert!(seen.lock().unwrap().take().is_some());
    // In memory the peer has no address, as through the module's Unix socket; it has the token.
    let addresses = ("x-forwarded-for", "9.9.9.9, 6.6.6.6");
    assert_eq!(status(&server, &[("host", "example.com"), token, addresses]).await, 200);
    assert_eq!(seen.lock().unwrap().take().unwrap().remote, "6.6.6.6:0".parse().ok());

    // The request of the module names another host.
    let request =
        Request::post("/app/iisintegration").header("host", "127.0.0.1:12345").header(token.0, token.1);
    let request = request.header("ms-aspnetcore-event", "shutdown").body(Body::empty()).unwrap();
    assert_eq!(soon(server.client().send(request)).await.unwrap().status(), 202);
    soon(server.host().lifetime().stopping().cancelled()).await;
}

#[tokio::test]
async fn a_module_says_where_to_listen_and_when_to_stop() {
    let port = free_port().to_string();
    let launch = Launch::hello()
        .env("ASPNETCORE_PORT", &port)
        .env("ASPNETCORE_APPL_PATH", "/")
        .env("ASPNETCORE_TOKEN", "secret");
    // Neither addresses nor endpoints nor a variable of another program win over it.
    let launch = launch
        .env("Kestrel__Endpoints__Own__Url", "http://127.0.0.1:0")
        .env("PORT", "1")
        .args(["--urls", "http://127.0.0.1:0"]);
    let program = launch.start().await;
    assert_eq!(program.urls(), [format!("http://127.0.0.1:{port}")]);
    let url = program.url("/iisintegration");
    assert_eq!(curl([url.as_str()]).await.status, 400);
    assert_eq!(curl(["-H", "MS-ASPNETCORE-TOKEN: secret", &program.url("/")]).await.status, 200);
    let shutdown =
        ["-X", "POST", "-H", "MS-ASPNETCORE-TOKEN: secret", "-H", "MS-ASPNETCORE-EVENT: shutdown", &url];
    assert_eq!(curl(shutdown).await.status, 202);
    assert_eq!(soon(program.end()).await.code, Some(0));
}
