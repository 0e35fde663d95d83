//! An axum `Router` with tower-http layers, served by Kestrel and hosted: `cargo run -p axum-app`.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Path};
use axum::http::HeaderName;
use axum::routing::{get, post};
use axum::{Json, Router};
use hosting::WebApplication;
use serde_json::{Value, json};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::TraceLayer;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn router() -> Router {
    Router::new()
        .route("/", get(async || "Hello from axum"))
        .route("/greet/{name}", get(greet))
        .route("/echo", post(async |Json(value): Json<Value>| Json(value)))
        .layer(PropagateRequestIdLayer::new(REQUEST_ID))
        .layer(TraceLayer::new_for_http())
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
}

async fn greet(Path(name): Path<String>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Json<Value> {
    Json(json!({ "greeting": format!("Hello, {name}"), "you": peer.to_string() }))
}

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    WebApplication::builder().build(router())?.run().await
}
