use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tower_layer::Layer;
use tower_service::Service;

use crate::{Address, BoxError, BoxFuture, FeatureCollection};

/// A byte stream in both directions: what a connection reads and writes.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Io for T {}

/// One connection on its way through the connection layers: its bytes and what is known about it.
#[doc(alias = "ConnectionContext")]
pub struct Connection {
    /// The bytes. A layer may replace them by a stream that wraps them, as TLS does.
    pub io: Box<dyn Io>,
    /// What is known about the connection; every request on it finds these features too.
    pub features: FeatureCollection,
}

impl Connection {
    /// A connection over `io`, with no features yet.
    pub fn new(io: impl Io) -> Self {
        Self { io: Box::new(io), features: FeatureCollection::new() }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("features", &self.features).finish_non_exhaustive()
    }
}

/// Where connections come from. It begins after binding; dropping it unbinds.
///
/// The associated type leaves room for transports whose connections are not one byte stream, such as QUIC.
#[doc(alias = "IConnectionListener")]
pub trait Listener: Send + 'static {
    /// What is accepted.
    type Connection: Send + 'static;

    /// Waits for the next connection.
    ///
    /// # Errors
    /// An error of one connection or a lack of resources; the caller decides whether to go on.
    ///
    /// # Cancel safety
    /// Must be cancel safe: a connection that was taken is returned, never dropped with the future.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Takes a connection that the system has queued already, without waiting; called when the server stops, so that
    /// nobody who has connected is refused. The default has no queue.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    fn accept_queued(&mut self) -> io::Result<Option<Self::Connection>> {
        Ok(None)
    }

    /// The address that is really bound.
    fn address(&self) -> &Address;
}

/// A service for connections, erased: the rest of the pipeline as a connection layer sees it.
#[derive(Clone)]
#[doc(alias = "ConnectionDelegate")]
pub struct BoxConnectionService(Arc<dyn ErasedConnectionService>);

/// The rest of the pipeline, as [`from_fn`] hands it to its function.
pub type Next = BoxConnectionService;

impl BoxConnectionService {
    /// Erases a service for connections. It is cloned for each connection and driven to readiness first.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        Self(Arc::new(Erased(service)))
    }

    /// The end of a pipeline: a function whose future is boxed already, called once per connection.
    pub fn terminal<F>(serve: F) -> Self
    where
        F: Fn(Connection) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync + 'static,
    {
        Self(Arc::new(Terminal(serve)))
    }

    /// Serves one connection until it ends.
    ///
    /// # Errors
    /// Why the connection ended before its time.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub fn run(&self, connection: Connection) -> BoxFuture<'static, Result<(), BoxError>> {
        self.0.run(connection)
    }
}

impl Service<Connection> for BoxConnectionService {
    type Response = ();
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<(), BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, connection: Connection) -> Self::Future {
        self.run(connection)
    }
}

impl fmt::Debug for BoxConnectionService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxConnectionService")
    }
}

trait ErasedConnectionService: Send + Sync {
    fn run(&self, connection: Connection) -> BoxFuture<'static, Result<(), BoxError>>;
}

struct Erased<S>(S);

impl<S> ErasedConnectionService for Erased<S>
where
    S: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn run(&self, connection: Connection) -> BoxFuture<'static, Result<(), BoxError>> {
        let mut service = self.0.clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
            service.call(connection).await.map_err(Into::into)
        })
    }
}

struct Terminal<F>(F);

impl<F> ErasedConnectionService for Terminal<F>
where
    F: Fn(Connection) -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync,
{
    fn run(&self, connection: Connection) -> BoxFuture<'static, Result<(), BoxError>> {
        (self.0)(connection)
    }
}

/// A connection layer from an async function.
///
/// ```
/// use server_abstractions::{Connection, Next, from_fn};
///
/// // Tells how long each connection lived.
/// let layer = from_fn(async |connection: Connection, next: Next| {
///     let begun = std::time::Instant::now();
///     let result = next.run(connection).await;
///     println!("a connection ended after {:?}", begun.elapsed());
///     result
/// });
/// # let _ = layer;
/// ```
pub fn from_fn<F, Fut>(function: F) -> FromFnLayer<F, Fut>
where
    F: Fn(Connection, Next) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    FromFnLayer { function, future: PhantomData }
}

/// The layer of [`from_fn`].
pub struct FromFnLayer<F, Fut> {
    function: F,
    future: PhantomData<fn() -> Fut>,
}

impl<F: Clone, Fut> Clone for FromFnLayer<F, Fut> {
    fn clone(&self) -> Self {
        Self { function: self.function.clone(), future: PhantomData }
    }
}

impl<F, Fut> fmt::Debug for FromFnLayer<F, Fut> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFnLayer")
    }
}

impl<S, F, Fut> Layer<S> for FromFnLayer<F, Fut>
where
    S: Service<Connection, Response = ()> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    F: Fn(Connection, Next) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    type Service = BoxConnectionService;

    fn layer(&self, inner: S) -> BoxConnectionService {
        BoxConnectionService(Arc::new(FromFn { function: self.function.clone(), next: Next::new(inner) }))
    }
}

struct FromFn<F> {
    function: F,
    next: Next,
}

impl<F, Fut> ErasedConnectionService for FromFn<F>
where
    F: Fn(Connection, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn run(&self, connection: Connection) -> BoxFuture<'static, Result<(), BoxError>> {
        Box::pin((self.function)(connection, self.next.clone()))
    }
}
