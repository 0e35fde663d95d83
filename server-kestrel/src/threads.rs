//! The runtimes that accept loops and connections run on.

use std::io;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;

use server_abstractions::StartError;
use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Threads;

/// One handle per accept loop of a socket.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    /// Ends the threads of the server's own.
    _stop: Option<DropGuard>,
}

impl Workers {
    /// Must be called within a runtime.
    pub(crate) fn start(threads: Threads) -> Result<Self, StartError> {
        match threads {
            Threads::Shared => {
                let runtime = Handle::current();
                let loops = match runtime.runtime_flavor() {
                    RuntimeFlavor::CurrentThread => 1,
                    _ => runtime.metrics().num_workers(),
                };
                Ok(Self { handles: vec![runtime; loops], _stop: None })
            }
            Threads::PerCore(count) => {
                let count =
                    count.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
                let stop = CancellationToken::new();
                let handles = (0..count)
                    .map(|index| start_thread(index, stop.clone()))
                    .collect::<io::Result<_>>()
                    .map_err(|error| {
                        StartError::new("cannot start a thread of the server").with_source(error)
                    })?;
                Ok(Self { handles, _stop: Some(stop.drop_guard()) })
            }
        }
    }

    pub(crate) fn handles(&self) -> &[Handle] {
        &self.handles
    }
}

/// A thread with a runtime of its own, which ends with the token.
fn start_thread(index: usize, stop: CancellationToken) -> io::Result<Handle> {
    let (send, receive) = mpsc::channel();
    thread::Builder::new().name(format!("kestrel-{index}")).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                let _ = send.send(Ok(runtime.handle().clone()));
                runtime.block_on(stop.cancelled());
                runtime.shutdown_background();
            }
            Err(error) => {
                let _ = send.send(Err(error));
            }
        }
    })?;
    receive.recv().map_err(io::Error::other)?
}
