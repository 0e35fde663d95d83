//! `ApplicationBuilder` with the layers that people use.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use hosting::server_abstractions::HttpRequestFeature;
use hosting::{App, ApplicationBuilder, Body, HeaderValue, Request, Response, StatusCode, TestServer};
use http::header::{HeaderName, ORIGIN};
use http_body_util::BodyExt;
use tower::ServiceBuilder;
use tower::limit::ConcurrencyLimitLayer;
use tower_http::cors::CorsLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::support::soon;

const STEPS: HeaderName = HeaderName::from_static("x-steps");

/// A layer that leaves its mark on the request.
fn step(name: &'static str) -> SetRequestHeaderLayer<HeaderValue> {
    SetRequestHeaderLayer::appending(STEPS, HeaderValue::from_static(name))
}

async fn steps(request: Request<Body>) -> Response<Body> {
    let steps: Vec<_> =
        request.headers().get_all(STEPS).iter().map(|step| step.to_str().expect("text")).collect();
    Response::new(Body::from(format!("{} {}|{}", steps.join(","), request.path_base(), request.path())))
}

async fn answer(app: App, path: &str) -> (StatusCode, String) {
    let server = soon(TestServer::start(app)).await.expect("starts");
    let response = soon(server.client().get(path)).await.expect("an answer");
    (response.status(), String::from_utf8(response.into_body().to_vec()).expect("text"))
}

fn pipeline() -> App {
    let branch = ApplicationBuilder::new().layer(step("branch")).map("/inner", steps).build_not_found();
    ApplicationBuilder::new()
        .layer(step("one"))
        .map("/branch", branch)
        .layer(step("two"))
        .use_when(|request| request.uri().query() == Some("when"), step("when"))
        .map_when(
            |request| request.uri().query() == Some("other"),
            async |_: Request<Body>| Response::new(Body::from("other")),
        )
        .layer(ServiceBuilder::new().layer(step("three")).layer(step("four")))
        .build(steps)
}

#[tokio::test]
async fn a_request_meets_the_steps_in_their_order() {
    for (path, expected) in [
        ("/", "one,two,three,four |/"),
        ("/x?when", "one,two,when,three,four |/x"),
        ("/x?other", "other"),
        ("/BRANCH/inner/y", "one,branch /BRANCH/inner|/y"),
        ("/branches", "one,two,three,four |/branches"),
    ] {
        assert_eq!(answer(pipeline(), path).await, (StatusCode::OK, expected.to_owned()), "{path}");
    }
    assert_eq!(answer(pipeline(), "/branch/z").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_path_of_many_dot_segments_is_mapped_without_ado() {
    let app = ApplicationBuilder::new().map("/api", steps).build_not_found();
    let path = format!("{}/api/y", "/a/..".repeat(8000));
    let request = Request::get(path).body(Body::empty()).expect("a request");
    // In a thread of its own, as no timeout stops one that calculates.
    let answering = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(app.handle(request))
    });
    let response = soon(answering).await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(body, " /api|/y");
}

#[tokio::test]
async fn a_router_below_a_path_base_sees_the_rest_of_the_path() {
    let router = Router::new()
        .route("/item/{id}", get(async |axum::extract::Path(id): axum::extract::Path<String>| id));
    let app = ApplicationBuilder::new().map("/shop", router).build_not_found();
    assert_eq!(answer(app, "/shop/item/a%2Fb?x=y").await, (StatusCode::OK, "a/b".to_owned()));
}

/// What a layer needs behind it that changes the type of the request's body.
fn boxed_body<B>(request: Request<B>) -> Request<Body>
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<hosting::BoxError>,
{
    request.map(Body::new)
}

#[tokio::test]
async fn layers_that_change_the_body_and_answer_themselves_fit() {
    let router = Router::new()
        .route("/slow", get(async || tokio::time::sleep(Duration::from_secs(60)).await))
        .route("/count", axum::routing::post(async |body: axum::body::Bytes| body.len().to_string()));
    let app = ApplicationBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CorsLayer::permissive())
        .layer(SetResponseHeaderLayer::overriding(http::header::SERVER, HeaderValue::from_static("own")))
        .layer(ConcurrencyLimitLayer::new(10))
        .layer(ServiceBuilder::new().layer(RequestBodyLimitLayer::new(1000)).map_request(boxed_body))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_millis(100)))
        .build(router);
    let server = soon(TestServer::start(app)).await.expect("starts");
    for client in [server.client(), server.http2_client()] {
        let response = soon(client.get("/slow")).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(response.headers()["server"], "own");
        let response = soon(client.post("/count", vec![0; 1000])).await.expect("an answer");
        assert_eq!(response.into_body(), "1000");
        let response = soon(client.post("/count", vec![0; 1001])).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let preflight = Request::options("/count")
            .header(ORIGIN, "http://a")
            .header("access-control-request-method", "POST")
            .body(Body::empty());
        let response = soon(client.send(preflight.expect("a request"))).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
    }
}

#[tokio::test]
async fn a_router_that_answers_413_by_itself_does_so_behind_the_servers_limit() {
    let router = Router::new()
        .route("/", axum::routing::post(async |body: axum::body::Bytes| body.len().to_string()))
        .layer(axum::extract::DefaultBodyLimit::disable());
    let folder = crate::program::Folder::new();
    let options = hosting::WebApplicationOptions {
        arguments: Some(Vec::new()),
        content_root: Some(folder.path().to_owned()),
        ..hosting::WebApplicationOptions::default()
    };
    let builder = hosting::WebApplication::builder_with(options)
        .kestrel(|options| options.limits.max_request_body_size = Some(1000));
    let server = soon(builder.start_test_server(router)).await.expect("starts");
    for client in [server.client(), server.http2_client()] {
        assert_eq!(soon(client.post("/", vec![0; 1000])).await.expect("an answer").into_body(), "1000");
        let response = soon(client.post("/", vec![0; 1001])).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
