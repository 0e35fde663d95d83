//! Who listens on a port.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::net::{Ipv6Addr, SocketAddr};

use procfs::net::{TcpState, tcp, tcp6};
use rustix::process::Pid;

/// Who listens on a port of 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listening {
    /// Nobody.
    Nobody,
    /// The worker, or a process that it has started.
    Worker,
    /// Somebody else.
    Stranger,
}

/// Looks who listens; the worker is the descendants of its guard.
pub(crate) fn listening(port: u16, guard: Pid) -> Listening {
    let sockets = sockets(port);
    if sockets.is_empty() {
        return Listening::Nobody;
    }
    let is_theirs = descendants(guard).into_iter().any(|pid| owns_one(pid, &sockets));
    if is_theirs { Listening::Worker } else { Listening::Stranger }
}

/// Whether somebody listens on a port of 127.0.0.1.
pub(crate) fn is_port_taken(port: u16) -> bool {
    !sockets(port).is_empty()
}

/// The inodes of sockets that take connections to a port of 127.0.0.1.
fn sockets(port: u16) -> BTreeSet<u64> {
    let is_reached = |address: SocketAddr| {
        let ip = address.ip();
        let loopback = [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED];
        address.port() == port
            && (loopback.iter().any(|known| ip.to_canonical() == *known) || ip == Ipv6Addr::UNSPECIFIED)
    };
    let all = [tcp(), tcp6()].into_iter().flatten().flatten();
    let ours = all.filter(|entry| entry.state == TcpState::Listen && is_reached(entry.local_address));
    ours.map(|entry| entry.inode).collect()
}

fn owns_one(pid: i32, sockets: &BTreeSet<u64>) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let targets = descriptors.flatten().filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
    let inodes = targets.filter_map(|target| {
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok()
    });
    inodes.into_iter().any(|inode| sockets.contains(&inode))
}

/// The bytes of memory that a worker has, those of the processes that it has started among them; the worker is the
/// descendants of its guard.
pub(crate) fn memory(guard: Pid) -> u64 {
    let page = rustix::param::page_size() as u64;
    let sizes = descendants(guard).into_iter().filter_map(|pid| {
        procfs::process::Process::new(pid).and_then(|process| process.stat()).ok().map(|stat| stat.rss * page)
    });
    sizes.sum()
}

/// The processes that a process has started, and those that they have.
pub(super) fn descendants(ancestor: Pid) -> Vec<i32> {
    let mut found = vec![ancestor.as_raw_pid()];
    let mut at = 0;
    while let Some(pid) = found.get(at) {
        found.extend(children_of(*pid));
        at += 1;
    }
    found.remove(0);
    found
}

/// The processes that a process has started, or taken over. Not every kernel has lists of them.
pub(super) fn children_of(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut children = Vec::new();
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => {
                children.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()))
            }
            Err(_) if !thread.path().exists() => {}
            Err(_) => return children_among_all(pid),
        }
    }
    children
}

/// The same by a look at every process.
fn children_among_all(pid: i32) -> Vec<i32> {
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    let stats = all.filter_map(|process| process.stat().ok());
    stats.filter(|stat| stat.ppid == pid).map(|stat| stat.pid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_both_ways() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = rustix::process::getpid().as_raw_pid();
        let pid = child.id().cast_signed();
        assert!(children_of(own).contains(&pid) && children_among_all(own).contains(&pid));
        assert!(descendants(rustix::process::getpid()).contains(&pid));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
