//! hyper with nothing around: one accept loop on the runtime that `#[tokio::main]` makes or, with `--per-core`, a
//! runtime of one thread and a listener for each core. HTTP/2 is served where ALPN says so, or to all with `--h2c`.

use std::convert::Infallible;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::{io, thread};

use bench_peers::{BINARY, BoxError, Message, Options, PLAIN, PLAINTEXT, Tls, cores, exit_code, websocket};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tower_http::services::ServeFile;
use tower_http::services::fs::ServeFileSystemResponseBody;

type Body = Either<Full<Bytes>, ServeFileSystemResponseBody>;

fn main() -> ExitCode {
    exit_code(run())
}

fn run() -> Result<(), BoxError> {
    let options = Options::parse(&["tls", "h2c", "per-core", "pipeline-flush"])?;
    let server = Arc::new(Server::new(&options)?);
    if !options.per_core {
        return tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
            let listener = TcpListener::bind(options.listen).await?;
            Ok(server.accept(&listener).await?)
        });
    }
    let mut threads = Vec::new();
    for _ in 0..cores() {
        let listener = bench_peers::shared_listener(options.listen)?;
        let server = Arc::clone(&server);
        threads.push(thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async { server.accept(&TcpListener::from_std(listener)?).await })
        }));
    }
    threads.into_iter().try_for_each(|thread| Ok(thread.join().map_err(|_| "a thread panicked")??))
}

struct Server {
    tls: Option<TlsAcceptor>,
    file: Option<PathBuf>,
    h2c: bool,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Server {
    fn new(options: &Options) -> Result<Self, BoxError> {
        let acceptor = |tls: &Tls| bench_peers::tls_config(tls, &[b"h2", b"http/1.1"]);
        let tls = options.tls.as_ref().map(acceptor).transpose()?;
        let mut http1 = http1::Builder::new();
        http1.header_read_timeout(None).pipeline_flush(options.pipeline_flush);
        Ok(Self {
            tls: tls.map(|config| TlsAcceptor::from(Arc::new(config))),
            file: options.file.clone(),
            h2c: options.h2c,
            http1,
            http2: http2::Builder::new(TokioExecutor::new()),
        })
    }

    async fn accept(self: Arc<Self>, listener: &TcpListener) -> io::Result<()> {
        loop {
            // An error here is that of one connection, or of too many, which is not the end.
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let server = Arc::clone(&self);
            tokio::spawn(async move { server.connection(stream).await });
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let Some(tls) = &self.tls else {
            let is_http2 = self.h2c;
            return self.serve(stream, is_http2).await;
        };
        let Ok(stream) = tls.accept(stream).await else { return };
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        self.serve(stream, is_http2).await;
    }

    async fn serve<S>(self: Arc<Self>, stream: S, is_http2: bool)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let server = Arc::clone(&self);
        let service = service_fn(move |request| respond(Arc::clone(&server), request));
        let stream = TokioIo::new(stream);
        let _ = match is_http2 {
            true => self.http2.serve_connection(stream, service).await,
            false => self.http1.serve_connection(stream, service).with_upgrades().await,
        };
    }
}

async fn respond(server: Arc<Server>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
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
        (&Method::GET, "/file") => send_file(server.file.as_ref(), request).await,
        (&Method::GET, "/ws") => websocket::upgrade(request).map(|()| Either::Left(Full::default())),
        _ => status(StatusCode::NOT_FOUND),
    })
}

fn ok(content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::new(body.into())));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(SERVER, HeaderValue::from_static(bench_peers::SERVER));
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Either::Left(Full::default()));
    *response.status_mut() = status;
    response
}

async fn length(mut body: Incoming) -> hyper::Result<usize> {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame?.data_ref().map_or(0, Bytes::len);
    }
    Ok(length)
}

async fn send_file(file: Option<&PathBuf>, request: Request<Incoming>) -> Response<Body> {
    let Some(file) = file else { return status(StatusCode::NOT_FOUND) };
    let mut file = ServeFile::new_with_mime(file, &mime::APPLICATION_OCTET_STREAM);
    let Ok(mut response) = file.try_call(request).await else {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    response.headers_mut().insert(SERVER, HeaderValue::from_static(bench_peers::SERVER));
    response.map(Either::Right)
}
