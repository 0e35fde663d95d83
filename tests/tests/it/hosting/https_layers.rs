//! `HttpsRedirectionLayer` and `HstsLayer` around the pipeline and around a `Router`, over the real server.

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use hosting::server_abstractions::{RequestFeatures, Running, ServerAddresses, ServerAddressesFeature};
use hosting::{
    Address, App, ApplicationBuilder, Body, HeaderValue, HstsLayer, HstsOptions, HttpsRedirectionLayer,
    HttpsRedirectionOptions, Request, Response, StatusCode, TestServer, WebApplication,
    WebApplicationOptions,
};
use http::header::{HOST, LOCATION, STRICT_TRANSPORT_SECURITY};
use tokio::net::TcpStream;

use crate::layers::Captured;
use crate::program::Folder;
use crate::support::{
    Certificate, Client, Http2, Memory, client_config, collect, connect_tls, hello, loopback, options,
    socket_address, soon, start,
};

fn to_port(https_port: u16) -> HttpsRedirectionLayer {
    let https_port = Some(https_port);
    HttpsRedirectionLayer::new(HttpsRedirectionOptions { https_port, ..HttpsRedirectionOptions::default() })
}

/// A layer where people put it: in the pipeline, and on a router.
fn both_ways(layer: impl Fn() -> HttpsRedirectionLayer) -> [App; 2] {
    let router = Router::new().fallback(any(async || "Hello, World!"));
    [ApplicationBuilder::new().layer(layer()).build(hello), App::new(router.layer(layer()))]
}

/// What comes back: the status, and where it sends the client.
async fn answers(server: &TestServer, host: &str, target: &str) -> [(u16, Option<String>); 2] {
    let answer = async |client: hosting::TestClient| {
        let request = Request::get(target).header(HOST, host).body(Body::empty()).expect("a request");
        let response = soon(client.send(request)).await.expect("an answer");
        let location = response.headers().get(LOCATION);
        let location = location.map(|location| location.to_str().expect("text").to_owned());
        (response.status().as_u16(), location)
    };
    [answer(server.client()).await, answer(server.http2_client()).await]
}

#[tokio::test]
async fn a_request_over_http_is_sent_to_the_same_address_over_https() {
    for (port, host, target, location) in [
        (443, "example.com", "/", "https://example.com/"),
        (443, "example.com:80", "/", "https://example.com/"),
        (5001, "example.com", "/", "https://example.com:5001/"),
        (5001, "example.com:5000", "/a/b?c=d&e", "https://example.com:5001/a/b?c=d&e"),
        (443, "EXAMPLE.com", "/?", "https://EXAMPLE.com/?"),
        (443, "127.0.0.1:5000", "/", "https://127.0.0.1/"),
        (443, "[::1]", "/", "https://[::1]/"),
        (5001, "[2001:db8::7]:5000", "/x", "https://[2001:db8::7]:5001/x"),
        (443, "a", "/caf%C3%A9/a%2Fb%20c?q=%26%3F?/", "https://a/caf%C3%A9/a%2Fb%20c?q=%26%3F?/"),
        (443, "a", "/x/../y/./%2e%2E/", "https://a/x/../y/./%2e%2E/"),
        (443, "a", "//b.example/x", "https://a//b.example/x"),
    ] {
        for app in both_ways(|| to_port(port)) {
            let server = soon(TestServer::start(app)).await.expect("starts");
            let expected = (307, Some(location.to_owned()));
            assert_eq!(answers(&server, host, target).await, [expected.clone(), expected], "{host} {target}");
        }
    }
}

#[tokio::test]
async fn what_has_no_address_over_https_is_refused() {
    for app in both_ways(|| to_port(443)) {
        let server = soon(TestServer::start(app)).await.expect("starts");
        for (request, status, location) in [
            ("GET / HTTP/1.0\r\n\r\n", 400, None),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, None),
            ("GET / HTTP/1.1\r\nHost: [:]\r\n\r\n", 400, None),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400, None),
            ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 307, Some("https://a")),
            ("GET http://a:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", 307, Some("https://a/x?y")),
            ("GET https://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 307, Some("https://a/x")),
            ("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 307, Some("https://a/x")),
        ] {
            let mut client = Client::new(soon(server.connect()).await.expect("a connection"));
            let response = client.exchange(request).await;
            assert_eq!((response.status, response.header("location")), (status, location), "{request}");
            assert_eq!(response.text(), "", "{request}");
        }
    }
}

