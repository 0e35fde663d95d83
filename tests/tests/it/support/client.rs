//! A client that sends bytes and takes HTTP/1.1 responses apart.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use bytes::{Buf, Bytes, BytesMut};
use server_abstractions::Io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::soon;

/// One connection to a server, byte by byte.
pub(crate) struct Client {
    io: Box<dyn Io>,
    received: BytesMut,
}

/// A response with everything that came for it.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The status line and the header fields as they came.
    pub(crate) head: String,
    pub(crate) body: Bytes,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(io: impl Io) -> Self {
        Self { io: Box::new(io), received: BytesMut::new() }
    }

    pub(crate) async fn tcp(address: SocketAddr) -> Self {
        Self::new(soon(TcpStream::connect(address)).await.expect("connects"))
    }

    pub(crate) async fn unix(path: &Path) -> Self {
        Self::new(soon(UnixStream::connect(path)).await.expect("connects"))
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the server takes the bytes");
    }

    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        soon(async {
            self.io.write_all(bytes.as_ref()).await?;
            self.io.flush().await
        })
        .await
    }

    /// Ends the sending side.
    pub(crate) async fn finish_sending(&mut self) {
        soon(self.io.shutdown()).await.expect("the server listens");
    }

    /// Sends a GET without a body and takes the response.
    pub(crate) async fn get(&mut self, path: &str) -> Response {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await
    }

    /// Sends the bytes of a request that is not HEAD and takes the response.
    pub(crate) async fn exchange(&mut self, request: &str) -> Response {
        self.send(request).await;
        self.response().await
    }

    /// The next response, an interim one too.
    pub(crate) async fn response(&mut self) -> Response {
        soon(self.read_response(true)).await.expect("a response")
    }

    /// The next response, or why there is none.
    pub(crate) async fn try_response(&mut self) -> io::Result<Response> {
        soon(self.read_response(true)).await
    }

    /// Waits until some of the next response has come.
    pub(crate) async fn try_begin(&mut self) -> io::Result<()> {
        soon(async {
            while self.received.is_empty() {
                self.fill_some().await?;
            }
            Ok(())
        })
        .await
    }

    /// The next response, or why there is none, without a bound on the wait.
    pub(crate) async fn try_response_whenever(&mut self) -> io::Result<Response> {
        self.read_response(true).await
    }

    /// The next response, which answers a HEAD.
    pub(crate) async fn response_to_head(&mut self) -> Response {
        soon(self.read_response(false)).await.expect("a response")
    }

    /// The next response, without a bound on the wait.
    pub(crate) async fn response_whenever(&mut self) -> Response {
        self.read_response(true).await.expect("a response")
    }

    /// Exactly so many bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Bytes {
        soon(self.take_whenever(count)).await
    }

    /// Exactly so many bytes, without a bound on the wait.
    pub(crate) async fn take_whenever(&mut self, count: usize) -> Bytes {
        self.read_exactly(count).await.expect("enough bytes")
    }

    /// Everything up to and with these bytes.
    pub(crate) async fn take_until(&mut self, end: &str) -> Bytes {
        soon(self.read_until(end.as_bytes())).await.expect("these bytes")
    }

    /// The connection ends, and before that comes nothing.
    pub(crate) async fn closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "more came before the end: {:?}", String::from_utf8_lossy(&rest));
    }

    /// What comes until the connection ends, in whichever way.
    pub(crate) async fn rest(&mut self) -> Bytes {
        soon(self.rest_whenever()).await
    }

    /// What comes until the connection ends, without a bound on the wait.
    pub(crate) async fn rest_whenever(&mut self) -> Bytes {
        while self.fill().await.is_ok_and(|count| count > 0) {}
        self.received.split().freeze()
    }

    /// Nothing has come that was not taken yet, and the connection is open, as far as the other tasks have run.
    pub(crate) async fn is_silent(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        waits(std::pin::pin!(self.fill())) && self.received.is_empty()
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.io.read_buf(&mut self.received).await
    }

    async fn fill_some(&mut self) -> io::Result<()> {
        match self.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn read_exactly(&mut self, count: usize) -> io::Result<Bytes> {
        while self.received.len() < count {
            self.fill_some().await?;
        }
        Ok(self.received.split_to(count).freeze())
    }

    async fn read_until(&mut self, end: &[u8]) -> io::Result<Bytes> {
        loop {
            if let Some(at) = self.received.windows(end.len()).position(|window| window == end) {
                return Ok(self.received.split_to(at + end.len()).freeze());
            }
            self.fill_some().await?;
        }
    }

    async fn read_response(&mut self, has_body: bool) -> io::Result<Response> {
        let head = self.read_until(b"\r\n\r\n").await?;
        let head = String::from_utf8(head.to_vec()).expect("the head is text");
        let status = head.get(9..12).and_then(|digits| digits.parse().ok()).expect("a status line");
        let mut response = Response { status, head, body: Bytes::new(), trailers: Vec::new() };
        if !has_body || status < 200 || matches!(status, 204 | 304) {
            return Ok(response);
        }
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = self.read_chunks().await?;
            response.trailers = self.read_trailers().await?;
        } else if let Some(length) = response.header("content-length") {
            response.body = self.read_exactly(length.parse().expect("a length")).await?;
        } else {
            response.body = self.rest_whenever().await;
        }
        Ok(response)
    }

    async fn read_chunks(&mut self) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = self.read_until(b"\r\n").await?;
            let line = std::str::from_utf8(&line).expect("a chunk size").trim_end();
            let size = usize::from_str_radix(line, 16).expect("a chunk size");
            if size == 0 {
                return Ok(body.freeze());
            }
            let mut chunk = self.read_exactly(size + 2).await?;
            assert_eq!(&chunk.split_off(size)[..], b"\r\n", "the chunk ends in CRLF");
            body.extend_from_slice(&chunk);
        }
    }

    async fn read_trailers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut trailers = Vec::new();
        loop {
            let mut line = self.read_until(b"\r\n").await?;
            line.truncate(line.remaining() - 2);
            if line.is_empty() {
                return Ok(trailers);
            }
            let line = String::from_utf8(line.to_vec()).expect("a trailer field is text");
            let (name, value) = line.split_once(':').expect("a trailer field");
            trailers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
}

/// Whether the future waits.
fn waits<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    future.poll(&mut cx).is_pending()
}

impl Response {
    /// The value of a header field, which must not be there twice.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().skip(1).filter_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        let value = values.next();
        assert_eq!(values.next(), None, "there is more than one {name}");
        value
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Whether the server says that it closes the connection.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}
