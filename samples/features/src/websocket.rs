use futures_util::{SinkExt, StreamExt};
use hosting::server_abstractions::{ConnectionLifetimeFeature, HttpUpgradeFeature, Upgrade};
use hosting::{Body, Request, RequestFeatures, Response, StatusCode};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};

use crate::answer::empty;

/// Upgrades to a WebSocket (RFC 6455) that sends back what it is sent.
pub(crate) fn echo(request: &Request<Body>) -> Response<Body> {
    // The library wants a request without a body; it checks the handshake and makes the answer to it.
    let mut handshake = Request::new(());
    *handshake.method_mut() = request.method().clone();
    *handshake.version_mut() = request.version();
    *handshake.headers_mut() = request.headers().clone();
    let upgrade = request.features().get::<dyn HttpUpgradeFeature>();
    let (Some(upgrade), Ok(response)) = (upgrade, create_response_with_body(&handshake, Body::empty)) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Ok(upgrade) = upgrade.upgrade() else { return empty(StatusCode::BAD_REQUEST) };
    let lifetime = request.features().get::<dyn ConnectionLifetimeFeature>();
    tokio::spawn(serve(upgrade, lifetime.map(|lifetime| lifetime.stopping()).unwrap_or_default()));
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
