//! The features: which protocol offers which, what they say, and how layers override them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::uri::Scheme;
use http::{Request, Response};
use server_abstractions::{
    App, Body, BoxFuture, Connection, ConnectionItemsFeature, ConnectionLifetimeFeature, EndpointFeature,
    FeatureCollection, Http2StreamIdFeature, HttpConnectionFeature, HttpContext, HttpExtendedConnectFeature,
    HttpMaxRequestBodySizeFeature, HttpMinRequestBodyDataRateFeature, HttpMinResponseDataRateFeature,
    HttpPathBaseFeature, HttpRequestBodyDetectionFeature, HttpRequestFeature, HttpRequestIdentifierFeature,
    HttpRequestLifetimeFeature, HttpRequestTrailersFeature, HttpResetFeature, HttpResponseTrailersFeature,
    HttpSchemeFeature, HttpUpgradeFeature, Next, PathBase, RequestFeatures, ServerAddressesFeature,
    TlsConnectionFeature, TlsHandshakeFeature, from_fn,
};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::support::{
    Certificate, Client, Http2, Memory, client_config, connect_tls, loopback, manual, options,
    socket_address, soon, start, status,
};
use crate::upgrade::UPGRADE;

/// The names of the features that are there, except those that every request has.
fn special(features: &FeatureCollection) -> String {
    let has = [
        ("upgrade", features.get::<dyn HttpUpgradeFeature>().is_some()),
        ("connect", features.get::<dyn HttpExtendedConnectFeature>().is_some()),
        ("trailers", features.get::<dyn HttpResponseTrailersFeature>().is_some()),
        ("reset", features.get::<dyn HttpResetFeature>().is_some()),
        ("read rate", features.get::<dyn HttpMinRequestBodyDataRateFeature>().is_some()),
        ("write rate", features.get::<dyn HttpMinResponseDataRateFeature>().is_some()),
        ("stream id", features.get::<dyn Http2StreamIdFeature>().is_some()),
        ("path base", features.get::<dyn HttpPathBaseFeature>().is_some()),
        ("tls", features.get::<dyn TlsConnectionFeature>().is_some()),
        ("handshake", features.get::<dyn TlsHandshakeFeature>().is_some()),
    ];
    has.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

/// Answers with the special features after it has seen the usual ones.
async fn which(request: Request<Body>) -> Response<Body> {
    let features = request.features();
    assert!(features.get::<dyn HttpRequestIdentifierFeature>().is_some());
    assert!(features.get::<dyn HttpRequestLifetimeFeature>().is_some());
    assert!(features.get::<dyn HttpRequestBodyDetectionFeature>().is_some());
    assert!(features.get::<dyn HttpMaxRequestBodySizeFeature>().is_some());
    assert!(features.get::<dyn HttpRequestTrailersFeature>().is_some());
    assert!(features.get::<dyn HttpSchemeFeature>().is_some());
    assert!(features.get::<dyn HttpConnectionFeature>().is_some());
    assert!(features.get::<dyn ConnectionItemsFeature>().is_some());
    assert!(features.get::<dyn ConnectionLifetimeFeature>().is_some());
    assert!(features.get::<dyn EndpointFeature>().is_some());
    assert!(features.get::<dyn ServerAddressesFeature>().is_some());
    let special = special(features);
    Response::builder().header("special", &special).body(Body::from(special)).unwrap()
}

#[tokio::test]
async fn each_protocol_offers_the_features_of_the_table() {
    let server = Memory::start(which).await;
    assert_eq!(server.client().await.get("/").await.text(), "read rate write rate");
    assert_eq!(server.client().await.exchange(UPGRADE).await.text(), "upgrade read rate write rate");
    let client = server.http2().await;
    assert_eq!(client.get("/").await.body, "trailers reset read rate write rate");
    client.settled().await;
    let mut connect = Request::connect("http://a/").body(()).unwrap();
    connect.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    let (response, _stream) = client.send(connect, true).await;
    // The bytes of an accepted CONNECT are not those of the response's body.
    assert_eq!(
        soon(response).await.unwrap().headers()["special"],
        "connect trailers reset read rate write rate"
    );
}

#[tokio::test]
async fn tls_adds_its_features_on_every_protocol() {
    let certificate = Certificate::new();
    let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), which).await;
    let tls = async |protocol| {
        let io = server.connector.connect().await.unwrap();
        connect_tls(io, client_config(&certificate, &[protocol])).await.unwrap()
    };
    assert_eq!(
        Client::new(tls("http/1.1").await).get("/").await.text(),
        "read rate write rate tls handshake"
    );
    assert_eq!(
        Http2::over_tls(tls("h2").await).await.get("/").await.body,
        "trailers reset read rate write rate tls handshake"
    );
}

async fn trace_id(request: Request<Body>) -> Response<Body> {
    let connection = request.features().get::<dyn HttpConnectionFeature>().unwrap();
    let context = HttpContext::of_request(&request);
    Response::new(Body::from(format!(
        "{} {}",
        connection.connection_id(),
        context.trace_identifier().unwrap()
    )))
}

