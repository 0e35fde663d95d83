//! The axum router of `axum-serve` and `axum-server`.

use std::path::Path;

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::http::header::{CONTENT_TYPE, SERVER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use futures_util::StreamExt;
use tower_http::services::ServeFile;
use tower_http::set_header::SetResponseHeader;

use crate::{Message, PLAIN, PLAINTEXT, filler_10m, filler_100k};

const NAME: [(HeaderName, HeaderValue); 1] = [(SERVER, HeaderValue::from_static(crate::SERVER))];
const TEXT: [(HeaderName, HeaderValue); 1] = [(CONTENT_TYPE, HeaderValue::from_static(PLAIN))];

/// All routes; `/file` only with a file.
pub fn router(file: Option<&Path>) -> Router {
    let router = Router::new()
        .route("/plaintext", get(async || (NAME, TEXT, PLAINTEXT)))
        .route("/json", get(async || (NAME, Json(Message::HELLO))))
        .route("/100k", get(async || (NAME, Bytes::from_static(filler_100k().as_bytes()))))
        .route("/10m", get(async || (NAME, Bytes::from_static(filler_10m().as_bytes()))))
        .route("/upload", post(upload))
        .route("/ws", any(async |upgrade: WebSocketUpgrade| upgrade.on_upgrade(echo)));
    let Some(file) = file else { return router };
    let file = ServeFile::new_with_mime(file, &mime::APPLICATION_OCTET_STREAM);
    let name = HeaderValue::from_static(crate::SERVER);
    router.route_service("/file", SetResponseHeader::overriding(file, SERVER, name))
}

async fn upload(body: Body) -> Response {
    let mut pieces = body.into_data_stream();
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else { return StatusCode::BAD_REQUEST.into_response() };
        length += piece.len();
    }
    (NAME, TEXT, length.to_string()).into_response()
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(frame)) = socket.recv().await {
        if matches!(frame, Frame::Text(_) | Frame::Binary(_)) && socket.send(frame).await.is_err() {
            return;
        }
    }
}
