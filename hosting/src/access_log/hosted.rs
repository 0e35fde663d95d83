//! The log of a `WebApplication`.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use server_abstractions::{App, Body, BoxError, BoxFuture, ConnectionObserver};
use tower_layer::Layer;
use tower_service::Service;

use super::record::InnerFeatures;
use super::{AccessLog, AccessLogLayer, section};
use crate::startup::Startup;
use crate::{ApplicationLifetime, Error, HostedService};

/// So long a stop waits for the output of the log.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

/// What the configuration says about an access log, and the layers around the application that come of it.
///
/// The log stands outermost, so that it tells what every other layer answers too, and takes the client's address from
/// where the application's own service begins, behind every layer that has found out about proxies.
pub(crate) struct HostedAccessLog(Option<AccessLog>);

impl HostedAccessLog {
    pub(crate) fn configured(startup: &Startup) -> Result<Self, Error> {
        Ok(Self(section::log(&startup.configuration, &startup.environment)?))
    }

    /// What hears of the requests that no layer sees.
    pub(crate) fn observer(&self) -> Option<Arc<dyn ConnectionObserver>> {
        self.0.clone().map(|log| -> Arc<dyn ConnectionObserver> { Arc::new(log) })
    }

    /// Innermost.
    pub(crate) fn note(&self, app: App) -> App {
        if self.0.is_some() { App::new(Noted(app)) } else { app }
    }

    /// Outermost.
    pub(crate) fn surround(&self, app: App) -> App {
        match &self.0 {
            Some(log) => App::new(AccessLogLayer::looking_inside(log).layer(app)),
            None => app,
        }
    }

    /// What writes the last lines at the stop, behind everything that could add some.
    pub(crate) fn service(self) -> Option<Box<dyn HostedService>> {
        self.0.map(|log| -> Box<dyn HostedService> { Box::new(LastLines(log)) })
    }
}

struct LastLines(AccessLog);

impl HostedService for LastLines {
    fn name(&self) -> &str {
        "access log"
    }

    fn start<'a>(&'a mut self, _: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            if tokio::time::timeout(FLUSH_LIMIT, self.0.flush()).await.is_err() {
                let lines = self.0.waiting_lines();
                return Err(format!("{lines} lines wait for an output that takes none").into());
            }
            Ok(())
        })
    }
}

/// Tells an [`AccessLogLayer`] further out the features of the request as they are here.
#[derive(Clone)]
struct Noted(App);

impl Service<Request<Body>> for Noted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <App as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if let Some(inner) = request.extensions().get::<InnerFeatures>() {
            inner.note(&request);
        }
        self.0.call(request)
    }
}
