//! What is told about applications, and what can be asked of them.

use std::fmt;
use std::time::Duration;

use hosting::BoxFuture;
use serde::Serialize;

/// How an application is.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ApplicationStatus {
    /// Its name.
    pub name: String,
    /// `inProcess` or `outOfProcess`.
    pub hosting_model: &'static str,
    /// What it does now.
    pub state: ApplicationState,
    /// Its processes.
    pub workers: Vec<WorkerStatus>,
    /// How often a process of it was started.
    pub starts: u64,
    /// How often a process of it has ended by itself, or could not be started.
    pub failures: u64,
    /// How long a process may take until it is ready.
    #[serde(rename = "startupTimeLimitSeconds", serialize_with = "seconds")]
    pub startup_time_limit: Duration,
    /// How the last process has ended, and why.
    pub last_exit: Option<String>,
}

/// What an application does.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ApplicationState {
    /// It has no process; the next request or connection starts one.
    Idle,
    /// A process has been started and is not ready yet.
    Starting,
    /// It answers requests.
    Running,
    /// Its processes end.
    Stopping,
    /// `app_offline.htm` lies in its folder.
    Offline,
    /// It has failed too often within a minute, and is not started until that is over.
    Disabled,
}

/// How a process of an application is.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its number.
    pub pid: i32,
    /// What it does now.
    pub state: WorkerState,
    /// The port that it listens on; none in process.
    pub port: Option<u16>,
    /// How long ago it was ready; 0 if it is not yet.
    #[serde(rename = "uptimeSeconds", serialize_with = "seconds")]
    pub uptime: Duration,
    /// The requests that it was given; none in process, where the module sees none.
    pub requests: Option<u64>,
    /// The bytes of memory that it has.
    pub memory_bytes: u64,
}

/// What a process of an application does.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum WorkerState {
    /// It has been started and is not ready yet.
    Starting,
    /// It answers requests.
    Running,
    /// It was told to end, and finishes what it has.
    Stopping,
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
        })
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(duration.as_secs())
}

/// An application that the module keeps.
pub(crate) trait Managed: Send + Sync {
    fn status(&self) -> ApplicationStatus;

    /// Replaces its processes by new ones; done when the new ones are ready.
    fn recycle(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Ends its processes, politely first; nothing is started any more.
    fn stop(&self) -> BoxFuture<'_, ()>;
}