#[tokio::test]
async fn a_trace_id_is_the_connection_and_the_number_of_the_request() {
    let server = Memory::start(trace_id).await;
    let mut ids = std::collections::HashSet::new();
    for _ in 0..3 {
        let mut client = server.client().await;
        for number in 1..=17 {
            let response = client.get("/").await;
            let (connection, trace) = response.text().split_once(' ').unwrap();
            assert_eq!(connection.len(), 13);
            assert!(connection.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'V')), "{connection}");
            assert_eq!(trace, format!("{connection}:{number:08X}"));
            ids.insert(connection.to_owned());
        }
    }
    assert_eq!(ids.len(), 3);
    let client = server.http2().await;
    for number in 1..=3 {
        assert!(client.get("/").await.body.ends_with(format!(":{number:08X}").as_bytes()));
    }
}

async fn count_on_connection(request: Request<Body>) -> Response<Body> {
    let feature = request.features().get::<dyn ConnectionItemsFeature>().unwrap();
    let mut items = feature.items();
    let count = items.get_or_insert_with(|| 0_u32);
    *count += 1;
    Response::new(Body::from(count.to_string()))
}

#[tokio::test]
async fn items_are_shared_by_the_requests_of_a_connection_and_by_nobody_else() {
    let server = Memory::start(count_on_connection).await;
    for _ in 0..2 {
        let mut client = server.client().await;
        for count in ["1", "2", "3"] {
            assert_eq!(client.get("/").await.text(), count);
        }
    }
    let client = server.http2().await;
    for count in ["1", "2", "3"] {
        assert_eq!(client.get("/").await.body, count);
    }
}

async fn endpoint(request: Request<Body>) -> Response<Body> {
    let feature = request.features().get::<dyn EndpointFeature>().unwrap();
    Response::new(Body::from(format!("{:?} {}", feature.name(), feature.address())))
}

