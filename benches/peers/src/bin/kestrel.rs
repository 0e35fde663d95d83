//! Kestrel with its defaults: on the runtime that `#[tokio::main]` makes or, with `--per-core`, on threads of its own.
//! On cleartext it tells HTTP/2 by its preface, so `--h2c` changes nothing.

use std::path::PathBuf;
use std::process::ExitCode;

use bench_peers::{BINARY, BoxError, Message, Options, PLAIN, PLAINTEXT, exit_code, websocket};
use http_body_util::BodyExt;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use server_abstractions::{App, Body, Server};
use server_kestrel::{Endpoint, HttpsOptions, Kestrel, KestrelOptions, Threads};
use tower_http::services::ServeFile;

#[tokio::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&["tls", "file", "h2c", "per-core"])?;
    let mut endpoint = Endpoint::tcp(options.listen);
    if let Some(tls) = options.tls {
        endpoint = endpoint.https(HttpsOptions::pem_files(tls.certificate, tls.key));
    }
    let kestrel = Kestrel::new(KestrelOptions {
        endpoints: vec![endpoint],
        threads: if options.per_core { Threads::PerCore(None) } else { Threads::Shared },
        ..KestrelOptions::default()
    });
    let app = App::new(move |request| respond(options.file.clone(), request));
    Ok(Box::new(kestrel).start(app).await?.finished().await?)
}

async fn respond(file: Option<PathBuf>, request: Request<Body>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/plaintext") => ok(PLAIN, PLAINTEXT),
        (&Method::GET, "/json") => match serde_json::to_vec(&Message::HELLO) {
            Ok(json) => ok("application/json", json),
            Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
        },
        (&Method::GET, "/100k") => ok(BINARY, bench_peers::filler_100k()),
        (&Method::GET, "/10m") => ok(BINARY, bench_peers::filler_10m()),
        (&Method::POST, "/upload") => match length(request.into_body()).await {
            Ok(length) => ok(PLAIN, length.to_string()),
            Err(_) => status(StatusCode::BAD_REQUEST),
        },
        (&Method::GET, "/file") => send_file(file, request).await,
        (&Method::GET, "/ws") => websocket::upgrade(request).map(|_| Body::empty()),
        _ => status(StatusCode::NOT_FOUND),
    }
}

fn ok(content_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

async fn length(mut body: Body) -> Result<usize, BoxError> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, |data| data.len());
    }
    Ok(length)
}

async fn send_file(file: Option<PathBuf>, request: Request<Body>) -> Response<Body> {
    let Some(file) = file else { return status(StatusCode::NOT_FOUND) };
    let mut file = ServeFile::new_with_mime(file, &mime::APPLICATION_OCTET_STREAM);
    match file.try_call(request).await {
        Ok(response) => response.map(Body::new),
        Err(_) => status(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
