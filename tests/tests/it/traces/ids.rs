//! Ids of requests.

use hosting::{Believed, RequestId, RequestIdLayer, RequestIdOptions, RequestTraceLayer, TrustedPeers};
use http::{HeaderName, HeaderValue, Request, Response};
use server_abstractions::{App, Body, HttpRequestIdentifierFeature, RequestFeatures};
use tower_layer::Layer;

use super::Spans;
use crate::support::{Client, start_on_tcp};

/// Answers with what the application sees: the extension, the field and the feature.
async fn show(request: Request<Body>) -> Response<Body> {
    let extension = request.extensions().get::<RequestId>().unwrap().as_str().to_owned();
    let field = request.headers()["x-request-id"].to_str().unwrap().to_owned();
    let feature = request.features().get::<dyn HttpRequestIdentifierFeature>().unwrap().trace_identifier();
    assert_eq!((extension.as_str(), feature.as_str()), (field.as_str(), field.as_str()));
    Response::new(Body::from(field))
}

fn layer(incoming: Believed) -> RequestIdLayer {
    RequestIdLayer::new(RequestIdOptions { incoming, ..RequestIdOptions::default() })
}

async fn id(client: &mut Client, fields: &str) -> String {
    let answer = client.exchange(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
    assert_eq!(answer.header("x-request-id"), Some(answer.text()), "{fields}");
    answer.text().to_owned()
}

#[tokio::test]
async fn a_response_tells_the_servers_id_of_its_request() {
    let (_running, address) = start_on_tcp(App::new(layer(Believed::Nobody).layer(App::new(show)))).await;
    let mut client = Client::tcp(address).await;
    assert!(id(&mut client, "").await.ends_with(":00000001"));
    let second = id(&mut client, "X-Request-Id: mine\r\n").await;
    assert!(second.ends_with(":00000002"), "nobody's ids are taken: {second}");
}

#[tokio::test]
async fn an_id_from_outside_is_taken_if_it_is_believed_and_well_formed() {
    for (believed, is_taken) in [
        (Believed::Everyone, true),
        (Believed::Peers(TrustedPeers::default()), true),
        (Believed::Peers(TrustedPeers { networks: Vec::new(), unix_sockets: true }), false),
    ] {
        let (_running, address) = start_on_tcp(App::new(layer(believed).layer(App::new(show)))).await;
        let mut client = Client::tcp(address).await;
        assert_eq!(id(&mut client, "x-request-id: mine-7\r\n").await == "mine-7", is_taken);
        let long = "a".repeat(128);
        assert_eq!(id(&mut client, &format!("x-request-id: {long}\r\n")).await == long, is_taken);
        for wrong in ["", "a b", "a\tb", "\u{e9}", &format!("{long}a"), "a\r\nx-request-id: b"] {
            let id = id(&mut client, &format!("x-request-id: {wrong}\r\n")).await;
            assert!(id.contains(":0000"), "{wrong:?}: {id}");
        }
    }
}

#[tokio::test]
async fn without_a_servers_id_it_is_that_of_the_trace_or_a_random_one() {
    let spans = Spans::default();
    let _guard = spans.start();
    let ids = App::new(RequestIdLayer::default().layer(App::new(show)));
    let random = ids.handle(Request::new(Body::empty())).await;
    assert_eq!(random.headers()["x-request-id"].len(), 32);
    let traced = App::new(RequestTraceLayer::default().layer(ids));
    let response = traced.handle(Request::new(Body::empty())).await;
    assert_eq!(response.headers()["x-request-id"], spans.one().field("trace_id"));
}

#[tokio::test]
async fn the_field_has_the_name_that_is_wanted_and_one_of_the_application_stays() {
    let header = HeaderName::from_static("x-correlation-id");
    let options = RequestIdOptions { header: header.clone(), ..RequestIdOptions::default() };
    let app = async |request: Request<Body>| {
        let mut response = Response::new(Body::empty());
        if request.uri().path() == "/own" {
            response.headers_mut().insert("x-correlation-id", HeaderValue::from_static("own"));
        }
        response
    };
    let app = App::new(RequestIdLayer::new(options).layer(App::new(app)));
    let request = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(app.handle(request("/own")).await.headers()[&header], "own");
    let response = app.handle(request("/")).await;
    assert_eq!(response.headers()[&header].len(), 32);
    assert!(!response.headers().contains_key("x-request-id"));
}