#[tokio::test]
async fn a_request_knows_its_endpoint() {
    let running = start(options([loopback().name("one"), loopback()]), endpoint).await;
    for (address, name) in running.addresses().iter().zip([r#"Some("one")"#, "None"]) {
        let mut client = Client::tcp(socket_address(address)).await;
        assert_eq!(client.get("/").await.text(), format!("{name} {address}"));
    }
}

async fn addresses(request: Request<Body>) -> Response<Body> {
    let feature = request.features().get::<dyn HttpConnectionFeature>().unwrap();
    Response::new(Body::from(format!("{:?} {:?}", feature.local_address(), feature.remote_address())))
}

#[tokio::test]
async fn a_request_knows_both_ends_of_its_connection() {
    let running = start(options([loopback()]), addresses).await;
    let stream = TcpStream::connect(socket_address(&running.addresses()[0])).await.unwrap();
    let expected = format!("{:?} {:?}", stream.peer_addr().ok(), stream.local_addr().ok());
    assert_eq!(Client::new(stream).get("/").await.text(), expected);
    // There are none in memory.
    let server = Memory::start(addresses).await;
    assert_eq!(server.client().await.get("/").await.text(), "None None");
}

#[tokio::test]
async fn the_addresses_of_the_server_are_seen_from_a_request() {
    let app = |request: Request<Body>| async move {
        let feature = request.features().get::<dyn ServerAddressesFeature>().unwrap();
        let list: Vec<_> = feature.addresses().iter().map(ToString::to_string).collect();
        Response::new(Body::from(list.join(" ")))
    };
    let running = start(options([loopback(), loopback()]), app).await;
    let shown: Vec<_> = running.addresses().iter().map(ToString::to_string).collect();
    let mut client = Client::tcp(socket_address(&running.addresses()[0])).await;
    assert_eq!(client.get("/").await.text(), shown.join(" "));
}

async fn view(request: Request<Body>) -> Response<Body> {
    let text = [
        request.protocol(),
        request.scheme().as_str(),
        HttpRequestFeature::method(&request).as_str(),
        &request.path_base(),
        &request.path(),
        request.query_string(),
        &request.raw_target(),
    ]
    .join("|");
    Response::new(Body::from(text))
}

#[tokio::test]
async fn a_request_is_shown_as_the_original_shows_it() {
    let server = Memory::start(view).await;
    let mut client = server.client().await;
    for (line, shown) in [
        ("GET / HTTP/1.1", "HTTP/1.1|http|GET||/||/"),
        ("GET /a%20b/../c?x=%20&y HTTP/1.1", "HTTP/1.1|http|GET||/c|?x=%20&y|/a%20b/../c?x=%20&y"),
        ("GET /caf%C3%A9? HTTP/1.1", "HTTP/1.1|http|GET||/café|?|/caf%C3%A9?"),
        ("GET /a%2Fb HTTP/1.1", "HTTP/1.1|http|GET||/a%2Fb||/a%2Fb"),
        ("GET //a//b HTTP/1.1", "HTTP/1.1|http|GET||//a//b||//a//b"),
        ("OPTIONS * HTTP/1.1", "HTTP/1.1|http|OPTIONS||||*"),
        ("GET https://a/x?y HTTP/1.1", "HTTP/1.1|http|GET||/x|?y|https://a/x?y"),
        ("GET http://a HTTP/1.1", "HTTP/1.1|http|GET||/||http://a/"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", "HTTP/1.0|http|GET||/||/"),
    ] {
        assert_eq!(client.exchange(&format!("{line}\r\nHost: a\r\n\r\n")).await.text(), shown);
    }
    assert_eq!(server.http2().await.get("/a%20b?c").await.body, "HTTP/2|http|GET||/a b|?c|/a%20b?c");
}

#[tokio::test]
async fn the_scheme_is_that_of_the_transport() {
    let certificate = Certificate::new();
    let server = Memory::start_endpoint(|endpoint| endpoint.https(certificate.https()), view).await;
    for protocol in ["http/1.1", "h2"] {
        let io = server.connector.connect().await.unwrap();
        let tls = connect_tls(io, client_config(&certificate, &[protocol])).await.unwrap();
        let body = match protocol {
            "h2" => Http2::over_tls(tls).await.get("/").await.body,
            _ => Client::new(tls).get("/").await.body,
        };
        assert!(std::str::from_utf8(&body).unwrap().contains("|https|"), "{body:?}");
    }
}

/// A layer as forwarded headers are: it says where the client really is.
#[derive(Clone)]
struct Forwarded(App);

struct Client7(Arc<dyn HttpConnectionFeature>);

impl HttpConnectionFeature for Client7 {
    fn connection_id(&self) -> &str {
        self.0.connection_id()
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.0.local_address()
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        Some(([7, 7, 7, 7], 7).into())
    }
}

impl HttpSchemeFeature for Client7 {
    fn scheme(&self) -> Scheme {
        Scheme::HTTPS
    }
}

impl Service<Request<Body>> for Forwarded {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let original = request.features().get::<dyn HttpConnectionFeature>().unwrap();
        if request.uri().path() == "/forwarded" {
            let outer = request.features().clone();
            let feature = Arc::new(Client7(original));
            request.features_mut().set::<dyn HttpConnectionFeature>(feature.clone());
            request.features_mut().set::<dyn HttpSchemeFeature>(feature);
            let path_base =
                PathBase { path_base: "/base".to_owned(), raw_target: "/base/forwarded".to_owned() };
            request.features_mut().set::<dyn HttpPathBaseFeature>(Arc::new(path_base));
            // Who holds the features from before sees what there was before.
            assert_eq!(outer.get::<dyn HttpConnectionFeature>().unwrap().remote_address(), None);
        }
        let answer = self.0.handle(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

#[tokio::test]
async fn a_layer_overrides_features_for_what_lies_inside_it() {
    let app = |request: Request<Body>| async move {
        let context = HttpContext::of_request(&request);
        let id = request.features().get::<dyn HttpConnectionFeature>().unwrap().connection_id().len();
        let text = format!(
            "{:?} {} {}|{} {id}",
            context.remote_address(),
            context.scheme(),
            context.path_base(),
            context.raw_target()
        );
        Response::new(Body::from(text))
    };
    let server = Memory::start(Forwarded(App::new(app))).await;
    let mut client = server.client().await;
    let forwarded = "Some(7.7.7.7:7) https /base|/base/forwarded 13";
    assert_eq!(client.get("/forwarded").await.text(), forwarded);
    assert_eq!(client.get("/other").await.text(), "None http |/other 13");
    assert_eq!(client.get("/forwarded").await.text(), forwarded);
}

#[tokio::test]
async fn a_connection_layer_overrides_features_for_all_requests() {
    let layer = from_fn(|mut connection: Connection, next: Next| async move {
        let original = connection.features.get::<dyn HttpConnectionFeature>().unwrap();
        connection.features.set::<dyn HttpConnectionFeature>(Arc::new(Client7(original)));
        next.run(connection).await
    });
    let server = Memory::start_endpoint(|endpoint| endpoint.layer(layer), addresses).await;
    let mut client = server.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.text(), "None Some(7.7.7.7:7)");
    }
}

#[tokio::test]
async fn what_is_kept_of_a_request_stays_that_of_this_request() {
    let (app, mut calls) = manual();
    let server = Memory::start(app).await;
    let mut client = server.client().await;
    let mut kept = Vec::new();
    for number in 1..=3 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let call = soon(calls.recv()).await.unwrap();
        kept.push((call.features.clone(), call.aborted.clone()));
        call.answer(status(204));
        assert_eq!(client.response().await.status, 204);
        for (index, (features, _)) in kept.iter().enumerate() {
            let id = features.get::<dyn HttpRequestIdentifierFeature>().unwrap().trace_identifier();
            assert!(id.ends_with(&format!(":{:08X}", index + 1)), "{id} after {number}");
        }
    }
    // The fourth is given up, which is nothing to the others.
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut call = soon(calls.recv()).await.unwrap();
    drop(client);
    call.dropped().await;
    assert!(call.aborted.is_cancelled());
    assert!(kept.iter().all(|(_, aborted)| !aborted.is_cancelled()));
}
