use std::{convert::Infallible, fs::File, io};

use nix::unistd::{getpgrp, tcgetpgrp};
use rustix::process::{Pid, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask a program to end.
pub(crate) struct Signals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on these signals do not end us.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Sends every signal on to the process, for ever.
    ///
    /// Ctrl+C and Ctrl+\ are not sent on: the terminal sends them to all of its foreground programs, and a
    /// second one would end the program at once. A signal does not say who sent it, so while we are in the
    /// foreground an interrupt is taken for the terminal's; who means us alone sends `SIGTERM`.
    ///
    /// # Cancel safety
    /// A signal that came is sent on before the next wait.
    pub(crate) async fn hand_on(&mut self, process: Option<u32>) -> Infallible {
        loop {
            let signal = tokio::select! {
                _ = self.interrupt.recv() => (!in_foreground()).then_some(rustix::process::Signal::INT),
                _ = self.quit.recv() => (!in_foreground()).then_some(rustix::process::Signal::QUIT),
                _ = self.terminate.recv() => Some(rustix::process::Signal::TERM),
            };
            let process = process.and_then(|process| Pid::from_raw(process.try_into().ok()?));
            if let (Some(signal), Some(process)) = (signal, process) {
                // The process may be gone already; then waiting for it ends.
                let _ = kill_process(process, signal);
            }
        }
    }
}

/// Whether the keys of our terminal reach us.
fn in_foreground() -> bool {
    File::open("/dev/tty").is_ok_and(|terminal| tcgetpgrp(&terminal) == Ok(getpgrp()))
}
