//! Host filtering: which requests pass, and what the others are told.

use server_abstractions::App;
use server_proxy_integration::{HostFilteringLayer, HostFilteringOptions};
use tokio::sync::watch;
use tower_layer::Layer;

use super::Probe;

/// Allowed hosts, and one that a request may name.
pub(super) const ALLOWED: &[(&str, &str)] = &[
    ("localHost", "localhost"),
    ("*", "anything"),
    ("[::]", "anything:80"),
    ("0.0.0.0", "anything"),
    ("example.com;*", "anything"),
    ("example.com;localHost", "localhost:9090"),
    ("*.exampLe.com", "foo.eXample.com:443"),
    ("*.exampLe.com", "f.eXample.com"),
    ("*.exampLe.com", "a.b.example.com"),
    ("127.0.0.1", "127.0.0.1"),
    ("127.0.0.1", "127.0.0.1:443"),
    ("點看", "xn--c1yn36f"),
    ("*.點看", "a.xn--c1yn36f:1"),
    ("[::ABC]", "[::aBc]"),
    ("[::1]", "[::1]:80"),
];

/// Allowed hosts, and one that a request may not name.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("localhost", "example.com"),
    ("example.com", ";"),
    ("example.com", ";:80"),
    ("example.com", ":80"),
    ("example.com", ":"),
    ("*.example.com", "example.com"),
    ("*.example.com", ".example.com"),
    ("*.example.com", "foo.com"),
    ("*.example.com", "foo.example.com.bar"),
    ("*.com", ".com"),
    ("[::1]", "[::1"),
    ("[::1]", "[::1:80"),
    ("點看", "點看"),
    ("example.com", "example.com:80a"),
];

fn filter(options: &HostFilteringOptions) -> impl FnOnce(App) -> App + use<> {
    let layer = HostFilteringLayer::new(options).unwrap();
    move |app| App::new(layer.layer(app))
}

/// The status for a host that Kestrel itself may refuse, so the layer is asked without a server.
async fn status(options: &HostFilteringOptions, host: &[u8]) -> u16 {
    let app = filter(options)(App::new(crate::support::hello));
    let host = http::HeaderValue::from_bytes(host).unwrap();
    app.handle(http::Request::get("/").header("host", host).body(Default::default()).unwrap())
        .await
        .status()
        .as_u16()
}

#[tokio::test]
async fn hosts_are_compared_without_port_and_case() {
    for (allowed, host) in ALLOWED {
        let options = HostFilteringOptions::from_list(allowed);
        assert_eq!(status(&options, host.as_bytes()).await, 200, "{allowed} {host}");
    }
    for (allowed, host) in REFUSED {
        let options = HostFilteringOptions::from_list(allowed);
        assert_eq!(status(&options, host.as_bytes()).await, 400, "{allowed} {host}");
    }
    let options = HostFilteringOptions::from_list(" example.com ;; ");
    assert_eq!(status(&options, b" example.com ").await, 200);
    assert_eq!(status(&options, b"\xff").await, 400);
}

#[tokio::test]
async fn a_refused_request_gets_a_small_page() {
    let mut options = HostFilteringOptions::from_list("example.com");
    let mut probe = Probe::start("", filter(&options)).await;
    let response = probe.send("GET /", &[("Host", "evil.example")]).await;
    assert_eq!((response.status, response.header("content-type")), (400, Some("text/html")));
    assert!(response.text().contains("Bad Request - Invalid Hostname"), "{}", response.text());
    assert_eq!(response.header("content-length"), Some(&*response.text().len().to_string()));
    assert!(probe.take().is_none());
    assert_eq!(probe.send("GET /", &[("Host", "example.com:81")]).await.status, 200);

    options.include_failure_message = false;
    let probe = Probe::start("", filter(&options)).await;
    let response = probe.send("GET /", &[("Host", "evil.example")]).await;
    assert_eq!((response.status, response.text(), response.header("content-type")), (400, "", None));
    // The authority of an absolute target and of HTTP/2 counts as well.
    assert_eq!(probe.send("GET http://evil.example/", &[("Host", "evil.example")]).await.status, 400);
    let request = http::Request::get("http://evil.example/").body(()).unwrap();
    let (answer, _) = probe.server.http2().await.send(request, true).await;
    assert_eq!(crate::support::collect(answer).await.unwrap().status, 400);
}

#[tokio::test]
async fn both_places_of_a_host_must_be_allowed() {
    let app = filter(&HostFilteringOptions::from_list("good"))(App::new(crate::support::hello));
    for (target, hosts, status) in [
        ("http://good/", &["evil"][..], 400),
        ("http://evil/", &["good"], 400),
        ("http://good/", &["good"], 200),
        ("http://evil@good/", &[], 200),
        ("http://good@evil/", &[], 400),
        ("/", &["good", "evil"], 400),
    ] {
        let request =
            hosts.iter().fold(http::Request::get(target), |request, host| request.header("host", *host));
        let response = app.handle(request.body(Default::default()).unwrap()).await;
        assert_eq!(response.status(), status, "{target} {hosts:?}");
    }
}

#[tokio::test]
async fn a_request_without_a_host_passes_if_it_may() {
    for (allow_empty_hosts, allowed, expected) in
        [(true, "example.com", 200), (true, "*", 200), (false, "example.com", 400), (false, "*", 400)]
    {
        let options = HostFilteringOptions { allow_empty_hosts, ..HostFilteringOptions::from_list(allowed) };
        let probe = Probe::start("", filter(&options)).await;
        assert_eq!(probe.send("GET /", &[("Host", "")]).await.status, expected, "{allowed}");
        let response = probe.client().await.exchange("GET / HTTP/1.0\r\n\r\n").await;
        assert_eq!(response.status, expected, "{allowed}");
    }
}

#[test]
fn a_layer_without_hosts_is_refused() {
    let error = HostFilteringLayer::new(&HostFilteringOptions::default()).unwrap_err().to_string();
    assert!(error.contains("HostFilteringOptions.allowed_hosts is empty"), "{error}");
    let error = HostFilteringLayer::new(&HostFilteringOptions::from_list("a:80")).unwrap_err().to_string();
    assert!(error.contains("\"a:80\"") && error.contains("port"), "{error}");
}

#[tokio::test]
async fn changed_options_are_used_at_once_and_bad_ones_are_not() {
    let (sender, receiver) = watch::channel(HostFilteringOptions::from_list("one"));
    let layer = HostFilteringLayer::reloading(receiver).unwrap();
    let probe = Probe::start("", |app| App::new(layer.layer(app))).await;
    let mut client = probe.client().await;
    let mut status =
        async |host: &str| client.exchange(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await.status;
    assert_eq!([status("one").await, status("two").await], [200, 400]);
    sender.send_replace(HostFilteringOptions::from_list("two"));
    assert_eq!([status("one").await, status("two").await], [400, 200]);
    sender.send_replace(HostFilteringOptions::default());
    assert_eq!([status("one").await, status("two").await], [400, 200]);
    // The last word counts also when nobody can say more.
    sender.send_replace(HostFilteringOptions::from_list("one"));
    drop(sender);
    assert_eq!([status("one").await, status("two").await], [200, 400]);
}
