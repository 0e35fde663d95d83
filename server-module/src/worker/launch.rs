use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::cgroup::Cgroup;
use super::strays::{self, Guarding};
use super::{Identity, arguments, handover};
use crate::WorkerLimits;

/// What a worker is started with.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [String],
    pub(crate) folder: &'a Path,
    /// The whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Listening sockets with their names, which the worker gets by the protocol of socket activation.
    pub(crate) sockets: &'a [(String, OwnedFd)],
    pub(crate) output: Output,
    /// The beginning of the path of a file that the worker's user opens for the worker's output.
    pub(crate) log: Option<&'a Path>,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) limits: WorkerLimits,
    /// How long the worker may take to end when the module is gone.
    pub(crate) shutdown_limit: Duration,
}

/// Where standard output and standard error of a worker go.
#[derive(Debug)]
pub(crate) enum Output {
    /// Where those of the module go.
    Inherit,
    /// Both to one end of a pipe, or to a file.
    To(OwnedFd),
}

/// A guard that has been started.
pub(super) struct Spawned {
    pub(super) guard: Child,
    pub(super) guarding: Option<Guarding>,
    /// The control group of the worker, if there is one.
    pub(super) cgroup: Option<Cgroup>,
    pub(super) link: UnixStream,
    /// To what becomes the worker.
    pub(super) handover: UnixStream,
    /// What it is to be sent.
    pub(super) environment: Vec<u8>,
}

/// The first descriptor of socket activation.
pub(super) const FIRST: i32 = 3;

/// The module's own program, also when its file has been replaced by another version or is gone.
pub(super) const OWN_PROGRAM: &str = "/proc/self/exe";

impl Launch<'_> {
    /// Starts the guard, which starts the worker. It runs with the rights of the module, so nothing that the application says
    /// is in force for it: it has neither its environment nor its folder.
    pub(super) fn spawn(mut self) -> io::Result<Spawned> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let (handover, end) = std::os::unix::net::UnixStream::pair()?;
        handover::send_end(&ours, &end.into())?;
        ours.set_nonblocking(true)?;
        handover.set_nonblocking(true)?;
        let cgroup = Cgroup::make();
        let mut command = Command::new(OWN_PROGRAM);
        command
            .args(arguments::write(&self, cgroup.as_ref().map(Cgroup::path)))
            .current_dir("/")
            .stdin(OwnedFd::from(theirs));
        command.env_clear().envs(own_environment());
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        if let Output::To(output) = self.output {
            command.stdout(output.try_clone()?).stderr(Stdio::from(output));
        }
        let mut environment = std::mem::take(&mut self.environment);
        if !self.sockets.is_empty() {
            let names: Vec<_> = self.sockets.iter().map(|(name, _)| name.as_str()).collect();
            environment.push(("LISTEN_FDS".into(), names.len().to_string().into()));
            environment.push(("LISTEN_FDNAMES".into(), names.join(":").into()));
        }
        let mut mappings = Vec::with_capacity(self.sockets.len());
        for (child_fd, (_, socket)) in (FIRST..).zip(self.sockets) {
            mappings.push(FdMapping { parent_fd: socket.as_fd().try_clone_to_owned()?, child_fd });
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        let (guard, guarding) = strays::start(|| command.spawn(), Child::id).inspect_err(|_| {
            if let Some(cgroup) = &cgroup {
                cgroup.end();
            }
        })?;
        Ok(Spawned {
            guard,
            guarding,
            cgroup,
            link: UnixStream::from_std(ours)?,
            handover: UnixStream::from_std(handover)?,
            environment: handover::encode(&environment),
        })
    }
}

/// What the module's own program may need to be loaded.
pub(super) fn own_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    const LIBRARIES: &str = "LD_LIBRARY_PATH";
    std::env::var_os(LIBRARIES).map(|folders| (LIBRARIES, folders)).into_iter()
}
