use std::fmt::{self, Write as _};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use server_abstractions::{BoxConnectionService, BoxError, BoxFuture, Connection, HttpConnectionFeature, Io};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_layer::Layer;
use tower_service::Service;

/// A connection layer that writes the bytes of each connection as events of level trace, as a hexadecimal dump, with
/// the target `server_kestrel::connection_log`. For debugging: it shows passwords and cookies as they are.
///
/// As a layer of an [`Endpoint`](crate::Endpoint) with TLS it shows the plaintext. An endpoint may have one by its
/// [`connection_log`](crate::Endpoint::connection_log), which can stand below TLS as well.
///
/// An event tells the `connection`, the `direction` (`read`, `write`), the bytes' place in that direction (`offset`) and their
/// `count`, and the dump as `bytes`; a read without any is the peer's end. The last one of a connection tells how much was read and written.
///
/// ```
/// use server_kestrel::{ConnectionLoggingLayer, Endpoint};
/// let endpoint = Endpoint::localhost(5000).layer(ConnectionLoggingLayer::default());
/// # let _ = endpoint;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[doc(alias = "UseConnectionLogging")]
#[doc(alias = "ConnectionLogLayer")]
pub struct ConnectionLoggingLayer {
    /// The bytes of one read or write that are shown; of the rest only the count. Default is 4096.
    pub max_bytes: usize,
    /// The bytes of one connection that are shown, in both directions together; when they are used up, one event says so and
    /// no more come until its end. Default is 1 MiB.
    pub max_bytes_per_connection: usize,
}

impl Default for ConnectionLoggingLayer {
    fn default() -> Self {
        Self { max_bytes: 4096, max_bytes_per_connection: 1024 * 1024 }
    }
}

impl<S> Layer<S> for ConnectionLoggingLayer
where
    S: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Service = ConnectionLogging;

    fn layer(&self, inner: S) -> ConnectionLogging {
        ConnectionLogging { layer: self.clone(), next: BoxConnectionService::new(inner) }
    }
}

/// The service of [`ConnectionLoggingLayer`].
#[derive(Clone, Debug)]
pub struct ConnectionLogging {
    layer: ConnectionLoggingLayer,
    next: BoxConnectionService,
}

impl Service<Connection> for ConnectionLogging {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: Connection) -> Self::Future {
        let Connection { io, features } = connection;
        let id = features
            .get::<dyn HttpConnectionFeature>()
            .map(|connection| connection.connection_id().to_owned())
            .unwrap_or_default();
        let log = Log {
            id,
            max_bytes: self.layer.max_bytes,
            left: self.layer.max_bytes_per_connection,
            is_silent: false,
            is_at_end: false,
            read: 0,
            written: 0,
        };
        self.next.run(Connection { io: Box::new(LoggedIo { io, log }), features })
    }
}

struct LoggedIo {
    io: Box<dyn Io>,
    log: Log,
}

/// What is told of one connection.
struct Log {
    id: String,
    max_bytes: usize,
    /// The bytes that may still be shown.
    left: usize,
    is_silent: bool,
    /// Whether the peer's last byte has come.
    is_at_end: bool,
    read: u64,
    written: u64,
}

impl Log {
    fn read(&mut self, bytes: &[u8]) {
        // The peer sends no more, and may be asked again.
        if bytes.is_empty() && std::mem::replace(&mut self.is_at_end, true) {
            return;
        }
        self.show("read", self.read, bytes);
        self.read += bytes.len() as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.show("write", self.written, bytes);
        self.written += bytes.len() as u64;
    }

    fn show(&mut self, direction: &str, offset: u64, bytes: &[u8]) {
        if self.is_silent
            || !tracing::enabled!(target: "server_kestrel::connection_log", tracing::Level::TRACE)
        {
            return;
        }
        let shown = &bytes[..bytes.len().min(self.max_bytes).min(self.left)];
        tracing::trace!(
            target: "server_kestrel::connection_log",
            connection = self.id,
            direction,
            offset,
            count = bytes.len(),
            bytes = %HexDump(shown),
        );
        self.left -= shown.len();
        if self.left == 0 {
            self.is_silent = true;
            tracing::trace!(
                target: "server_kestrel::connection_log",
                connection = self.id,
                "as many bytes of the connection are shown as may be"
            );
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        tracing::trace!(
            target: "server_kestrel::connection_log",
            connection = self.id,
            read = self.read,
            written = self.written,
            "the connection has ended"
        );
    }
}

impl AsyncRead for LoggedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.io).poll_read(cx, buf))?;
        self.log.read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for LoggedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut *self.io).poll_write(cx, buf))?;
        self.log.write(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut *self.io).poll_write_vectored(cx, bufs))?;
        let mut left = count;
        for buf in bufs {
            let written = &buf[..buf.len().min(left)];
            left -= written.len();
            if !written.is_empty() {
                self.log.write(written);
            }
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.io).poll_shutdown(cx)
    }
}

/// 16 bytes a line, in hexadecimal and as text.
struct HexDump<'a>(&'a [u8]);

impl fmt::Display for HexDump<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.chunks(16) {
            f.write_char('\n')?;
            for byte in line {
                write!(f, "{byte:02X} ")?;
            }
            write!(f, "{:1$}", "", (16 - line.len()) * 3)?;
            for byte in line {
                let shown = if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
                f.write_char(shown)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::HexDump;

    #[test]
    fn a_dump_shows_bytes_and_text() {
        let dump = HexDump(b"GET / HTTP/1.1\r\nX").to_string();
        let expected = "\n47 45 54 20 2F 20 48 54 54 50 2F 31 2E 31 0D 0A GET / HTTP/1.1..\n58 ";
        assert!(dump.starts_with(expected), "{dump}");
        assert!(dump.ends_with("X"));
    }
}
