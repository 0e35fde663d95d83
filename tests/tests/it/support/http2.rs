//! An HTTP/2 client, and frames by hand.

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, StatusCode};
use server_abstractions::Io;
use tokio::task::JoinHandle;

use super::{Client, soon};

/// One HTTP/2 connection; its frames are handled by a task until the last stream and this are gone.
pub(crate) struct Http2 {
    pub(crate) requests: SendRequest<Bytes>,
    /// How the connection came to its end.
    pub(crate) connection: JoinHandle<Result<(), h2::Error>>,
    scheme: &'static str,
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Http2Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Http2 {
    pub(crate) async fn new(io: impl Io) -> Self {
        let (requests, connection) = soon(h2::client::handshake(io)).await.expect("an HTTP/2 connection");
        Self { requests, connection: tokio::spawn(connection), scheme: "http" }
    }

    pub(crate) async fn over_tls(io: impl Io) -> Self {
        Self { scheme: "https", ..Self::new(io).await }
    }

    /// Sends a GET and takes the response.
    pub(crate) async fn get(&self, path: &str) -> Http2Response {
        let request = Request::get(format!("{}://a{path}", self.scheme)).body(()).expect("a request");
        let (response, _) = self.send(request, true).await;
        collect(response).await.expect("a response")
    }

    /// Sends a request; `is_end` says that no body follows.
    pub(crate) async fn send(
        &self,
        request: Request<()>,
        is_end: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut ready = soon(self.requests.clone().ready()).await.expect("the connection is open");
        ready.send_request(request, is_end).expect("a request that can be sent")
    }

    /// Sends a POST with this body and takes the response.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Http2Response {
        let request = Request::post(format!("{}://a{path}", self.scheme)).body(()).expect("a request");
        let (response, mut stream) = self.send(request, false).await;
        stream.send_data(body.into(), true).expect("an open stream");
        collect(response).await.expect("a response")
    }

    /// Waits until the server's settings have come, which allow extended CONNECT.
    pub(crate) async fn settled(&self) {
        let settled = async {
            while !self.requests.is_extended_connect_protocol_enabled() {
                tokio::task::yield_now().await;
            }
        };
        soon(settled).await;
    }

    /// Waits until the connection has ended.
    pub(crate) async fn closed(self) -> Result<(), h2::Error> {
        drop(self.requests);
        soon(self.connection).await.expect("the task of the connection does not panic")
    }
}

/// The whole response.
pub(crate) async fn collect(response: ResponseFuture) -> Result<Http2Response, h2::Error> {
    soon(async {
        let (head, mut stream) = response.await?.into_parts();
        let body = read_to_end(&mut stream).await?;
        let trailers = stream.trailers().await?.unwrap_or_default();
        Ok(Http2Response { status: head.status, headers: head.headers, body, trailers })
    })
    .await
}

/// The rest of a body.
pub(crate) async fn read_to_end(stream: &mut RecvStream) -> Result<Bytes, h2::Error> {
    let mut body = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(body.freeze())
}

/// What an HTTP/2 client sends first, with empty settings.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A frame (RFC 9113, section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Bytes,
}

/// Kinds of frames (RFC 9113, section 6).
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;

/// The end of a stream and of its header block, as flags.
pub(crate) const END: u8 = 5;

impl Frame {
    /// The error code of RST_STREAM and GOAWAY.
    pub(crate) fn error_code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

impl Client {
    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        soon(self.next_frame()).await
    }

    /// The next frame that is of one of these kinds.
    pub(crate) async fn frame_of(&mut self, kinds: &[u8]) -> Frame {
        soon(self.frame_whenever(kinds)).await
    }

    /// The next frame that is of one of these kinds, without a bound on the wait.
    pub(crate) async fn frame_whenever(&mut self, kinds: &[u8]) -> Frame {
        loop {
            let frame = self.next_frame().await;
            if kinds.contains(&frame.kind) {
                return frame;
            }
        }
    }

    async fn next_frame(&mut self) -> Frame {
        let head = self.take_whenever(9).await;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let payload = self.take_whenever(length as usize).await;
        Frame { kind: head[3], stream, payload }
    }
}

/// A header block of literal fields, none of them indexed (RFC 7541, section 6.2.2).
pub(crate) fn header_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
