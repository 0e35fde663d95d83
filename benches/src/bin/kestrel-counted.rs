//! Kestrel with every default on the runtime that `#[tokio::main]` makes, whose heap is counted: `/heap` answers how
//! many bytes live. Takes `--urls` as the hosted programs do, and `--tls ADDRESS CERTIFICATE.pem KEY.pem` to listen
//! with TLS as well.
//!
//! A program of its own, since to count costs each allocation some instructions.

use std::alloc::System;

use benches::Error;
use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use server_abstractions::{App, Body, Server};
use server_kestrel::{Endpoint, HttpsOptions, Kestrel, KestrelOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// glibc's allocator; what is asked of it is passed on as it is.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The answer at `/10m`, which lies in the program and not on its heap.
static LARGE: [u8; 10_485_760] = [b'x'; 10_485_760];

#[tokio::main]
async fn main() -> std::process::ExitCode {
    benches::exit_code(serve().await)
}

async fn serve() -> Result<(), Error> {
    benches::raise_open_files()?;
    let mut endpoints = vec![Endpoint::url(&benches::url()?)?];
    let mut tls = std::env::args().skip_while(|argument| argument != "--tls").skip(1);
    if let (Some(address), Some(certificate), Some(key)) = (tls.next(), tls.next(), tls.next()) {
        endpoints.push(Endpoint::tcp(address.parse()?).https(HttpsOptions::pem_files(certificate, key)));
    }
    let kestrel = Kestrel::new(KestrelOptions { endpoints, ..KestrelOptions::default() });
    let mut running = Box::new(kestrel).start(App::new(respond)).await?;
    running.finished().await?;
    Ok(())
}

async fn respond(request: Request<Body>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/plaintext") => Response::new(Body::from("Hello, World!")),
        (&Method::GET, "/10m") => Response::new(Body::from(Bytes::from_static(&LARGE))),
        (&Method::GET, "/heap") => Response::new(Body::from(live_heap().to_string())),
        (&Method::POST, "/upload") => match length(request.into_body()).await {
            Ok(length) => Response::new(Body::from(length.to_string())),
            Err(_) => status(StatusCode::BAD_REQUEST),
        },
        _ => status(StatusCode::NOT_FOUND),
    }
}

/// The bytes that were asked for and not given back.
fn live_heap() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

async fn length(mut body: Body) -> Result<usize, Error> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, |data| data.len());
    }
    Ok(length)
}
