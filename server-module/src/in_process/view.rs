use rustix::process::Pid;
use tokio::time::Instant;

use crate::worker::memory;
use crate::{ApplicationState, ApplicationStatus, WorkerStatus};

/// What is shown of an application, as its supervisor left it last.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) state: ApplicationState,
    pub(super) workers: Vec<Seen>,
    pub(super) starts: u64,
    pub(super) failures: u64,
    pub(super) last_exit: Option<String>,
}

/// A worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) pid: Pid,
    pub(super) guard: Pid,
    /// None: not yet.
    pub(super) ready_since: Option<Instant>,
}

impl View {
    pub(super) fn new() -> Self {
        Self { state: ApplicationState::Idle, workers: Vec::new(), starts: 0, failures: 0, last_exit: None }
    }

    pub(super) fn status(self, name: &str) -> ApplicationStatus {
        let workers = self.workers.iter().map(|worker| WorkerStatus {
            pid: worker.pid.as_raw_pid(),
            port: None,
            uptime: worker.ready_since.map(|since| since.elapsed()).unwrap_or_default(),
            requests: None,
            memory_bytes: memory(worker.guard),
        });
        ApplicationStatus {
            name: name.to_owned(),
            hosting_model: "inProcess",
            state: self.state,
            workers: workers.collect(),
            starts: self.starts,
            failures: self.failures,
            last_exit: self.last_exit,
        }
    }
}
