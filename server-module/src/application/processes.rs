//! Processes that are in no place: those that start, and those that end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backend::{Backend, Unready};
use crate::status::{WorkerState, WorkerStatus};
use crate::worker::memory;

/// What is shown of them.
#[derive(Debug, Default)]
pub(super) struct Processes(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    next: u64,
    there: BTreeMap<u64, Process>,
}

#[derive(Clone, Debug)]
enum Process {
    Starting(Unready),
    Ending(Arc<Backend>),
}

/// A process that is shown as long as this is there.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    processes: &'a Processes,
    number: u64,
}

impl Processes {
    /// A process has been started, and it is waited until it listens.
    pub(super) fn starting(&self, process: Unready) -> Shown<'_> {
        self.show(Process::Starting(process))
    }

    /// A process is told to end.
    pub(super) fn ending(&self, backend: &Arc<Backend>) -> Shown<'_> {
        self.show(Process::Ending(Arc::clone(backend)))
    }

    fn show(&self, process: Process) -> Shown<'_> {
        let mut known = self.known();
        let number = known.next;
        known.next += 1;
        known.there.insert(number, process);
        Shown { processes: self, number }
    }

    pub(super) fn status(&self) -> Vec<WorkerStatus> {
        // Memory takes a look into files, for which nobody is to wait.
        let there: Vec<_> = self.known().there.values().cloned().collect();
        there.iter().map(Process::status).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Process {
    fn status(&self) -> WorkerStatus {
        match self {
            Self::Starting(process) => WorkerStatus {
                pid: process.pid.as_raw_pid(),
                state: WorkerState::Starting,
                port: Some(process.port),
                uptime: Duration::ZERO,
                requests: Some(0),
                memory_bytes: memory(process.guard),
            },
            Self::Ending(backend) => WorkerStatus { state: WorkerState::Stopping, ..backend.status() },
        }
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        self.processes.known().there.remove(&self.number);
    }
}
