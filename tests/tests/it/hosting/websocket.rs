//! The WebSocket of the sample `features`, and its end.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::program::{Launch, Program, curl};
use crate::support::{Client, soon};

type Socket = WebSocketStream<TcpStream>;

async fn connect(program: &Program) -> Socket {
    let stream = TcpStream::connect(program.address()).await.expect("connects");
    let url = format!("ws://{}/ws", program.address());
    let (socket, response) = soon(tokio_tungstenite::client_async(url, stream)).await.expect("a WebSocket");
    assert_eq!(response.status(), 101);
    socket
}

async fn next(socket: &mut Socket) -> Message {
    soon(socket.next()).await.expect("a message").expect("no error")
}

#[tokio::test]
async fn messages_are_echoed() {
    let program = Launch::features().start().await;
    let mut socket = connect(&program).await;
    let large = Message::Binary(Bytes::from(vec![7; 300_000]));
    for message in [Message::text("hello"), Message::Binary(Bytes::from_static(&[0, 255])), large] {
        socket.send(message.clone()).await.expect("an open connection");
        assert!(next(&mut socket).await == message);
    }
    socket.send(Message::Ping(Bytes::from_static(b"are you there"))).await.expect("an open connection");
    assert_eq!(next(&mut socket).await, Message::Pong(Bytes::from_static(b"are you there")));
    let close = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    socket.close(Some(close.clone())).await.expect("an open connection");
    assert_eq!(next(&mut socket).await, Message::Close(Some(close)));
    assert!(soon(socket.next()).await.is_none_or(|end| end.is_err()));
    assert_eq!(program.stop().await.code, Some(0));
}

#[tokio::test]
async fn it_is_closed_when_the_program_stops() {
    let program = Launch::features().start().await;
    let mut socket = connect(&program).await;
    socket.send(Message::text("hello")).await.expect("an open connection");
    next(&mut socket).await;
    let stopping = Instant::now();
    program.signal(Signal::TERM);
    let Message::Close(Some(frame)) = next(&mut socket).await else { panic!("no close") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "the server stops"));
    assert!(soon(socket.next()).await.is_none_or(|end| end.is_err()));
    let end = program.end().await;
    assert_eq!(end.code, Some(0), "{end:?}");
    assert!(stopping.elapsed() < Duration::from_secs(1), "{:?}", stopping.elapsed());
}

#[tokio::test]
async fn a_client_that_has_gone_does_not_hold_up_the_stop() {
    let program = Launch::features().start().await;
    drop(connect(&program).await);
    let _silent = connect(&program).await;
    let stopping = Instant::now();
    assert_eq!(program.stop().await.code, Some(0));
    assert!(stopping.elapsed() < Duration::from_secs(1), "{:?}", stopping.elapsed());
}

#[tokio::test]
async fn without_a_right_handshake_it_is_a_bad_request() {
    let program = Launch::features().start().await;
    assert_eq!(curl([program.url("/ws").as_str()]).await.status, 400);
    let mut client = Client::tcp(program.address()).await;
    let request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(client.exchange(request).await.status, 400);
}
