//! A worker: one process of an application, with a guard beside it that sees to it that nothing of it is left.

mod arguments;
mod exec;
mod exit;
mod guard;
mod identity;
mod launch;
mod listener;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};

pub(crate) use exit::Exit;
pub(crate) use identity::{Identity, IdentityError};
pub(crate) use launch::{Launch, Output};
pub(crate) use listener::{Listening, is_port_taken, listening, memory};

/// Runs as the guard of a worker, or as what becomes a worker, if the arguments say so: the program of the module starts
/// itself so. None: it was started by somebody else.
pub fn run_as_guard(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    let result = match arguments.next()?.to_str()? {
        "guard" => arguments::order(arguments).and_then(|order| guard::run(&order)),
        "exec" => arguments::step(arguments).and_then(|step| Err(exec::run(&step))),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| {
        eprintln!("the application could not be started: {error}");
        ExitCode::from(NOT_STARTED)
    }))
}

/// What shells use for a program that cannot be executed.
const NOT_STARTED: u8 = 126;

/// A worker that was started. Dropping it ends the worker politely, and its processes at the limit.
#[derive(Debug)]
pub(crate) struct Worker {
    pid: Pid,
    guard: Pid,
    state: watch::Receiver<State>,
    commands: mpsc::UnboundedSender<u8>,
}

/// How far a worker has come.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// The process has ended; others that it has started may be there.
    Ended(Exit),
    /// Nothing of it is left.
    Gone(Exit),
}

impl Worker {
    /// Starts a worker.
    ///
    /// # Errors
    /// The guard or the worker's process cannot be made. Whether the program can be executed is told by its end.
    pub(crate) async fn start(launch: Launch<'_>) -> io::Result<Self> {
        let (child, link) = launch.spawn()?;
        let guard = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let guard = guard.ok_or_else(|| io::Error::other("the guard has ended"))?;
        let (reading, writing) = link.into_split();
        let mut reading = BufReader::new(reading);
        let mut line = String::new();
        tokio::time::timeout(START, reading.read_line(&mut line)).await.map_err(io::Error::other)??;
        let pid = line.trim().strip_prefix("started ").and_then(|pid| pid.parse().ok());
        let pid = pid
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the guard has ended; see what it printed on standard error"))?;
        let (states, state) = watch::channel(State::Running);
        let (commands, receiver) = mpsc::unbounded_channel();
        tokio::spawn(command(receiver, writing));
        tokio::spawn(report(reading, child, pid, states));
        Ok(Self { pid, guard, state, commands })
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The process whose descendants belong to the worker.
    pub(crate) fn guard(&self) -> Pid {
        self.guard
    }

    /// Waits until the process has ended.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn ended(&self) -> Exit {
        let mut state = self.state.clone();
        match state.wait_for(|state| *state != State::Running).await.as_deref() {
            Ok(State::Ended(exit) | State::Gone(exit)) => exit.clone(),
            _ => Exit::unknown(),
        }
    }

    /// Waits until nothing of it is left.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn gone(&self) -> Exit {
        let mut state = self.state.clone();
        match state.wait_for(|state| matches!(state, State::Gone(_))).await.as_deref() {
            Ok(State::Gone(exit)) => exit.clone(),
            _ => Exit::unknown(),
        }
    }

    /// Sends SIGTERM to its processes.
    pub(crate) fn terminate(&self) {
        let _ = self.commands.send(guard::TERMINATE);
    }

    /// Ends its processes at once.
    pub(crate) fn kill(&self) {
        let _ = self.commands.send(guard::KILL);
    }
}

/// How long a guard may take to say that it has started a process.
const START: Duration = Duration::from_secs(30);

/// Passes commands on; ends with the last sender, which closes this side of the link.
async fn command(mut commands: mpsc::UnboundedReceiver<u8>, mut link: OwnedWriteHalf) {
    while let Some(command) = commands.recv().await {
        if link.write_all(&[command]).await.is_err() {
            return;
        }
    }
}

/// Takes note of what the guard says.
async fn report(link: BufReader<OwnedReadHalf>, mut guard: Child, pid: Pid, states: watch::Sender<State>) {
    let mut exit = None;
    let mut lines = link.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(ended) = Exit::from_line(&line) {
            states.send_replace(State::Ended(ended.clone()));
            exit = Some(ended);
        }
    }
    // The link closes when the guard ends, which it does last.
    let _ = guard.wait().await;
    if exit.is_none() {
        // Somebody has ended the guard. The worker was told to end by the system; what it has started is not known any more.
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    states.send_replace(State::Gone(exit.unwrap_or_else(Exit::unknown)));
}
