use std::fmt;

use crate::{Address, App, BoxError, BoxFuture, FeatureCollection, Lifetime, ServerAddressesFeature};

/// An HTTP server, ready to be started with an app.
///
/// The trait says nothing of sockets or connections: a server may as well take its requests from a kernel driver or
/// from memory. To be started twice, stopped before the start or asked for its port before it is bound cannot be
/// expressed.
#[doc(alias = "IServer")]
pub trait Server: Send {
    /// What the server offers before it runs. A server that listens on addresses offers
    /// [`ServerAddressesFeature`], through which the host tells it the addresses it was configured with.
    fn features(&self) -> &FeatureCollection;

    /// Starts the server; when the future resolves it accepts requests.
    ///
    /// # Errors
    /// The future fails when the server cannot start; nothing is left half started.
    ///
    /// # Cancel safety
    /// Dropping the future stops what was started so far.
    #[doc(alias = "StartAsync")]
    fn start(self: Box<Self>, app: App) -> BoxFuture<'static, Result<Running, StartError>>;
}

impl<S: Server + ?Sized> Server for Box<S> {
    fn features(&self) -> &FeatureCollection {
        (**self).features()
    }

    fn start(self: Box<Self>, app: App) -> BoxFuture<'static, Result<Running, StartError>> {
        (*self).start(app)
    }
}

/// A server that runs. Dropping it stops it at once; [`stop`](Self::stop) stops it gracefully.
pub struct Running {
    features: FeatureCollection,
    lifetime: Lifetime,
    finished: BoxFuture<'static, Result<(), BoxError>>,
    ended: bool,
}

/// How a server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything under way was finished.
    Drained,
    /// The deadline passed first; what was still under way was aborted.
    Aborted,
}

impl Running {
    /// For servers: a running server from its features, the lifetime that ends it, and the future of its work.
    ///
    /// `finished` must resolve soon once `lifetime` aborts (the Kestrel server allows itself one second), and by
    /// itself only if the server failed or every part of it has ended.
    pub fn new(
        features: FeatureCollection,
        lifetime: Lifetime,
        finished: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) -> Self {
        Self { features, lifetime, finished: Box::pin(finished), ended: false }
    }

    /// The features of the server, those that exist only once it runs included.
    pub fn features(&self) -> &FeatureCollection {
        &self.features
    }

    /// The addresses that the server really listens on; empty if it listens on none.
    #[doc(alias = "IServerAddressesFeature")]
    pub fn addresses(&self) -> Vec<Address> {
        self.features
            .get::<dyn ServerAddressesFeature>()
            .map(|feature| feature.addresses())
            .unwrap_or_default()
    }

    /// Resolves when the server has ended by itself; afterwards it resolves at once with `Ok`.
    ///
    /// # Errors
    /// What made the server end.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub async fn finished(&mut self) -> Result<(), ServerError> {
        if self.ended {
            return Ok(());
        }
        let result = self.finished.as_mut().await;
        self.ended = true;
        result.map_err(|source| ServerError { source })
    }

    /// Announces a stop, if the server can: requests are taken and answered as before, and each connection ends with its next
    /// answer, which says so (`connection: close`, or GOAWAY at once over HTTP/2). [`stop`](Self::stop) comes after it.
    ///
    /// For the time in which load balancers learn that the server is about to go.
    pub fn announce(&self) {
        self.lifetime.announce();
    }

    /// Begins a stop gently, if the server can: nothing new is taken, and each connection ends with its next answer, which
    /// says so. Resolves with `grace`, or earlier when nothing is left; [`stop`](Self::stop) comes after it.
    ///
    /// For a server whose work goes on elsewhere: clients that keep their connections lose no request to one that is
    /// being closed.
    ///
    /// # Cancel safety
    /// Dropping the future ends the wait, and the server goes on to end.
    pub async fn retire(&mut self, grace: impl Future<Output = ()>) {
        self.lifetime.retire();
        let mut grace = std::pin::pin!(grace);
        let mut finished = std::pin::pin!(self.finished());
        let ended = std::future::poll_fn(|cx| match finished.as_mut().poll(cx) {
            std::task::Poll::Ready(result) => std::task::Poll::Ready(result),
            std::task::Poll::Pending => grace.as_mut().poll(cx).map(Ok),
        });
        if let Err(error) = ended.await {
            tracing::error!(error = %error.source, "the server failed while it stopped");
        }
    }

    /// Stops gracefully: nothing new is taken, what runs is finished; when `deadline` resolves, the rest is aborted.
    ///
    /// A server that fails while it stops is reported by its own event; the stop goes on.
    ///
    /// # Cancel safety
    /// Dropping the future aborts what is still under way.
    #[doc(alias = "StopAsync")]
    pub async fn stop(mut self, deadline: impl Future<Output = ()>) -> Stopped {
        self.lifetime.drain();
        let mut deadline = std::pin::pin!(deadline);
        let drained = {
            let mut finished = std::pin::pin!(self.finished());
            std::future::poll_fn(|cx| {
                // The work is looked at first: what is done when the deadline comes counts as drained.
                if let std::task::Poll::Ready(result) = finished.as_mut().poll(cx) {
                    return std::task::Poll::Ready(Some(result));
                }
                deadline.as_mut().poll(cx).map(|()| None)
            })
            .await
        };
        let (stopped, result) = match drained {
            Some(result) => (Stopped::Drained, result),
            None => {
                self.lifetime.abort();
                (Stopped::Aborted, self.finished().await)
            }
        };
        if let Err(error) = result {
            tracing::error!(error = %error.source, "the server failed while it stopped");
        }
        stopped
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.lifetime.abort();
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running")
            .field("addresses", &self.addresses())
            .field("lifetime", &self.lifetime)
            .finish()
    }
}

