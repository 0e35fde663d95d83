use std::{convert::Infallible, io};

use tokio::signal::windows::{CtrlC, ctrl_c};

/// Ctrl+C, which the console sends to the program as well as to us: we only outlive it.
pub(crate) struct Signals {
    interrupt: CtrlC,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: ctrl_c()? })
    }

    /// Waits for ever.
    pub(crate) async fn hand_on(&mut self, _process: Option<u32>) -> Infallible {
        loop {
            self.interrupt.recv().await;
        }
    }
}
