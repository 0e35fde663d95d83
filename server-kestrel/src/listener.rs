use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use server_abstractions::{
    Address, AddressTarget, BoxFuture, Connection, FeatureCollection, FeatureQuery, FeatureSource,
    HttpConnectionFeature, Listener,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::mpsc;

use crate::{QuietUnixStream, SocketOptions, TcpKeepAlive};

/// A [`Listener`] without its type.
pub(crate) trait ErasedListener: Send {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>>;
    fn accept_queued(&mut self) -> io::Result<Option<Connection>>;
    fn address(&self) -> &Address;
}

impl<L: Listener<Connection = Connection>> ErasedListener for L {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(Listener::accept(self))
    }

    fn accept_queued(&mut self) -> io::Result<Option<Connection>> {
        Listener::accept_queued(self)
    }

    fn address(&self) -> &Address {
        Listener::address(self)
    }
}

/// What is known of a TCP connection, its two ends as far as they are known. The connection's id comes with the accept
/// loop.
pub(crate) struct TcpConnection {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    is_reset: AtomicBool,
}

impl TcpConnection {
    /// The socket is going to be dropped, and the system is to forget what still waits to be sent: without a reset it
    /// keeps that, several megabytes, until the peer takes it.
    pub(crate) fn reset(&self) {
        self.is_reset.store(true, Ordering::Relaxed);
    }
}

impl HttpConnectionFeature for TcpConnection {
    fn connection_id(&self) -> &str {
        ""
    }

    fn local_address(&self) -> Option<SocketAddr> {
        self.local
    }

    fn remote_address(&self) -> Option<SocketAddr> {
        self.remote
    }
}

impl FeatureSource for TcpConnection {
    fn find(self: Arc<Self>, query: &mut FeatureQuery<'_>) {
        query.offer::<dyn HttpConnectionFeature>(|| self.clone()).offer::<Self>(|| self.clone());
    }
}

/// A TCP socket that can be told how it ends.
struct TcpIo {
    stream: TcpStream,
    connection: Arc<TcpConnection>,
}

