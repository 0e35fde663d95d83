//! The yardstick: hyper's HTTP/1.1 and nothing else, on a runtime of one thread or, with `--multi-thread`, on the
//! runtime that `#[tokio::main]` makes. Takes `--urls` as the hosted programs do.

use std::convert::Infallible;

use benches::Error;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The handler's future owns the request, as any handler does that looks at it.
async fn plaintext(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response.headers_mut().insert(SERVER, HeaderValue::from_static("Kestrel"));
    drop(request);
    Ok(response)
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let mut builder = if has("--multi-thread") {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let mut engine = http1::Builder::new();
    engine.header_read_timeout(None).pipeline_flush(has("--pipeline-flush"));
    builder.enable_all().build()?.block_on(serve(benches::url()?, engine))
}

async fn serve(url: String, engine: http1::Builder) -> Result<(), Error> {
    let listener = TcpListener::bind(url.trim_start_matches("http://")).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        tokio::spawn(engine.serve_connection(TokioIo::new(stream), service_fn(plaintext)));
    }
}
