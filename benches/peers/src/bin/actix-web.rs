//! actix-web with its one worker per core. Its settings are the defaults but for TCP_NODELAY and the keep-alive time of
//! 75 seconds (the default of 5 seconds is shorter than a browser's).

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use actix_files::NamedFile;
use actix_web::http::header::{HeaderValue, SERVER};
use actix_web::web::{self, Bytes, Payload, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpResponseBuilder, HttpServer, mime, rt};
use actix_ws::{Message as Frame, MessageStream, Session};
use bench_peers::{BINARY, BoxError, Message, Options, PLAIN, PLAINTEXT, exit_code};
use futures_util::StreamExt;

#[actix_web::main]
async fn main() -> ExitCode {
    exit_code(serve().await)
}

async fn serve() -> Result<(), BoxError> {
    let options = Options::parse(&["tls", "h2c"])?;
    let file = options.file;
    let server = HttpServer::new(move || App::new().configure(|config| routes(config, file.clone())))
        .tcp_nodelay(true)
        .keep_alive(Duration::from_secs(75))
        .disable_signals();
    let server = match options.tls {
        Some(tls) => server.bind_rustls_0_23(options.listen, bench_peers::tls_config(&tls, &[])?)?,
        None if options.h2c => server.bind_auto_h2c(options.listen)?,
        None => server.bind(options.listen)?,
    };
    server.run().await?;
    Ok(())
}

fn routes(config: &mut ServiceConfig, file: Option<PathBuf>) {
    config
        .route("/plaintext", web::get().to(async || ok().content_type(PLAIN).body(PLAINTEXT)))
        .route("/json", web::get().to(async || ok().json(Message::HELLO)))
        .route("/100k", web::get().to(async || binary(bench_peers::filler_100k())))
        .route("/10m", web::get().to(async || binary(bench_peers::filler_10m())))
        .route("/upload", web::post().to(upload))
        .route("/ws", web::get().to(websocket));
    let Some(file) = file else { return };
    let open = async move |file: web::Data<PathBuf>| {
        let file = NamedFile::open(file.as_path())?;
        io::Result::Ok(file.set_content_type(mime::APPLICATION_OCTET_STREAM))
    };
    config.app_data(web::Data::new(file)).route("/file", web::get().to(open));
}

fn ok() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((SERVER, HeaderValue::from_static(bench_peers::SERVER)));
    response
}

fn binary(body: &'static str) -> HttpResponse {
    ok().content_type(BINARY).body(Bytes::from_static(body.as_bytes()))
}

async fn upload(mut body: Payload) -> actix_web::Result<HttpResponse> {
    let mut length = 0;
    while let Some(piece) = body.next().await {
        length += piece?.len();
    }
    Ok(ok().content_type(PLAIN).body(length.to_string()))
}

async fn websocket(request: HttpRequest, body: Payload) -> actix_web::Result<HttpResponse> {
    let (response, session, frames) = actix_ws::handle(&request, body)?;
    rt::spawn(echo(session, frames));
    Ok(response)
}

async fn echo(mut session: Session, mut frames: MessageStream) {
    while let Some(Ok(frame)) = frames.recv().await {
        let sent = match frame {
            Frame::Text(text) => session.text(text).await,
            Frame::Binary(bytes) => session.binary(bytes).await,
            Frame::Ping(bytes) => session.pong(&bytes).await,
            _ => break,
        };
        if sent.is_err() {
            return;
        }
    }
    let _ = session.close(None).await;
}
