//! Kestrel with every default, on one thread. Ends with its standard input.

use server_abstractions::{App, Body, BoxError, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};

async fn plaintext(_: Request<Body>) -> Response<Body> {
    let mut response = Response::new(Body::from("Hello, World!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let endpoints = vec![Endpoint::url("http://127.0.0.1:0")?];
    let kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let running = Box::new(kestrel).start(App::new(plaintext)).await?;
    let port = running.addresses().first().and_then(server_abstractions::Address::port).unwrap_or_default();
    benches::announce(([127, 0, 0, 1], port).into());
    benches::until_input_ends().await?;
    running.stop(std::future::ready(())).await;
    Ok(())
}
