//! TLS, and real sockets.

use tokio::net::TcpStream;

use super::*;
use crate::support::{Certificate, loopback, manual, options, socket_address, soon, start, until};

#[tokio::test]
async fn a_handshake_that_fails() {
    let certificate = Certificate::new();
    // The layer of TLS is the outer one, so that the watching one must stand around it.
    let mut server = {
        let tls = server_kestrel::TlsLayer::new(&certificate.https(), HttpProtocols::Http1).unwrap();
        Watched::start_with(|_| (), |endpoint| endpoint.layer(tls), hello).await
    };
    assert_eq!(server.reason_of("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await, Some("tls_handshake_failed"));
    let mut client = server.server.client().await;
    client.finish_sending().await;
    assert_eq!(server.end().await, Some("tls_handshake_failed"));
}

/// Ends the connection with a reset.
pub(super) fn reset(client: TcpStream) {
    let client = client.into_std().unwrap();
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_client_that_resets_the_connection() {
    for protocols in [HttpProtocols::Http1, HttpProtocols::Http1AndHttp2] {
        let (app, mut calls) = manual();
        let (endpoint, mut ends) = watched(loopback().protocols(protocols));
        let running = start(options([endpoint]), app).await;
        let address = socket_address(&running.addresses()[0]);
        for sent in [
            "",
            "GET",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        ] {
            let mut client = TcpStream::connect(address).await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut client, sent.as_bytes()).await.unwrap();
            let mut call = None;
            if sent.len() > 3 {
                call = soon(calls.recv()).await;
            }
            reset(client);
            let end = soon(ends.recv()).await.unwrap();
            assert_eq!(end, Some("connection_reset"), "{protocols:?} {sent:?}");
            drop(call);
        }
    }
}

#[tokio::test]
async fn an_event_names_the_peer() {
    let events = Events::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(events.clone()));
    let running = start(options([loopback()]), hello).await;
    let stream = TcpStream::connect(socket_address(&running.addresses()[0])).await.unwrap();
    let peer = stream.local_addr().unwrap();
    let mut client = Client::new(stream);
    client.send("GET / HTTP/1.2\r\n\r\n").await;
    assert_eq!(client.response().await.status, 505);
    until(|| !events.0.lock().unwrap().is_empty()).await;
    let told = events.take();
    assert_eq!(told[0]["peer"], peer.to_string(), "{told:?}");
    assert_eq!((&*told[0]["error.type"], &*told[0]["status"]), ("invalid_http_version", "505"));
}
