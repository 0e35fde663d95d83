//! WebSockets and server-sent events, in cleartext and over TLS.

use bytes::BytesMut;
use futures_util::{SinkExt, StreamExt};
use http::Request;
use server_abstractions::Io;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::support::Http2;

pub(super) async fn passes_on_what_lives_long(proxied: &Proxied) {
    is_echoed(&format!("ws://shop.example:{}/ws", proxied.http), proxied.tcp().await).await;
    is_echoed(&format!("wss://shop.example:{}/ws", proxied.https), proxied.tls("http/1.1").await).await;
    ticks(proxied.http, proxied.tcp().await).await;
    ticks(proxied.https, proxied.tls("http/1.1").await).await;
    ticks_over_http2(proxied).await;
}

async fn is_echoed(url: &str, io: impl Io) {
    let (mut socket, _) = soon(tokio_tungstenite::client_async(url, io)).await.unwrap();
    for text in ["one", "two"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(soon(socket.next()).await.unwrap().unwrap(), Message::text(text), "{url}");
    }
    socket.close(None).await.unwrap();
    assert!(matches!(soon(socket.next()).await, Some(Ok(Message::Close(_)))), "{url}");
}

/// An event comes when it is sent and not when the answer is over, which it never is.
async fn ticks(port: u16, io: impl Io) {
    let mut events = Client::new(io);
    events.send(format!("GET /sse HTTP/1.1\r\nHost: shop.example:{port}\r\n\r\n")).await;
    events.take_until("data: 0\n\n").await;
    events.take_until("data: 1\n\n").await;
}

async fn ticks_over_http2(proxied: &Proxied) {
    let http2 = Http2::over_tls(proxied.tls("h2").await).await;
    let request = Request::get(format!("https://shop.example:{}/sse", proxied.https)).body(()).unwrap();
    let (response, _) = http2.send(request, true).await;
    let mut body = soon(response).await.unwrap().into_body();
    let mut events = BytesMut::new();
    while !events.ends_with(b"data: 1\n\n") {
        let data = soon(body.data()).await.unwrap().unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        events.extend_from_slice(&data);
    }
    assert_eq!(&events[..], b"data: 0\n\ndata: 1\n\n");
}
