//! A host whose server runs, and how it ends.

use std::fmt;
use std::time::Duration;

use server_abstractions::{Address, FeatureCollection, Running, Stopped};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::HostOptions;
use crate::logging::LIFETIME;
use crate::stop_progress::StopProgress;
use crate::{ApplicationLifetime, Error, HostedService, notify};

/// A host whose server accepts requests. Dropping it ends everything at once; [`stop`](Self::stop) ends it in order.
pub struct RunningHost {
    pub(super) running: Running,
    pub(super) services: Vec<Box<dyn HostedService>>,
    pub(super) options: HostOptions,
    pub(super) lifetime: ApplicationLifetime,
    /// Sees a stop that somebody has asked for by a token.
    pub(super) _asked: AbortOnDropHandle<()>,
}

impl RunningHost {
    /// The addresses that the server listens on.
    pub fn addresses(&self) -> Vec<Address> {
        self.running.addresses()
    }

    /// The features of the running server.
    pub fn server_features(&self) -> &FeatureCollection {
        self.running.features()
    }

    /// The life of the application.
    pub fn lifetime(&self) -> &ApplicationLifetime {
        &self.lifetime
    }

    /// Waits for a reason to stop: [`ApplicationLifetime::stop`], or a server that has ended by itself.
    ///
    /// # Errors
    /// What the server ended with.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    #[doc(alias = "WaitForShutdownAsync")]
    pub async fn wait(&mut self) -> Result<(), Error> {
        tokio::select! {
            ended = self.running.finished() => {
                ended.map_err(|error| Error::new("the server failed").with_source(error))
            }
            () = self.lifetime.announced().cancelled() => Ok(()),
        }
    }

    /// Stops: after the [delay](HostOptions::shutdown_delay), if there is one, the server finishes what is under way, then the
    /// services stop in reverse order, both within the shutdown timeout. When it has passed, each service still has a second, and
    /// all of them together have five.
    ///
    /// # Cancel safety
    /// Dropping the future ends at once what has not stopped yet.
    #[doc(alias = "StopAsync")]
    pub async fn stop(self) -> Stopped {
        self.stop_in_order(None).await
    }

    /// The same. Under [`Host::run`](crate::Host::run) a supervisor is told of each step, and there is a token that ends delay
    /// and grace.
    pub(super) async fn stop_in_order(mut self, hurry: Option<&CancellationToken>) -> Stopped {
        self.let_others_know(hurry).await;
        self.lifetime.begin_stop();
        if !self.options.suppress_status_messages {
            tracing::info!(target: LIFETIME, "Application is shutting down...");
        }
        if hurry.is_some() {
            notify::stopping(self.options.shutdown_timeout);
        }
        let deadline = Instant::now() + self.options.shutdown_timeout;
        let grace = self.options.shutdown_grace.min(self.options.shutdown_timeout);
        if !grace.is_zero() {
            self.running.retire(sleep_unless(grace, hurry)).await;
        }
        let stopped = stop_server(self.running, &self.options, deadline, hurry.is_some()).await;
        stop_services(&mut self.services, deadline).await;
        self.lifetime.stopped().cancel();
        stopped
    }

    /// Announces the stop and goes on for the delay, unless the server has ended by itself.
    async fn let_others_know(&mut self, hurry: Option<&CancellationToken>) {
        let delay = self.options.shutdown_delay;
        self.lifetime.announced().cancel();
        if delay.is_zero() {
            return;
        }
        self.running.announce();
        if !self.options.suppress_status_messages {
            tracing::info!(target: LIFETIME, "Application will shut down in {delay:?}; it still takes requests.");
        }
        if hurry.is_some() {
            notify::stopping_after(delay);
        }
        tokio::select! {
            () = sleep_unless(delay, hurry) => {}
            ended = self.running.finished() => {
                if let Err(error) = ended {
                    tracing::error!(error = &error as &dyn std::error::Error, "the server failed before it was stopped");
                }
            }
        }
    }

    pub(super) fn report_start(&self) {
        if self.options.suppress_status_messages {
            return;
        }
        for address in self.addresses() {
            tracing::info!(target: LIFETIME, "Now listening on: {address}");
        }
        tracing::info!(target: LIFETIME, "Application started. Press Ctrl+C to shut down.");
        let environment = &self.options.environment;
        tracing::info!(target: LIFETIME, "Hosting environment: {}", environment.name);
        tracing::info!(target: LIFETIME, "Content root path: {}", environment.content_root.display());
    }
}

impl fmt::Debug for RunningHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningHost").field("running", &self.running).field("options", &self.options).finish()
    }
}

/// Stops the server until the deadline. A supervisor is told meanwhile how much is left, if that is wanted.
async fn stop_server(running: Running, options: &HostOptions, deadline: Instant, is_told: bool) -> Stopped {
    let progress = StopProgress::of(running.features());
    let stop = running.stop(async {
        sleep_until(deadline).await;
        let timeout = options.shutdown_timeout;
        tracing::warn!(?timeout, "the shutdown timeout has passed; {}", progress.what_is_aborted());
    });
    if is_told { progress.told_until(stop).await } else { stop.await }
}

/// Resolves after this time, or when the token fires.
async fn sleep_unless(time: Duration, hurry: Option<&CancellationToken>) {
    match hurry {
        Some(hurry) => drop(hurry.run_until_cancelled(sleep(time)).await),
        None => sleep(time).await,
    }
}

/// So long each service has at least, also when the deadline has passed: the server may have needed all of the time.
const LEAST: Duration = Duration::from_secs(1);

/// So long after the deadline all of them together have at the most.
const OVERTIME: Duration = Duration::from_secs(5);

pub(super) async fn stop_services(services: &mut [Box<dyn HostedService>], deadline: Instant) {
    let end = deadline.max(Instant::now()) + OVERTIME;
    for service in services.iter_mut().rev() {
        let deadline = deadline.max(Instant::now() + LEAST).min(end);
        match timeout_at(deadline, service.stop()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(service = service.name(), error, "the service failed to stop"),
            Err(_) => tracing::warn!(service = service.name(), "the service did not stop in time"),
        }
    }
}
