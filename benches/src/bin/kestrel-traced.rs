//! Kestrel with a tower service, and with `--layer` a span for each request around it; with `--listen` there is a subscriber
//! that keeps the spans while they last, as those of logs and tracers do. Takes `--urls` as the hosted programs do.

use std::convert::Infallible;

use benches::Error;
use hosting::RequestTraceLayer;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use server_abstractions::{App, Body, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};
use tower::{Layer, service_fn};

async fn plaintext(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Hello, World!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let has = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    if has("--listen") {
        tracing::subscriber::set_global_default(tracing_subscriber::registry())?;
    }
    let service = service_fn(plaintext);
    let app = if has("--layer") {
        App::new(RequestTraceLayer::default().layer(service))
    } else {
        App::new(service)
    };
    let endpoints = vec![Endpoint::url(&benches::url()?)?];
    let kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let mut running = Box::new(kestrel).start(app).await?;
    running.finished().await?;
    Ok(())
}
