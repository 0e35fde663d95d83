//! The last step before a worker's program: what can only be set in the process that becomes it.
//!
//! Until the user is another one, it has the rights of the module. So the environment, the folder and the file for the output
//! come after that.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::SigSet;
use rustix::process::{
    Gid, Pid, Resource, Rlimit, Signal, Uid, getpid, getppid, getrlimit, set_parent_process_death_signal,
    setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::cgroup::Cgroup;
use super::{Identity, handover};
use crate::WorkerLimits;
use crate::output::LogFile;

/// What a process does before it becomes the worker.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// The guard. If it has ended by now, nothing is started.
    pub(super) parent: Option<Pid>,
    pub(super) identity: Option<Identity>,
    pub(super) limits: WorkerLimits,
    pub(super) cgroup: Option<Cgroup>,
    pub(super) folder: PathBuf,
    /// The beginning of the path of the file for the output.
    pub(super) log: Option<PathBuf>,
    pub(super) program: OsString,
    pub(super) arguments: Vec<OsString>,
}

/// Becomes the worker; returns when that is not possible.
pub(super) fn run(step: &Step) -> io::Error {
    match prepare(step) {
        Ok(mut command) => io::Error::other(format!("{}: {}", step.program.display(), command.exec())),
        Err(error) => error,
    }
}

fn prepare(step: &Step) -> io::Result<Command> {
    let mut module = handover::Module::of_standard_input()?;
    let environment = module.environment()?;
    if let Some(cgroup) = &step.cgroup {
        cgroup.enter()?;
    }
    limit(Resource::Nproc, step.limits.processes)?;
    limit(Resource::Cpu, step.limits.cpu_seconds)?;
    if let Some(identity) = &step.identity {
        belong_to(identity)?;
    }
    if let Some(log) = &step.log {
        module.answer(LogFile::new(log.clone()).create(getpid()));
    }
    drop(module);
    std::env::set_current_dir(&step.folder).map_err(|error| {
        let folder = step.folder.display();
        io::Error::new(error.kind(), format!("its folder {folder} cannot be entered as its user: {error}"))
    })?;
    limit(Resource::As, step.limits.memory_bytes)?;
    limit(Resource::Nofile, step.limits.open_files)?;
    // The guard has blocked some, which would hold for the worker too.
    SigSet::empty().thread_set_mask()?;
    // A change of the user takes it back, so it comes last.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if step.parent.is_some() && getppid() != step.parent {
        return Err(io::Error::other("the guard has ended"));
    }
    let mut command = Command::new(&step.program);
    command.args(&step.arguments).stdin(Stdio::null()).env_clear();
    if environment.iter().any(|(name, _)| name == "LISTEN_FDS") {
        command.env("LISTEN_PID", getpid().to_string());
    }
    command.envs(environment);
    Ok(command)
}

/// This process has one thread, so what is set for the thread holds for the process.
fn belong_to(identity: &Identity) -> io::Result<()> {
    identity.check_rights().map_err(io::Error::other)?;
    let (user, group) = (Uid::from_raw(identity.user), Gid::from_raw(identity.group));
    let groups: Vec<_> = identity.groups.iter().copied().map(Gid::from_raw).collect();
    set_thread_groups(&groups)?;
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    // A module that is not root has its rights one by one; the change of the user takes none of them.
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    Ok(())
}

fn limit(resource: Resource, limit: Option<u64>) -> io::Result<()> {
    let Some(limit) = limit else { return Ok(()) };
    let maximum = getrlimit(resource).maximum;
    let limit = maximum.map_or(limit, |maximum| maximum.min(limit));
    Ok(setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?)
}