/// Why a server did not start: what was attempted, on what, and what to do. The cause, if any, is the source.
#[derive(Debug)]
pub struct StartError {
    message: String,
    kind: StartErrorKind,
    source: Option<BoxError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartErrorKind {
    Configuration,
    AddressInUse,
    Other,
}

impl StartError {
    /// An error with its message: lower case, one line, without the cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), kind: StartErrorKind::Other, source: None }
    }

    /// An option or a combination of options that the server refuses.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self { kind: StartErrorKind::Configuration, ..Self::new(message) }
    }

    /// An address that somebody else listens on.
    pub fn address_in_use(message: impl Into<String>) -> Self {
        Self { kind: StartErrorKind::AddressInUse, ..Self::new(message) }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says before the message what was being attempted.
    #[must_use]
    pub fn while_attempting(mut self, attempt: impl fmt::Display) -> Self {
        self.message = format!("{attempt}: {}", self.message);
        self
    }

    /// Whether an address is in use by somebody else.
    pub fn is_address_in_use(&self) -> bool {
        self.kind == StartErrorKind::AddressInUse
    }

    /// Whether the options are at fault, so that another try cannot succeed.
    pub fn is_configuration(&self) -> bool {
        self.kind == StartErrorKind::Configuration
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

/// Why a running server ended by itself; the cause is the source.
#[derive(Debug)]
pub struct ServerError {
    source: BoxError,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server ended by itself")
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(lifetime: &Lifetime) -> Running {
        let completed = lifetime.completed();
        Running::new(FeatureCollection::new(), lifetime.clone(), async move {
            completed.await;
            Ok(())
        })
    }

    #[tokio::test]
    async fn a_stop_waits_for_what_is_under_way() {
        let (lifetime, guard) = Lifetime::new();
        let server = running(&lifetime);
        let draining = lifetime.draining();
        tokio::spawn(async move {
            draining.await;
            tokio::task::yield_now().await;
            drop(guard);
        });
        assert_eq!(server.stop(std::future::pending()).await, Stopped::Drained);
        assert!(!lifetime.is_aborting() || lifetime.is_draining());
    }

    #[tokio::test]
    async fn the_deadline_aborts_the_rest() {
        let (lifetime, guard) = Lifetime::new();
        let server = running(&lifetime);
        let aborting = lifetime.aborting();
        tokio::spawn(async move {
            aborting.await;
            drop(guard);
        });
        assert_eq!(server.stop(std::future::ready(())).await, Stopped::Aborted);
    }

    #[tokio::test]
    async fn a_server_retires_until_the_grace_is_over_or_nothing_is_left() {
        let (lifetime, guard) = Lifetime::new();
        let mut server = running(&lifetime);
        server.retire(std::future::ready(())).await;
        lifetime.retiring().await;
        assert!(!lifetime.is_draining());
        drop(guard);
        server.retire(std::future::pending()).await;
        assert_eq!(server.stop(std::future::pending()).await, Stopped::Drained);
    }

    #[tokio::test]
    async fn an_announced_stop_has_not_begun() {
        let (lifetime, guard) = Lifetime::new();
        let server = running(&lifetime);
        server.announce();
        lifetime.announced().await;
        assert!(!lifetime.is_draining());
        drop(guard);
        assert_eq!(server.stop(std::future::pending()).await, Stopped::Drained);
    }

    #[test]
    fn dropping_a_running_server_aborts_it() {
        let (lifetime, _guard) = Lifetime::new();
        drop(running(&lifetime));
        assert!(lifetime.is_aborting());
    }
}
