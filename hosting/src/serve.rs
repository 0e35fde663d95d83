use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use server_abstractions::{App, BoxFuture, IntoService, Server};
use server_kestrel::{Endpoint, Kestrel, KestrelOptions};

use crate::{Error, connect_info};

/// Serves an app on a listener until the future that comes of it is dropped or its shutdown signal fires: what
/// `axum::serve` does, with Kestrel's limits and its graceful stop.
///
/// ```
/// use hosting::{Body, Request, Response};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let app = async |_: Request<Body>| Response::new(Body::from("Hello"));
/// hosting::serve(listener, app).with_graceful_shutdown(async { /* a signal */ }).await?;
/// # Ok(())
/// # }
/// ```
pub fn serve<M>(listener: impl IntoEndpoint, app: impl IntoService<M>) -> Serve {
    Serve {
        endpoint: listener.into_endpoint(),
        app: App::new(app),
        options: KestrelOptions { inherit_listeners: false, ..KestrelOptions::default() },
        signal: Box::pin(std::future::pending()),
        shutdown_timeout: Duration::from_secs(30),
    }
}

/// What [`serve`] can listen on.
pub trait IntoEndpoint {
    /// Makes the endpoint.
    ///
    /// # Errors
    /// When the listener cannot leave the runtime that it belongs to.
    fn into_endpoint(self) -> std::io::Result<Endpoint>;
}

impl IntoEndpoint for Endpoint {
    fn into_endpoint(self) -> std::io::Result<Self> {
        Ok(self)
    }
}

impl IntoEndpoint for tokio::net::TcpListener {
    fn into_endpoint(self) -> std::io::Result<Endpoint> {
        self.into_std().map(Endpoint::descriptor)
    }
}

impl IntoEndpoint for std::net::TcpListener {
    fn into_endpoint(self) -> std::io::Result<Endpoint> {
        Ok(Endpoint::descriptor(self))
    }
}

#[cfg(unix)]
impl IntoEndpoint for tokio::net::UnixListener {
    fn into_endpoint(self) -> std::io::Result<Endpoint> {
        self.into_std().map(Endpoint::descriptor)
    }
}

#[cfg(unix)]
impl IntoEndpoint for std::os::unix::net::UnixListener {
    fn into_endpoint(self) -> std::io::Result<Endpoint> {
        Ok(Endpoint::descriptor(self))
    }
}

/// The future of [`serve`], to be awaited.
#[must_use = "nothing is served until this is awaited"]
pub struct Serve {
    endpoint: std::io::Result<Endpoint>,
    app: App,
    options: KestrelOptions,
    signal: BoxFuture<'static, ()>,
    shutdown_timeout: Duration,
}

impl Serve {
    /// Stops gracefully when `signal` resolves: what is under way is finished within the shutdown timeout.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = Box::pin(signal);
        self
    }

    /// How long a graceful stop may take. Default is 30 seconds.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    /// Changes the options of the server.
    pub fn options(mut self, change: impl FnOnce(&mut KestrelOptions)) -> Self {
        change(&mut self.options);
        self
    }
}

impl IntoFuture for Serve {
    type Output = Result<(), Error>;
    type IntoFuture = BoxFuture<'static, Result<(), Error>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { endpoint, app, mut options, signal, shutdown_timeout } = self;
            let endpoint =
                endpoint.map_err(|error| Error::new("the listener cannot be served").with_source(error))?;
            options.endpoints.insert(0, endpoint);
            let mut running = Box::new(Kestrel::new(options)).start(connect_info::add(app)).await?;
            tokio::select! {
                ended = running.finished() => {
                    return ended.map_err(|error| Error::new("the server failed").with_source(error));
                }
                () = signal => {}
            }
            running.stop(tokio::time::sleep(shutdown_timeout)).await;
            Ok(())
        })
    }
}

impl fmt::Debug for Serve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("endpoint", &self.endpoint)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
