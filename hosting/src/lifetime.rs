use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::Error;

/// The life of the application, to be watched and ended from anywhere; clones are the same life.
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
    stopping: CancellationToken,
    stopped: CancellationToken,
    failure: Arc<Mutex<Option<Error>>>,
}

impl ApplicationLifetime {
    /// Fires when the server accepts requests and all services run. Never, if the start fails.
    #[doc(alias = "ApplicationStarted")]
    pub fn started(&self) -> &CancellationToken {
        &self.started
    }

    /// Fires when the application begins to stop; requests are still being finished.
    #[doc(alias = "ApplicationStopping")]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Fires when everything has stopped.
    #[doc(alias = "ApplicationStopped")]
    pub fn stopped(&self) -> &CancellationToken {
        &self.stopped
    }

    /// Asks the application to stop, as Ctrl+C does. More than once is the same as once.
    #[doc(alias = "StopApplication")]
    pub fn stop(&self) {
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
