//! The process between the module and a worker: it starts the worker, tells how it ended, and ends everything that the
//! worker has left when it is told to, or when the module is gone.
//!
//! The module's end of the link is the only one, so it closes however the module ends. Commands are single bytes, reports
//! are lines.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, kill_process_group, pidfd_open,
    set_child_subreaper, setsid, wait,
};
use tokio::time::Instant;

use super::Exit;
use super::cgroup::Cgroup;
use super::descendants::children_of;
use super::handover;
use super::launch::{FIRST, OWN_PROGRAM, own_environment};

/// The command to end politely.
pub(super) const TERMINATE: u8 = b't';
/// The command to end at once.
pub(super) const KILL: u8 = b'k';

/// What is said when that has been heard.
pub(super) const HEARD: &str = "heard";

/// How often is looked whether processes that the worker has left are gone.
const LOOK: Duration = Duration::from_millis(20);

/// What a guard is started with.
#[derive(Debug)]
pub(super) struct Order {
    /// How long the worker may take to end when the module is gone.
    pub(super) limit: Duration,
    /// How many sockets the worker inherits, from the first descriptor of the protocol on.
    pub(super) sockets: i32,
    /// The control group of the worker, if there is one.
    pub(super) cgroup: Option<Cgroup>,
    /// The arguments of `exec`, with the program and its arguments.
    pub(super) exec: Vec<OsString>,
}

/// Guards one worker until nothing of it is left.
pub(super) fn run(order: &Order) -> io::Result<ExitCode> {
    // No signal of a terminal comes here, and whatever loses its parent becomes a child of this process.
    let _ = setsid();
    block_signals()?;
    set_child_subreaper(Some(getpid()))?;
    let link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let Some(handover) = handover::receive_end(&link)? else {
        return Err(io::Error::other("the module has ended"));
    };
    link.set_nonblocking(true)?;
    let guarded = Guard::start(order, link, handover).and_then(Guard::stay);
    if let Some(cgroup) = &order.cgroup {
        // Nothing is in it any more, unless something has gone wrong here.
        cgroup.end();
    }
    guarded?;
    Ok(ExitCode::SUCCESS)
}

/// A supervisor that ends all processes of the module at once means workers and module. This one is the last to go.
fn block_signals() -> io::Result<()> {
    let ending = [NixSignal::SIGTERM, NixSignal::SIGINT, NixSignal::SIGHUP, NixSignal::SIGQUIT];
    Ok(SigSet::from_iter(ending).thread_block()?)
}

struct Guard {
    link: UnixStream,
    /// Whether the module is there to be told.
    is_linked: bool,
    limit: Duration,
    cgroup: Option<Cgroup>,
    /// The worker's process, whose number is that of its group too.
    worker: Pid,
    /// None once the worker has ended.
    pidfd: Option<OwnedFd>,
    /// When everything that is left is ended.
    deadline: Option<Instant>,
}

impl Guard {
    fn start(order: &Order, link: UnixStream, handover: OwnedFd) -> io::Result<Self> {
        let mut command = Command::new(OWN_PROGRAM);
        command.arg("exec").arg("--parent").arg(getpid().to_string()).args(&order.exec);
        command.env_clear().envs(own_environment());
        let child = command.stdin(Stdio::from(handover)).process_group(0).spawn()?;
        // It holds the end of the socket too.
        drop(command);
        // The worker's sockets are not to stay open for as long as the guard lives.
        for descriptor in FIRST..FIRST + order.sockets {
            nix::unistd::close(descriptor)?;
        }
        let worker = Pid::from_child(&child);
        let pidfd = Some(pidfd_open(worker, PidfdFlags::empty())?);
        let (limit, cgroup) = (order.limit, order.cgroup.clone());
        let mut guard = Self { link, is_linked: true, limit, cgroup, worker, pidfd, deadline: None };
        guard.tell(&format!("started {worker}"));
        Ok(guard)
    }

    /// Until there are no children any more.
    fn stay(mut self) -> io::Result<()> {
        loop {
            // First of all: the module may have gone while the worker was started, and nothing else would wake this.
            self.obey();
            if self.reap()? {
                return Ok(());
            }
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.kill();
            }
            self.wait_for_something()?;
        }
    }

    fn wait_for_something(&self) -> io::Result<()> {
        let mut until = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if self.pidfd.is_none() || until == Some(Duration::ZERO) {
            until = Some(LOOK);
        }
        let timeout = until.and_then(|until| Timespec::try_from(until).ok());
        let mut awaited = Vec::with_capacity(2);
        if self.is_linked {
            awaited.push(PollFd::new(&self.link, PollFlags::IN));
        }
        awaited.extend(self.pidfd.iter().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
        match poll(&mut awaited, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Does what the module says, or what is to be done when it is gone.
    fn obey(&mut self) {
        let mut commands = [0; 16];
        while self.is_linked {
            match self.link.read(&mut commands) {
                Ok(0) => self.is_linked = false,
                Ok(count) => commands[..count].iter().for_each(|command| match *command {
                    TERMINATE => self.signal(Signal::TERM),
                    _ => {
                        self.deadline = Some(Instant::now());
                        self.tell(HEARD);
                    }
                }),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.is_linked = false,
            }
        }
        if self.deadline.is_none() {
            self.signal(Signal::TERM);
            self.deadline = Some(Instant::now() + self.limit);
        }
    }

    /// Takes note of children that have ended; true when none are left.
    fn reap(&mut self) -> io::Result<bool> {
        loop {
            let (pid, status) = match wait(WaitOptions::NOHANG) {
                Ok(Some(ended)) => ended,
                Ok(None) => return Ok(false),
                Err(Errno::CHILD) => return Ok(true),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if pid == self.worker && self.pidfd.take().is_some() {
                let exit = Exit { code: status.exit_status(), signal: status.terminating_signal() };
                self.tell(&exit.to_line());
            }
        }
    }

    fn signal(&self, signal: Signal) {
        // Once the worker is reaped, its number may be that of somebody else's group.
        if self.pidfd.is_some() {
            let _ = kill_process_group(self.worker, signal);
        }
        let children = children_of(getpid().as_raw_pid()).into_iter().filter_map(Pid::from_raw);
        for child in children.filter(|child| *child != self.worker) {
            let _ = kill_process(child, signal);
        }
    }

    /// Ends everything; what has lost its parent by that is a child at the next look.
    fn kill(&self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill();
        }
        self.signal(Signal::KILL);
    }

    fn tell(&mut self, line: &str) {
        if self.is_linked && self.link.write_all(format!("{line}\n").as_bytes()).is_err() {
            self.is_linked = false;
        }
    }
}
