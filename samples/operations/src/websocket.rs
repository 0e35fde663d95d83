//! A WebSocket that sends back what it is sent, and says goodbye when the application stops.

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::{SinkExt, StreamExt};
use hosting::server_abstractions::{HttpUpgradeFeature, RequestFeatures, Upgrade};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};

use crate::streams::stopping;

/// Upgrades to a WebSocket (RFC 6455).
pub(crate) async fn echo(request: Request) -> Response {
    let stopping = stopping(&request);
    let upgrade = request.features().get::<dyn HttpUpgradeFeature>();
    let Ok(response) = create_response_with_body(&request.map(|_| ()), Body::empty) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Some(Ok(upgrade)) = upgrade.map(|upgrade| upgrade.upgrade()) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    tokio::spawn(serve(upgrade, stopping));
    response
}

async fn serve(upgrade: Upgrade, stopping: hosting::CancellationToken) {
    let Ok(io) = upgrade.await else { return };
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
    loop {
        match stopping.run_until_cancelled(socket.next()).await {
            Some(Some(Ok(message))) if message.is_text() || message.is_binary() => {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            // Pings are answered, and a close is completed, by reading on.
            Some(Some(Ok(_))) => {}
            Some(Some(Err(_)) | None) => return,
            None => {
                let away = CloseFrame { code: CloseCode::Away, reason: "the server stops".into() };
                let _ = socket.close(Some(away)).await;
                return;
            }
        }
    }
}
