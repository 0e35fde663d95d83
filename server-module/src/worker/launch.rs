use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::{Identity, arguments};
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

/// The first descriptor of socket activation.
pub(super) const FIRST: i32 = 3;

impl Launch<'_> {
    /// Starts the guard, which starts the worker.
    pub(super) fn spawn(mut self) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(arguments::write(&self)).current_dir(self.folder).stdin(OwnedFd::from(theirs));
        command.env_clear().envs(std::mem::take(&mut self.environment));
        if let Output::To(output) = self.output {
            command.stdout(output.try_clone()?).stderr(Stdio::from(output));
        }
        if !self.sockets.is_empty() {
            let names: Vec<_> = self.sockets.iter().map(|(name, _)| name.as_str()).collect();
            command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        }
        let mut mappings = Vec::with_capacity(self.sockets.len());
        for (child_fd, (_, socket)) in (FIRST..).zip(self.sockets) {
            mappings.push(FdMapping { parent_fd: socket.as_fd().try_clone_to_owned()?, child_fd });
        }
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        Ok((command.spawn()?, UnixStream::from_std(ours)?))
    }
}
