//! The configuration is read again: when its files change, and at SIGHUP, after which a supervisor is told that it is done.

use std::time::Duration;

use server_abstractions::{BoxFuture, FeatureCollection, ServerAddressesFeature, ServerLivenessFeature};
use tokio::time::timeout;

use crate::signals::{Hangup, ReloadSignal};
use crate::{ApplicationLifetime, Error, notify};

/// Reads everything again that can be; how it went is an event.
pub(crate) type Reload = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// The files of the configuration, the variables as they were.
#[cfg(feature = "kestrel")]
pub(crate) fn reading(monitor: &crate::ConfigurationMonitor) -> Reload {
    let monitor = monitor.clone();
    Box::new(move || {
        let monitor = monitor.clone();
        Box::pin(async move { monitor.read_again("is wanted anew (SIGHUP)").await })
    })
}

/// Has the files of the configuration read again when they change.
#[cfg(feature = "kestrel")]
pub(crate) fn watching(monitor: crate::ConfigurationMonitor) -> impl crate::HostedService {
    crate::background("configuration", async move |stopping: crate::CancellationToken| {
        stopping.run_until_cancelled(monitor.watch_files()).await;
        Ok(())
    })
}

/// How long the server may take to go over to its new options, before the supervisor is told that all is done.
const LIMIT: Duration = Duration::from_secs(30);

/// What happens at a SIGHUP while the application runs.
pub(crate) struct Reloading {
    reload: Reload,
    signal: ReloadSignal,
}

impl Reloading {
    /// Listens from now on, so that a signal during the start is heard after it.
    pub(crate) fn listen(reload: Reload) -> Result<Self, Error> {
        Ok(Self { reload, signal: ReloadSignal::listen()? })
    }

    /// Reloads at each signal, until it is dropped or the stop is announced.
    pub(crate) async fn run(mut self, server: FeatureCollection, lifetime: ApplicationLifetime) {
        let announced = lifetime.announced().clone();
        while let Some(hangup) = announced.run_until_cancelled(self.signal.received()).await {
            if hangup == Hangup::TerminalGone {
                tracing::info!("the terminal is gone; the application stops (SIGHUP)");
                return lifetime.stop();
            }
            notify::reloading();
            (self.reload)().await;
            if let Some(server) = server.get::<dyn ServerLivenessFeature>() {
                let applied = announced.run_until_cancelled(server.is_alive());
                if timeout(LIMIT, applied).await.is_err() {
                    tracing::warn!(limit = ?LIMIT, "the server has not gone over to its new options yet");
                }
            }
            if !announced.is_cancelled() {
                let addresses = server.get::<dyn ServerAddressesFeature>();
                notify::ready(&addresses.map(|feature| feature.addresses()).unwrap_or_default());
            }
        }
    }
}
