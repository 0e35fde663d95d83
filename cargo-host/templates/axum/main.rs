use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use hosting::WebApplication;
use serde::Serialize;

#[derive(Serialize)]
struct Greeting {
    message: String,
}

fn router() -> Router {
    Router::new().route("/", get(async || "Hello, World!")).route("/hello/{name}", get(hello))
}

async fn hello(Path(name): Path<String>) -> Json<Greeting> {
    Json(Greeting { message: format!("Hello, {name}!") })
}

#[tokio::main]
async fn main() -> Result<(), hosting::Error> {
    WebApplication::builder().build(router())?.run().await
}
