//! Kestrel with every default, on one thread. Takes `--urls` as the hosted programs do.

use benches::Error;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use server_abstractions::{App, Body, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};

async fn plaintext(_: Request<Body>) -> Response<Body> {
    let mut response = Response::new(Body::from("Hello, World!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let endpoints = vec![Endpoint::url(&benches::url()?)?];
    let kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let mut running = Box::new(kestrel).start(App::new(plaintext)).await?;
    running.finished().await?;
    Ok(())
}
