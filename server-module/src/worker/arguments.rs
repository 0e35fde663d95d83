//! The command lines by which the module starts itself as a guard, and the guard as what becomes a worker.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use lexopt::prelude::*;
use rustix::process::Pid;

use super::cgroup::Cgroup;
use super::exec::Step;
use super::guard::Order;
use super::{Identity, Launch};

/// The arguments of a guard.
pub(super) fn write(launch: &Launch<'_>, cgroup: Option<&Path>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["guard".into()];
    let mut option = |name: &str, value: String| arguments.push(format!("--{name}={value}").into());
    option("limit", launch.shutdown_limit.as_millis().to_string());
    option("sockets", launch.sockets.len().to_string());
    if let Some(identity) = launch.identity {
        let groups: Vec<_> = identity.groups.iter().map(u32::to_string).collect();
        option("user", identity.user.to_string());
        option("group", identity.group.to_string());
        option("groups", groups.join(","));
    }
    let limits = launch.limits;
    let numbers = [
        ("memory", limits.memory_bytes),
        ("files", limits.open_files),
        ("processes", limits.processes),
        ("cpu", limits.cpu_seconds),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            option(name, number.to_string());
        }
    }
    let mut path = |name: &str, path: &OsStr| {
        let mut argument = OsString::from(format!("--{name}="));
        argument.push(path);
        arguments.push(argument);
    };
    path("folder", launch.folder.as_os_str());
    if let Some(cgroup) = cgroup {
        path("cgroup", cgroup.as_os_str());
    }
    if let Some(log) = launch.log {
        path("log", log.as_os_str());
    }
    arguments.extend(["--".into(), launch.program.into()]);
    arguments.extend(launch.arguments.iter().map(OsString::from));
    arguments
}

/// Reads those of a guard. All but its own are passed on as they are.
pub(super) fn order(arguments: impl Iterator<Item = OsString>) -> io::Result<Order> {
    let mut arguments = arguments;
    let mut number = |prefix: &str| {
        let number =
            arguments.next().and_then(|text| text.to_str()?.strip_prefix(prefix)?.parse::<u64>().ok());
        number.ok_or_else(|| io::Error::other("the guard is started by the module only"))
    };
    let limit = Duration::from_millis(number("--limit=")?);
    let sockets = i32::try_from(number("--sockets=")?).map_err(io::Error::other)?;
    let exec: Vec<_> = arguments.collect();
    let own = exec.iter().take_while(|argument| *argument != "--");
    let cgroup = own.filter_map(|argument| argument.as_bytes().strip_prefix(b"--cgroup=")).next();
    let cgroup = cgroup.map(|path| Cgroup::at(OsStr::from_bytes(path).into()));
    Ok(Order { limit, sockets, cgroup, exec })
}

/// Reads those of what becomes a worker.
pub(super) fn step(arguments: impl Iterator<Item = OsString>) -> io::Result<Step> {
    read_step(lexopt::Parser::from_args(arguments)).map_err(io::Error::other)
}

fn read_step(mut parser: lexopt::Parser) -> Result<Step, lexopt::Error> {
    let mut step = Step::default();
    let identity = |step: &mut Step| {
        step.identity.get_or_insert_with(|| Identity { user: 0, group: 0, groups: Vec::new() }).clone()
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("parent") => step.parent = Pid::from_raw(parser.value()?.parse()?),
            Long("user") => {
                step.identity = Some(Identity { user: parser.value()?.parse()?, ..identity(&mut step) });
            }
            Long("group") => {
                step.identity = Some(Identity { group: parser.value()?.parse()?, ..identity(&mut step) });
            }
            Long("groups") => {
                let groups = parser.value()?.string()?;
                let groups = groups.split(',').filter(|group| !group.is_empty()).map(str::parse);
                let groups = groups.collect::<Result<_, _>>().map_err(|_| "a group is no number")?;
                step.identity = Some(Identity { groups, ..identity(&mut step) });
            }
            Long("folder") => step.folder = parser.value()?.into(),
            Long("cgroup") => step.cgroup = Some(Cgroup::at(parser.value()?.into())),
            Long("log") => step.log = Some(parser.value()?.into()),
            Long("memory") => step.limits.memory_bytes = Some(parser.value()?.parse()?),
            Long("files") => step.limits.open_files = Some(parser.value()?.parse()?),
            Long("processes") => step.limits.processes = Some(parser.value()?.parse()?),
            Long("cpu") => step.limits.cpu_seconds = Some(parser.value()?.parse()?),
            Value(program) => {
                step.program = program;
                step.arguments = parser.raw_args()?.collect();
                return Ok(step);
            }
            argument => return Err(argument.unexpected()),
        }
    }
    Err("the program is missing".into())
}
