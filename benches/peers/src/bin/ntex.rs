//! ntex on the runtime that its documentation has as the default (its own: io_uring, or epoll where that is not
//! permitted), with one worker per core. Its settings are the defaults but for the keep-alive time of 75 seconds (the
//! default of 5 seconds is shorter than a browser's).

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use bench_peers::{BINARY, BoxError, Message, Options, PLAIN, PLAINTEXT, exit_code};
use ntex::SharedCfg;
use ntex::http::header::{HeaderValue, SERVER};
use ntex::http::{HttpService, HttpServiceConfig, ResponseBuilder};
use ntex::service::fn_service;
use ntex::time::Seconds;
use ntex::util::{ByteString, Bytes};
use ntex::web::types::Payload;
use ntex::web::ws::{self, Frame};
use ntex::web::{self, App, HttpRequest, HttpResponse, HttpServer, ServiceConfig, error};
use ntex_files::NamedFile;

#[ntex::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&["tls", "h2c"])?;
    let settings = SharedCfg::new("bench").add(HttpServiceConfig::new().set_keepalive(Seconds(75)));
    let file = options.file;
    let app = async move |_: &()| {
        let file = file.clone();
        App::new().configure(move |config| routes(config, file))
    };
    if options.h2c {
        let service = async move |state: &()| HttpService::h2(app(state).await);
        let server = ntex::server::build().disable_signals();
        server.bind("h2c", options.listen, settings, service)?.run().await?;
        return Ok(());
    }
    let server = HttpServer::new(app).disable_signals();
    let server = match options.tls {
        Some(tls) => server.bind_rustls(options.listen, &bench_peers::tls_config(&tls, &[])?, settings)?,
        None => server.bind(options.listen, settings)?,
    };
    server.run().await?;
    Ok(())
}

fn routes(config: &mut ServiceConfig<()>, file: Option<PathBuf>) {
    config
        .route("/plaintext", web::get().to(async || ok().content_type(PLAIN).body(PLAINTEXT)))
        .route("/json", web::get().to(async || ok().json(&Message::HELLO)))
        .route("/100k", web::get().to(async || binary(bench_peers::filler_100k())))
        .route("/10m", web::get().to(async || binary(bench_peers::filler_10m())))
        .route("/upload", web::post().to(upload))
        .route("/ws", web::get().to(websocket));
    let Some(file) = file else { return };
    config.route(
        "/file",
        web::get().to(async move || {
            let file = NamedFile::open(&file)?;
            io::Result::Ok(file.set_content_type(mime::APPLICATION_OCTET_STREAM))
        }),
    );
}

fn ok() -> ResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.set_header(SERVER, HeaderValue::from_static(bench_peers::SERVER));
    response
}

fn binary(body: &'static str) -> HttpResponse {
    ok().content_type(BINARY).body(Bytes::from_static(body.as_bytes()))
}

async fn upload(mut body: Payload) -> Result<HttpResponse, error::PayloadError> {
    let mut length = 0;
    while let Some(piece) = body.recv().await {
        length += piece?.len();
    }
    Ok(ok().content_type(PLAIN).body(length.to_string()))
}

async fn websocket(request: HttpRequest) {
    let _ = ws::start(&request, None, fn_service(echo)).await;
}

async fn echo(frame: Frame) -> io::Result<Option<ws::Message>> {
    Ok(match frame {
        Frame::Text(text) => {
            let text = ByteString::try_from(text).map_err(|()| io::ErrorKind::InvalidData)?;
            Some(ws::Message::Text(text))
        }
        Frame::Binary(bytes) => Some(ws::Message::Binary(bytes)),
        Frame::Ping(bytes) => Some(ws::Message::Pong(bytes)),
        Frame::Close(reason) => Some(ws::Message::Close(reason)),
        Frame::Pong(_) | Frame::Continuation(_) => None,
    })
}