#[tokio::test]
async fn the_status_is_that_of_the_options_and_the_path_base_is_kept() {
    let status = StatusCode::PERMANENT_REDIRECT;
    let layer = HttpsRedirectionLayer::new(HttpsRedirectionOptions { status, https_port: Some(5001) });
    let branch = ApplicationBuilder::new().layer(layer).build(hello);
    let app = ApplicationBuilder::new().map("/shop", branch).build(hello);
    let server = soon(TestServer::start(app)).await.expect("starts");
    let expected = (308, Some("https://a:5001/%73hop/b%20c?d".to_owned()));
    assert_eq!(answers(&server, "a", "/%73hop/b%20c?d").await, [expected.clone(), expected]);
    assert_eq!(answers(&server, "a", "/other").await, [(200, None), (200, None)]);
}

/// A server that says it listens on these addresses.
async fn listening_on(addresses: &str, app: App) -> TestServer {
    let feature = ServerAddresses::new();
    feature.set_bound(Address::parse_list(addresses).expect("addresses"));
    let feature = Arc::new(feature);
    let told = move |mut request: Request<Body>, next: App| {
        request.features_mut().set::<dyn ServerAddressesFeature>(feature.clone());
        next.handle(request)
    };
    soon(TestServer::start(ApplicationBuilder::new().layer_fn(told).build(app))).await.expect("starts")
}

#[tokio::test]
async fn the_port_is_the_one_of_the_https_addresses() {
    const NONE: &str = "the server listens on no https address";
    const SEVERAL: &str = "the https addresses have several ports";
    for (addresses, location, warning) in [
        ("https://*:5001", Some("https://a:5001/x"), None),
        ("http://*:5000;https://localhost:5001;https://127.0.0.1:5001", Some("https://a:5001/x"), None),
        ("http://*:80;https://*:443", Some("https://a/x"), None),
        ("https://unix:/run/a.sock;https://*:5001", Some("https://a:5001/x"), None),
        ("https://*:5001;https://*:5002", None, Some(SEVERAL)),
        ("http://*:5000", None, Some(NONE)),
        ("https://unix:/run/a.sock", None, Some(NONE)),
        ("", None, Some(NONE)),
    ] {
        let expected = (if location.is_some() { 307 } else { 200 }, location.map(str::to_owned));
        for app in both_ways(HttpsRedirectionLayer::default) {
            let captured = Captured::default();
            let _guard = captured.start();
            let server = listening_on(addresses, app).await;
            let answers = answers(&server, "a", "/x").await;
            assert_eq!(answers, [expected.clone(), expected.clone()], "{addresses}");
            let log = captured.text();
            assert_eq!(log.matches("requests are not redirected").count(), usize::from(warning.is_some()));
            assert!(warning.is_none_or(|warning| log.contains(warning)), "{log}");
        }
    }
}

#[tokio::test]
async fn the_routes_of_a_router_share_one_port() {
    let captured = Captured::default();
    let _guard = captured.start();
    let router = Router::new().route("/a", get(async || "a")).route("/b", get(async || "b"));
    let server = soon(TestServer::start(router.layer(HttpsRedirectionLayer::default()))).await;
    let server = server.expect("starts");
    for path in ["/a", "/b", "/c"] {
        answers(&server, "a", path).await;
    }
    assert_eq!(captured.text().matches("requests are not redirected").count(), 1);
}

#[tokio::test]
async fn the_port_of_the_configuration_goes_before_the_addresses() {
    let folder = Folder::new();
    let settings = WebApplicationOptions {
        arguments: Some(["--https_port", "5002"].map(str::to_owned).into()),
        content_root: Some(folder.path().to_owned()),
        ..WebApplicationOptions::default()
    };
    let builder = WebApplication::builder_with(settings);
    let layer = HttpsRedirectionLayer::from_configuration(builder.configuration()).expect("a port");
    let server = soon(builder.pipeline(|steps| steps.layer(layer)).start_test_server(hello)).await;
    let expected = (307, Some("https://a:5002/".to_owned()));
    assert_eq!(answers(&server.expect("starts"), "a", "/").await, [expected.clone(), expected]);
}

