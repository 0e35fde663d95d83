//! The signals that end an application.

use tokio_util::sync::CancellationToken;

use crate::Error;

/// Ctrl+C, SIGTERM and SIGQUIT, from the moment they are listened to.
pub(crate) struct StopSignals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    quit: tokio::signal::unix::Signal,
}

impl StopSignals {
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};

        let listen = |kind| {
            signal(kind)
                .map_err(|error| Error::new("the process cannot listen to signals").with_source(error))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            quit: listen(SignalKind::quit())?,
        })
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Resolves at the next signal.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.quit.recv() => {}
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn received(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    /// Ends the process at the next Ctrl+C: whoever presses it twice does not want to wait. Other signals are sent
    /// by supervisors, which have their own way to insist; they only cancel the token.
    pub(crate) async fn impatience(mut self, hurry: CancellationToken) {
        #[cfg(unix)]
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => break,
                _ = self.terminate.recv() => hurry.cancel(),
                _ = self.quit.recv() => hurry.cancel(),
            }
        }
        #[cfg(not(unix))]
        {
            self.received().await;
            hurry.cancel();
        }
        tracing::warn!("a second Ctrl+C: ending at once");
        std::process::exit(130);
    }
}
