//! A worker: one process of an application, with a guard beside it that sees to it that nothing of it is left.

mod arguments;
mod cgroup;
mod descendants;
mod exec;
mod exit;
mod guard;
mod handover;
mod identity;
mod launch;
mod listener;
mod strays;

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use cgroup::Cgroup;
pub(crate) use descendants::memory;
pub(crate) use exit::Exit;
pub(crate) use handover::OutputFile;
pub(crate) use identity::{Identity, IdentityError};
use launch::Spawned;
pub(crate) use launch::{Launch, Output};
pub(crate) use listener::{Family, Listener, Listening, is_port_taken, listening};
use strays::Guarding;
pub(crate) use strays::end_all;

/// Runs as the guard of a worker, or as what becomes a worker, if the arguments say so: the program of the module starts
/// itself so. None: it was started by somebody else.
pub fn run_as_guard(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    let result = match arguments.next()?.to_str()? {
        "guard" => {
            take_name();
            arguments::order(arguments).and_then(|order| guard::run(&order))
        }
        "exec" => arguments::step(arguments).and_then(|step| Err(exec::run(&step))),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| {
        eprintln!("the application could not be started: {error}");
        ExitCode::from(NOT_STARTED)
    }))
}

/// Lists of processes show the name of the file that was started, which is that of a link here.
fn take_name() {
    let name = std::env::args_os().next().map(PathBuf::from);
    let name = name.as_deref().and_then(Path::file_name).and_then(|name| CString::new(name.as_bytes()).ok());
    // It is only shown.
    let _ = name.map(|name| rustix::thread::set_name(&name));
}

/// What shells use for a program that cannot be executed.
const NOT_STARTED: u8 = 126;

/// A worker that was started. Dropping it ends the worker politely, and its processes at the limit.
#[derive(Debug)]
pub(crate) struct Worker {
    pid: Pid,
    guard: Pid,
    user: u32,
    state: watch::Receiver<State>,
    commands: mpsc::UnboundedSender<u8>,
    /// Whether it has been ended at once.
    killed: watch::Sender<bool>,
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
    /// Starts a worker. The file is the one of [`Launch::log`], if that says one. None: it was given up before it was there, and
    /// nothing is left of it.
    ///
    /// # Errors
    /// The guard or the worker's process cannot be made. Whether the program can be executed is told by its end.
    pub(crate) async fn start(
        launch: Launch<'_>,
        given_up: impl Future<Output = ()>,
    ) -> io::Result<Option<(Self, OutputFile)>> {
        let user = launch.identity.map_or_else(|| nix::unistd::getuid().as_raw(), |identity| identity.user);
        let Spawned { guard: child, guarding, cgroup, link, mut handover, environment } = launch.spawn()?;
        let guard = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let guard = guard.ok_or_else(|| io::Error::other("the guard has ended"))?;
        let (reading, writing) = link.into_split();
        let mut reading = BufReader::new(reading);
        let told = async {
            // If it does not arrive, nothing is started, and the worker says why.
            let _ = handover.write_all(&environment).await;
            started(&mut reading).await
        };
        let told = tokio::select! {
            told = timeout(START, told) => told.map_err(io::Error::other).flatten().map(Some),
            () = given_up => Ok(None),
        };
        let pid = match told {
            Ok(Some(pid)) => pid,
            told => {
                drop((reading, writing, handover));
                end_unstarted(child, guarding, cgroup).await;
                return told.map(|_| None);
            }
        };
        let (states, state) = watch::channel(State::Running);
        let (commands, receiver) = mpsc::unbounded_channel();
        if let Some(guarding) = &guarding {
            guarding.is_told_by(&commands);
        }
        let killed = watch::Sender::new(false);
        tokio::spawn(command(receiver, writing));
        tokio::spawn(report(reading, child, killed.subscribe(), Leftovers { pid, cgroup, guarding }, states));
        let worker = Self { pid, guard, user, state, commands, killed };
        Ok(Some((worker, OutputFile::new(handover.into_std()?))))
    }

    /// The process.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// The process whose descendants belong to the worker.
    pub(crate) fn guard(&self) -> Pid {
        self.guard
    }

    /// Whose sockets are those of the worker.
    pub(crate) fn family(&self) -> Family {
        Family { guard: self.guard, user: self.user }
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

    /// Waits until nothing of it is left; five seconds and no longer, once it has been ended at once.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn gone(&self) -> Exit {
        let mut state = self.state.clone();
        let gone = state.wait_for(|state| matches!(state, State::Gone(_)));
        tokio::select! {
            gone = gone => {
                if let Ok(State::Gone(exit)) = gone.as_deref() {
                    return exit.clone();
                }
            }
            () = self.too_late() => {
                tracing::error!(
                    pid = %self.pid, guard = %self.guard,
                    "processes of a worker do not end; its guard goes on to end them, look for what they wait for"
                );
            }
        }
        match &*self.state.borrow() {
            State::Ended(exit) | State::Gone(exit) => exit.clone(),
            State::Running => Exit::unknown(),
        }
    }

