//! The signals that end an application, and the one that has it read its configuration again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::Error;

/// What is done before a second Ctrl+C ends the process.
pub(crate) type Tidy = Box<dyn FnOnce() + Send>;

/// How long that may take.
const TIDYING: Duration = Duration::from_secs(5);

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

    /// Resolves at the next Ctrl+C, once what is to be done before the end has been: whoever presses it twice does not want to
    /// wait. `insisted` fires first. Other signals are sent by supervisors, which have their own way to insist; they only cancel
    /// `hurry`.
    pub(crate) async fn impatience(
        mut self,
        hurry: CancellationToken,
        insisted: CancellationToken,
        tidy: Option<Tidy>,
    ) {
        self.interrupted(&hurry).await;
        insisted.cancel();
        tracing::warn!("a second Ctrl+C: ending at once");
        let Some(tidy) = tidy else { return };
        tokio::select! {
            tidied = tokio::time::timeout(TIDYING, tokio::task::spawn_blocking(tidy)) => {
                if tidied.is_err() {
                    tracing::warn!(limit = ?TIDYING, "what is done before the end takes too long, and is left where it is");
                }
            }
            () = self.interrupted(&hurry) => {}
        }
    }

    #[cfg(unix)]
    async fn interrupted(&mut self, hurry: &CancellationToken) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => hurry.cancel(),
                _ = self.quit.recv() => hurry.cancel(),
            }
        }
    }

    #[cfg(not(unix))]
    async fn interrupted(&mut self, hurry: &CancellationToken) {
        self.received().await;
        hurry.cancel();
    }
}

/// SIGHUP, from the moment it is listened to.
pub(crate) struct ReloadSignal {
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    #[cfg(unix)]
    had_terminal: bool,
}

/// What SIGHUP stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// Somebody has sent it.
    Reload,
    /// The terminal from which the program was started is gone.
    TerminalGone,
}

impl ReloadSignal {
    #[cfg(unix)]
    pub(crate) fn listen() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};

        let hangup = signal(SignalKind::hangup())
            .map_err(|error| Error::new("the process cannot listen to SIGHUP").with_source(error))?;
        Ok(Self { hangup, had_terminal: has_terminal() })
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Resolves at the next signal; never where there is none.
    #[cfg(unix)]
    pub(crate) async fn received(&mut self) -> Hangup {
        if self.hangup.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        if self.had_terminal && !has_terminal() { Hangup::TerminalGone } else { Hangup::Reload }
    }

    #[cfg(not(unix))]
    pub(crate) async fn received(&mut self) -> Hangup {
        std::future::pending().await
    }
}

/// Whether the process has a controlling terminal, which it loses when that is closed (tty_ioctl(4)).
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::process::{Signal, getpid, kill_process};
    use tokio::time::{sleep, timeout};

    use super::*;
    use CancellationToken as Token;

    const SOON: Duration = Duration::from_secs(3);

    fn press() {
        kill_process(getpid(), Signal::INT).expect("a signal to this process");
    }

    // One test, since a signal is everybody's in a process.
    #[tokio::test]
    async fn what_is_to_be_done_before_the_end_is_done_first_unless_somebody_insists_again() {
        let count = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&count);
        let tidy: Tidy = Box::new(move || counted.store(1, Ordering::SeqCst));
        let signals = StopSignals::listen().unwrap();
        let insisted = Token::new();
        let impatience = tokio::spawn(signals.impatience(Token::new(), insisted.clone(), Some(tidy)));
        sleep(Duration::from_millis(50)).await;
        assert_eq!((count.load(Ordering::SeqCst), impatience.is_finished()), (0, false));
        press();
        timeout(SOON, impatience).await.unwrap().unwrap();
        assert!(count.load(Ordering::SeqCst) == 1 && insisted.is_cancelled());

        let (begun, has_begun) = std::sync::mpsc::channel();
        let (_held, hold) = std::sync::mpsc::channel::<()>();
        let hanging: Tidy = Box::new(move || {
            begun.send(()).unwrap();
            let _ = hold.recv_timeout(SOON * 10);
        });
        let signals = StopSignals::listen().unwrap();
        let impatience = tokio::spawn(signals.impatience(Token::new(), Token::new(), Some(hanging)));
        press();
        tokio::task::spawn_blocking(move || has_begun.recv_timeout(SOON)).await.unwrap().unwrap();
        assert!(!impatience.is_finished());
        press();
        timeout(SOON, impatience).await.unwrap().unwrap();
    }
}