#[tokio::test]
async fn the_port_of_a_real_server_is_found_and_https_passes() {
    for app in both_ways(HttpsRedirectionLayer::default) {
        let certificate = Certificate::new();
        let running: Running = start(options([loopback(), loopback().https(certificate.https())]), app).await;
        let [http, https] = [0, 1].map(|index| socket_address(&running.addresses()[index]));
        let response = Client::tcp(http).await.get("/x").await;
        let location = response.header("location").expect("a location");
        assert_eq!((response.status, location), (307, &*format!("https://a:{}/x", https.port())));

        let io = async || soon(TcpStream::connect(https)).await.expect("a connection");
        let tls = connect_tls(io().await, client_config(&certificate, &["http/1.1"])).await.expect("TLS");
        assert_eq!(Client::new(tls).get("/x").await.text(), "Hello, World!");
        let tls = connect_tls(io().await, client_config(&certificate, &["h2"])).await.expect("TLS");
        assert_eq!(Http2::over_tls(tls).await.get("/x").await.body, "Hello, World!");
    }
}

/// The layer in the pipeline and on a router, before apps that set the field themselves at `/own`.
fn strict(options: &HstsOptions) -> [App; 2] {
    const OWN: HeaderValue = HeaderValue::from_static("max-age=1");
    let own = async |request: Request<Body>| {
        let mut response = Response::new(Body::empty());
        if request.uri().path() == "/own" {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, OWN);
        }
        response
    };
    let layer = HstsLayer::new(options.clone());
    let router = Router::new()
        .route("/own", get(async || ([(STRICT_TRANSPORT_SECURITY, OWN)], "")))
        .fallback(async || StatusCode::NOT_FOUND);
    [ApplicationBuilder::new().layer(layer.clone()).build(own), App::new(router.layer(layer))]
}

/// The field over TLS in memory, by HTTP/1.1 and by HTTP/2.
async fn fields(app: &App, host: &str, path: &str) -> [Option<String>; 2] {
    let certificate = Certificate::new();
    let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), app.clone()).await;
    let tls = async |alpn: &str| {
        let io = soon(server.connector.connect()).await.expect("a connection");
        connect_tls(io, client_config(&certificate, &[alpn])).await.expect("TLS")
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let http1 = Client::new(tls("http/1.1").await).exchange(&request).await;
    let request = Request::get(format!("https://{host}{path}")).body(()).expect("a request");
    let (http2, _) = Http2::over_tls(tls("h2").await).await.send(request, true).await;
    let http2 = collect(http2).await.expect("an answer");
    let http2 = http2.headers.get(STRICT_TRANSPORT_SECURITY);
    [
        http1.header("strict-transport-security").map(str::to_owned),
        http2.map(|field| field.to_str().expect("text").to_owned()),
    ]
}

#[tokio::test]
async fn responses_over_https_tell_browsers_to_stay() {
    let defaults = HstsOptions::default();
    let named = HstsOptions { excluded_hosts: vec!["Example.com".to_owned()], ..HstsOptions::default() };
    let preload = HstsOptions { include_subdomains: true, preload: true, ..HstsOptions::default() };
    for (options, host, path, field) in [
        (&defaults, "example.com", "/", Some("max-age=2592000")),
        (&defaults, "example.com:5001", "/nothing", Some("max-age=2592000")),
        (&defaults, "[::2]:5001", "/", Some("max-age=2592000")),
        (&defaults, "example.com", "/own", Some("max-age=1")),
        (&defaults, "localhost", "/", None),
        (&defaults, "LOCALHOST:5001", "/", None),
        (&defaults, "127.0.0.1:5001", "/", None),
        (&defaults, "[::1]", "/", None),
        (&defaults, "[::1]:5001", "/", None),
        (&defaults, "localhost", "/own", Some("max-age=1")),
        (&defaults, "localhost.example", "/", Some("max-age=2592000")),
        (&named, "example.COM", "/", None),
        (&named, "localhost", "/", Some("max-age=2592000")),
        (&preload, "example.com", "/", Some("max-age=2592000; includeSubDomains; preload")),
    ] {
        for app in strict(options) {
            let expected = field.map(str::to_owned);
            assert_eq!(fields(&app, host, path).await, [expected.clone(), expected], "{host} {path}");
        }
    }
}

#[tokio::test]
async fn nothing_is_said_over_http() {
    for app in strict(&HstsOptions::default()) {
        let server = soon(TestServer::start(app)).await.expect("starts");
        for client in [server.client(), server.http2_client()] {
            let request = Request::get("/").header(HOST, "example.com").body(Body::empty());
            let response = soon(client.send(request.expect("a request"))).await.expect("an answer");
            assert_eq!(response.headers().get(STRICT_TRANSPORT_SECURITY), None);
        }
    }
}