    async fn too_late(&self) {
        let _ = self.killed.subscribe().wait_for(|is_killed| *is_killed).await;
        tokio::time::sleep(END).await;
    }

    /// Sends SIGTERM to its processes.
    pub(crate) fn terminate(&self) {
        let _ = self.commands.send(guard::TERMINATE);
    }

    /// Ends its processes at once.
    pub(crate) fn kill(&self) {
        let _ = self.commands.send(guard::KILL);
        self.killed.send_replace(true);
    }
}

/// What is there of a worker whose guard has ended.
struct Leftovers {
    pid: Pid,
    cgroup: Option<Cgroup>,
    guarding: Option<Guarding>,
}

impl Leftovers {
    /// Ends it. Unless the guard has reaped the worker, somebody has ended it, so that the system has ended the worker.
    fn end(self, is_reaped: bool) {
        drop(self.guarding);
        if !is_reaped {
            let _ = rustix::process::kill_process_group(self.pid, rustix::process::Signal::KILL);
        }
        let is_ended = self.cgroup.is_none_or(|group| group.end());
        if !(strays::end() && is_ended) {
            tracing::error!(
                pid = %self.pid,
                "processes of a worker whose guard was ended do not end; look for what they wait for"
            );
        }
    }
}

/// What the guard says first: the process of the worker.
async fn started(link: &mut BufReader<OwnedReadHalf>) -> io::Result<Pid> {
    let mut line = String::new();
    link.read_line(&mut line).await?;
    let pid = line.trim().strip_prefix("started ").and_then(|pid| pid.parse().ok());
    pid.and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the guard has ended; see what it printed on standard error"))
}

/// Ends a guard whose link is closed, and which has not said that it has started anything.
async fn end_unstarted(mut guard: Child, guarding: Option<Guarding>, cgroup: Option<Cgroup>) {
    if timeout(UNHEARD, guard.wait()).await.is_err() {
        // The system ends what it has started.
        let _ = guard.start_kill();
        let _ = timeout(END, guard.wait()).await;
    }
    drop(guarding);
    let end = tokio::task::spawn_blocking(move || {
        let _ = cgroup.is_none_or(|group| group.end());
        strays::end();
    });
    let _ = end.await;
}

/// Makes a process one that keeps workers and does nothing else: what they leave behind falls to it when their guards cannot
/// see to it, and what an earlier one has left is ended.
pub(crate) fn keep_all() {
    strays::take();
    cgroup::own();
}

/// How long a guard may take to say that it has started a process.
const START: Duration = Duration::from_secs(30);

/// How long a guard may take to hear of the end of all.
const UNHEARD: Duration = Duration::from_secs(1);

/// How long the end of a worker's processes may take that the system has been told to end.
const END: Duration = Duration::from_secs(5);

/// Passes commands on; ends with the last sender, which closes this side of the link.
async fn command(mut commands: mpsc::UnboundedReceiver<u8>, mut link: OwnedWriteHalf) {
    while let Some(command) = commands.recv().await {
        if link.write_all(&[command]).await.is_err() {
            return;
        }
    }
}

/// Takes note of what the guard says. One that does not hear of the end of all is ended itself.
async fn report(
    link: BufReader<OwnedReadHalf>,
    mut guard: Child,
    killed: watch::Receiver<bool>,
    leftovers: Leftovers,
    states: watch::Sender<State>,
) {
    let (mut exit, mut has_heard) = (None, false);
    let mut lines = link.lines();
    let mut unheard = pin!(unheard(killed));
    loop {
        let line = tokio::select! {
            // A guard that has answered in time does not hang, however late its answer is read.
            biased;
            line = lines.next_line() => line,
            () = &mut unheard, if !has_heard => {
                tracing::warn!(pid = %leftovers.pid, "the guard of a worker hangs, and is ended");
                let _ = guard.start_kill();
                break;
            }
        };
        let Ok(Some(line)) = line else { break };
        has_heard |= line == guard::HEARD;
        if let Some(ended) = Exit::from_line(&line) {
            states.send_replace(State::Ended(ended.clone()));
            exit = Some(ended);
        }
    }
    // The link closes when the guard ends, which it does last.
    let _ = guard.wait().await;
    // It removes the group of the worker last of all, unless somebody has ended it.
    if exit.is_none() || leftovers.cgroup.as_ref().is_some_and(|group| group.path().exists()) {
        let is_reaped = exit.is_some();
        let _ = tokio::task::spawn_blocking(move || leftovers.end(is_reaped)).await;
    }
    states.send_replace(State::Gone(exit.unwrap_or_else(Exit::unknown)));
}

/// Waits until the worker has been ended at once, and the guard must have heard of it.
async fn unheard(mut killed: watch::Receiver<bool>) {
    if killed.wait_for(|is_killed| *is_killed).await.is_err() {
        // Nobody is left who could end it; the guard learns by its link that the module has dropped the worker.
        return std::future::pending().await;
    }
    tokio::time::sleep(UNHEARD).await;
}
