use std::time::Duration;

use rustix::process::Pid;
use tokio::time::Instant;

use crate::worker::memory;
use crate::{ApplicationState, ApplicationStatus, WorkerState, WorkerStatus};

/// What is shown of an application, as its supervisor left it last.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub(super) state: ApplicationState,
    pub(super) workers: Vec<Seen>,
    pub(super) starts: u64,
    pub(super) failures: u64,
    pub(super) startup_limit: Duration,
    pub(super) last_exit: Option<String>,
}

/// A worker.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) pid: Pid,
    pub(super) guard: Pid,
    pub(super) state: WorkerState,
    /// None: not yet.
    pub(super) ready_since: Option<Instant>,
}

impl View {
    pub(super) fn new(startup_limit: Duration) -> Self {
        Self {
            state: ApplicationState::Idle,
            workers: Vec::new(),
            starts: 0,
            failures: 0,
            startup_limit,
            last_exit: None,
        }
    }

    pub(super) fn status(self, name: &str) -> ApplicationStatus {
        let workers = self.workers.iter().map(|worker| WorkerStatus {
            pid: worker.pid.as_raw_pid(),
            state: worker.state,
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
            startup_time_limit: self.startup_limit,
            last_exit: self.last_exit,
        }
    }
}
