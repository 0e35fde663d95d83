//! Kestrel with a tower service, and with `--access-log FORMAT` (`w3c`, `common`, `combined`, `json`) an access log around
//! it, whose lines go to `/dev/null`. Takes `--urls` as the hosted programs do.

use std::convert::Infallible;
use std::fs::OpenOptions;

use benches::Error;
use hosting::{AccessLog, AccessLogFormat, AccessLogLayer, AccessLogOptions};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response};
use server_abstractions::{App, Body, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};
use tower::{ServiceBuilder, service_fn};

async fn plaintext(_: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::from("Hello, World!"));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn app() -> Result<App, Error> {
    let service = service_fn(plaintext);
    let mut arguments = std::env::args().skip_while(|argument| argument != "--access-log").skip(1);
    let format = match arguments.next().as_deref() {
        None => return Ok(App::new(service)),
        Some("w3c") => AccessLogFormat::W3c,
        Some("common") => AccessLogFormat::Common,
        Some("combined") => AccessLogFormat::Combined,
        Some("json") => AccessLogFormat::Json,
        Some(other) => return Err(format!("{other:?} is no format of an access log").into()),
    };
    let options = AccessLogOptions { format, ..AccessLogOptions::default() };
    let log = AccessLog::to_writer(&options, OpenOptions::new().write(true).open("/dev/null")?)?;
    Ok(App::new(ServiceBuilder::new().layer(AccessLogLayer::new(&log)).service(service)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let app = app()?;
    let endpoints = vec![Endpoint::url(&benches::url()?)?];
    let kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let mut running = Box::new(kestrel).start(app).await?;
    running.finished().await?;
    Ok(())
}
