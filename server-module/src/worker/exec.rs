//! The last step before a worker's program: what can only be set in the process that becomes it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::SigSet;
use rustix::process::{
    Gid, Pid, Resource, Rlimit, Signal, Uid, getpid, getppid, getrlimit, set_parent_process_death_signal,
    setrlimit,
};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::Identity;
use crate::WorkerLimits;

/// What a process does before it becomes the worker.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// The guard. If it has ended by now, nothing is started.
    pub(super) parent: Option<Pid>,
    pub(super) identity: Option<Identity>,
    pub(super) limits: WorkerLimits,
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
}

/// Becomes the worker; returns when that is not possible.
pub(super) fn run(step: &Step) -> io::Error {
    if let Err(error) = prepare(step) {
        return error;
    }
    let mut command = Command::new(&step.program);
    command.args(&step.arguments);
    if std::env::var_os("LISTEN_FDS").is_some() {
        command.env("LISTEN_PID", getpid().to_string());
    }
    command.exec()
}

fn prepare(step: &Step) -> io::Result<()> {
    limit(Resource::As, step.limits.memory_bytes)?;
    limit(Resource::Nofile, step.limits.open_files)?;
    limit(Resource::Nproc, step.limits.processes)?;
    limit(Resource::Cpu, step.limits.cpu_seconds)?;
    // This process has one thread, so what is set for the thread holds for the process.
    if let Some(identity) = &step.identity {
        let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.group));
        let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
    }
    // The guard has blocked some, which would hold for the worker too.
    SigSet::empty().thread_set_mask()?;
    // A change of the user takes it back, so it comes last.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if step.parent.is_some() && getppid() != step.parent {
        return Err(io::Error::other("the guard has ended"));
    }
    Ok(())
}

fn limit(resource: Resource, limit: Option<u64>) -> io::Result<()> {
    let Some(limit) = limit else { return Ok(()) };
    let maximum = getrlimit(resource).maximum;
    let limit = maximum.map_or(limit, |maximum| maximum.min(limit));
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}
