use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::Error;

/// The life of the application, to be watched and ended from anywhere; clones are the same life.
///
/// A stop has two steps if [`HostOptions::shutdown_delay`](crate::HostOptions::shutdown_delay) says so: it is
/// [announced](Self::announced), which is for load balancers, and after the delay it [begins](Self::stopping), which is for
/// whoever answers without an end. Streams that ended with the announcement would come back at once to the instance that they
/// should leave, since it still gets requests. Without a delay both are the same moment.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let lifetime = hosting::ApplicationLifetime::default();
/// let watcher = lifetime.clone();
/// tokio::spawn(async move {
///     watcher.stopping().cancelled().await;
///     println!("tidying up");
/// });
/// lifetime.stop();
/// # }
/// ```
#[doc(alias = "IHostApplicationLifetime")]
#[derive(Clone, Debug, Default)]
pub struct ApplicationLifetime {
    started: CancellationToken,
    announced: CancellationToken,
    stopping: CancellationToken,
    stopped: CancellationToken,
    failure: Arc<Mutex<Option<Error>>>,
    /// Whether the host lets time pass between the announcement of the stop and its begin.
    is_delayed: Arc<AtomicBool>,
}

impl ApplicationLifetime {
    /// Fires when the server accepts requests and all services run. Never, if the start fails.
    #[doc(alias = "ApplicationStarted")]
    pub fn started(&self) -> &CancellationToken {
        &self.started
    }

    /// Fires when it is decided that the application stops: from now on it is not ready for more, though it still serves what
    /// comes until [`stopping`](Self::stopping) fires.
    pub fn announced(&self) -> &CancellationToken {
        &self.announced
    }

    /// Fires when the application begins to stop, [`HostOptions::shutdown_delay`](crate::HostOptions::shutdown_delay) after
    /// the announcement; requests are still being finished. Whoever answers without an end ends now.
    #[doc(alias = "ApplicationStopping")]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Fires when everything has stopped.
    #[doc(alias = "ApplicationStopped")]
    pub fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Asks the application to stop, as Ctrl+C does: the stop is announced, and without a delay it begins. More than once is the
    /// same as once.
    #[doc(alias = "StopApplication")]
    pub fn stop(&self) {
        self.announced.cancel();
        if !self.is_delayed.load(Ordering::Acquire) {
            self.stopping.cancel();
        }
    }

    /// Waits for somebody who asks for the stop by cancelling a token, and asks in full.
    pub(crate) async fn heed_tokens(&self) {
        tokio::select! {
            () = self.announced.cancelled() => {}
            () = self.stopping.cancelled() => {}
        }
        self.stop();
    }

    /// From now on the host itself begins the stop, some time after it is announced.
    pub(crate) fn delay_stop(&self) {
        self.is_delayed.store(true, Ordering::Release);
    }

    /// The delay is over, or there is none.
    pub(crate) fn begin_stop(&self) {
        self.announced.cancel();
        self.stopping.cancel();
    }

    /// Asks the application to stop because something has failed; [`Host::run`](crate::Host::run) then ends with
    /// this error, the first one if there are several.
    pub fn fail(&self, error: impl Into<Error>) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| error.into());
        self.stop();
    }

    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