impl Drop for TcpIo {
    fn drop(&mut self) {
        if self.connection.is_reset.load(Ordering::Relaxed) {
            // A failure means that the peer has gone.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for TcpIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Accepts from a TCP socket.
pub(crate) struct TcpSocketListener {
    listener: TcpListener,
    address: Address,
    /// The local address of every connection, unless the socket is bound to all addresses.
    local: Option<SocketAddr>,
    /// What accepted sockets do not have from the listening one. On Linux they have all options from it, but for those
    /// that were queued before one was set on an inherited socket.
    no_delay: Option<bool>,
    keep_alive: Option<TcpKeepAlive>,
}

impl TcpSocketListener {
    /// Must be called within a runtime.
    pub(crate) fn new(
        listener: std::net::TcpListener,
        address: Address,
        options: &SocketOptions,
    ) -> io::Result<Self> {
        let local = listener.local_addr().ok().filter(|local| !local.ip().is_unspecified());
        let is_inherited = cfg!(target_os = "linux");
        let is_set = socket2::SockRef::from(&listener).tcp_nodelay().ok();
        let no_delay = Some(options.no_delay).filter(|wanted| !is_inherited || is_set != Some(*wanted));
        let keep_alive = options.keep_alive.filter(|_| !is_inherited);
        Ok(Self { listener: TcpListener::from_std(listener)?, address, local, no_delay, keep_alive })
    }

    fn connection(&self, stream: TcpStream, remote: SocketAddr) -> Connection {
        // A failure means that the peer has gone, which the first read tells.
        if let Some(no_delay) = self.no_delay {
            let _ = stream.set_nodelay(no_delay);
        }
        if let Some(keep_alive) = &self.keep_alive {
            let _ = keep_alive.apply(&socket2::SockRef::from(&stream));
        }
        let local = self.local.or_else(|| stream.local_addr().ok()).map(unmapped);
        let remote = Some(unmapped(remote));
        let connection = Arc::new(TcpConnection { local, remote, is_reset: AtomicBool::new(false) });
        let features = FeatureCollection::from_source(connection.clone());
        Connection { io: Box::new(TcpIo { stream, connection }), features }
    }
}

/// An IPv4 peer of a dual-stack socket as what it is.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl Listener for TcpSocketListener {
    type Connection = Connection;

    async fn accept(&mut self) -> io::Result<Connection> {
        let (stream, remote) = self.listener.accept().await?;
        Ok(self.connection(stream, remote))
    }

    fn accept_queued(&mut self) -> io::Result<Option<Connection>> {
        // Past tokio's own idea of readiness, which lags behind the kernel's.
        let socket = socket2::SockRef::from(&self.listener);
        let Some((stream, remote)) = accept_now(&socket)? else { return Ok(None) };
        let Some(remote) = remote.as_socket() else { return Ok(None) };
        Ok(Some(self.connection(TcpStream::from_std(stream.into())?, remote)))
    }

    fn address(&self) -> &Address {
        &self.address
    }
}

fn accept_now(socket: &socket2::Socket) -> io::Result<Option<(socket2::Socket, socket2::SockAddr)>> {
    match socket.accept() {
        Ok((stream, remote)) => {
            stream.set_nonblocking(true)?;
            Ok(Some((stream, remote)))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Accepts from a Unix socket.
pub(crate) struct UnixSocketListener {
    listener: UnixListener,
    address: Address,
}

impl UnixSocketListener {
    /// Must be called within a runtime.
    pub(crate) fn new(listener: std::os::unix::net::UnixListener, address: Address) -> io::Result<Self> {
        Ok(Self { listener: UnixListener::from_std(listener)?, address })
    }
}

impl Listener for UnixSocketListener {
    type Connection = Connection;

    async fn accept(&mut self) -> io::Result<Connection> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Connection::new(QuietUnixStream::new(stream)?))
    }

    fn accept_queued(&mut self) -> io::Result<Option<Connection>> {
        let Some((stream, _)) = accept_now(&socket2::SockRef::from(&self.listener))? else { return Ok(None) };
        let stream = tokio::net::UnixStream::from_std(stream.into())?;
        Ok(Some(Connection::new(QuietUnixStream::new(stream)?)))
    }

    fn address(&self) -> &Address {
        &self.address
    }
}

/// The bytes that may be under way in each direction of a connection in memory.
const MEMORY_BUFFER: usize = 64 * 1024;

/// The connections that may wait to be accepted in memory.
const MEMORY_BACKLOG: usize = 128;

/// A listener without sockets, and the connector to it: for tests, and for a server inside another program.
///
/// ```
/// # use server_kestrel::{memory, Endpoint, Kestrel, KestrelOptions};
/// let (listener, connector) = memory();
/// let kestrel = Kestrel::new(KestrelOptions {
///     endpoints: vec![Endpoint::listener(listener)],
///     ..KestrelOptions::default()
/// });
/// # let _ = (kestrel, connector);
/// ```
pub fn memory() -> (MemoryListener, MemoryConnector) {
    let (connect, connections) = mpsc::channel(MEMORY_BACKLOG);
    let address = Address::new(false, AddressTarget::Abstract("memory".to_owned()));
    (MemoryListener { connections, address }, MemoryConnector { connect })
}

/// The listening side of [`memory`].
#[derive(Debug)]
pub struct MemoryListener {
    connections: mpsc::Receiver<DuplexStream>,
    address: Address,
}

impl Listener for MemoryListener {
    type Connection = Connection;

    async fn accept(&mut self) -> io::Result<Connection> {
        match self.connections.recv().await {
            Some(stream) => Ok(Connection::new(stream)),
            // Nobody can connect any more; that is no reason to end.
            None => std::future::pending().await,
        }
    }

    fn accept_queued(&mut self) -> io::Result<Option<Connection>> {
        Ok(self.connections.try_recv().ok().map(Connection::new))
    }

    fn address(&self) -> &Address {
        &self.address
    }
}

/// The connecting side of [`memory`].
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    connect: mpsc::Sender<DuplexStream>,
}

impl MemoryConnector {
    /// Connects.
    ///
    /// # Errors
    /// When the server does not listen any more.
    ///
    /// # Cancel safety
    /// Dropping the future connects nothing.
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (client, server) = tokio::io::duplex(MEMORY_BUFFER);
        self.connect.send(server).await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(client)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A socket that was bound with these options, and one that it has accepted.
    async fn accepted(options: SocketOptions) -> (TcpSocketListener, TcpStream) {
        let endpoint =
            crate::Endpoint::url("http://127.0.0.1:0").expect("an endpoint").socket_options(options);
        let mut bound =
            crate::bind::bind(&endpoint, &mut crate::inherited::Inherited::default()).expect("a socket");
        let crate::bind::BoundSocket::Tcp(socket, options) = bound.sockets.remove(0) else {
            panic!("it is one of TCP");
        };
        let at = socket.local_addr().expect("an address");
        let listener = TcpSocketListener::new(socket, bound.address, &options).expect("a listener");
        let _client = std::net::TcpStream::connect(at).expect("a connection");
        let (stream, _) = listener.listener.accept().await.expect("a connection");
        (listener, stream)
    }

    #[tokio::test]
    async fn an_accepted_socket_has_its_options_from_the_one_that_listens() {
        let (listener, stream) = accepted(SocketOptions::default()).await;
        assert!(listener.no_delay.is_none() && stream.nodelay().expect("an option"));
        assert!(!socket2::SockRef::from(&stream).keepalive().expect("an option"));

        let (time, interval) = (Duration::from_secs(70), Duration::from_secs(7));
        let keep_alive = Some(TcpKeepAlive { time, interval, retries: 5 });
        let options =
            SocketOptions { no_delay: false, reuse_port: true, keep_alive, ..SocketOptions::default() };
        let (listener, stream) = accepted(options).await;
        assert!(listener.no_delay.is_none() && !stream.nodelay().expect("an option"));
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().expect("an option"));
        assert_eq!(socket.tcp_keepalive_time().expect("an option"), time);
        assert_eq!(socket.tcp_keepalive_interval().expect("an option"), interval);
        assert_eq!(socket.tcp_keepalive_retries().expect("an option"), 5);
        assert!(socket2::SockRef::from(&listener.listener).reuse_port().expect("an option"));
    }

    #[tokio::test]
    async fn what_a_socket_does_not_have_it_is_given() {
        for no_delay in [true, false] {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
            socket.set_nonblocking(true).expect("a socket that does not block");
            socket2::SockRef::from(&socket).set_tcp_nodelay(!no_delay).expect("an option");
            let at = socket.local_addr().expect("an address");
            let address = "http://127.0.0.1:0".parse().expect("an address");
            let options = SocketOptions { no_delay, ..SocketOptions::default() };
            let listener = TcpSocketListener::new(socket, address, &options).expect("a listener");
            let _client = std::net::TcpStream::connect(at).expect("a connection");
            let (stream, remote) = listener.listener.accept().await.expect("a connection");
            let clone = socket2::SockRef::from(&stream).try_clone().expect("a descriptor");
            assert_eq!(clone.tcp_nodelay().expect("an option"), !no_delay);
            let _connection = listener.connection(stream, remote);
            assert_eq!(clone.tcp_nodelay().expect("an option"), no_delay);
        }
    }
}
