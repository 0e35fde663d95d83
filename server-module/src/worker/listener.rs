//! Who listens on a port.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use procfs::net::{TcpState, tcp, tcp6};
use rustix::process::Pid;

use super::descendants::descendants;

/// How long a connection to this machine itself may take.
const CONNECT: Duration = Duration::from_millis(250);

/// Who listens on a port of 127.0.0.1.
#[derive(Debug)]
pub(crate) enum Listening {
    /// Nobody.
    Nobody,
    /// The worker, or a process that it has started, and nobody else.
    Worker(Listener),
    /// Somebody else.
    Stranger {
        /// Whether it was not to be seen whose sockets those of the worker are.
        is_hidden: bool,
    },
}

/// Whose sockets are those of a worker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    /// Its descendants are the worker.
    pub(super) guard: Pid,
    /// The user that they belong to.
    pub(super) user: u32,
}

impl Family {
    /// As if what has started it were its guard.
    #[cfg(test)]
    pub(crate) fn of_this_process() -> Self {
        let guard = rustix::process::getppid().expect("a parent");
        Self { guard, user: rustix::process::getuid().as_raw() }
    }

    /// Whether a process is the worker, or one that it has started.
    pub(crate) fn has(self, pid: i32) -> bool {
        descendants(self.guard).contains(&pid)
    }
}

/// A socket of a worker that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The descriptor of its process below `/proc`, and what that shows as long as it is this socket. None: the module has
    /// not the right to see it.
    descriptor: Option<(PathBuf, PathBuf)>,
}

impl Listener {
    /// Whether it has been open since it was found, so that nobody else can have been reached at its port.
    pub(crate) fn is_open(&self) -> bool {
        let Some((descriptor, socket)) = &self.descriptor else { return false };
        fs::read_link(descriptor).is_ok_and(|now| now == *socket)
    }

    /// Whether the module may not see whose it is.
    pub(crate) fn is_hidden(&self) -> bool {
        self.descriptor.is_none()
    }
}

/// Looks who listens.
pub(crate) fn listening(port: u16, family: Family) -> Listening {
    let sockets = sockets(port);
    if sockets.is_empty() {
        return Listening::Nobody;
    }
    let (mut found, mut is_hidden) = (BTreeMap::new(), false);
    for pid in descendants(family.guard) {
        is_hidden |= open_sockets(pid, &mut found).is_err_and(|error| is_forbidden(&error));
    }
    let is_theirs =
        |(inode, user): (&u64, &u32)| found.contains_key(inode) || (is_hidden && *user == family.user);
    if !sockets.iter().all(is_theirs) {
        return Listening::Stranger { is_hidden };
    }
    // Each of several must be seen, or none counts as seen.
    let mut descriptors = sockets.keys().map(|inode| found.remove(inode));
    let first = descriptors.next().flatten();
    Listening::Worker(Listener { descriptor: first.filter(|_| descriptors.all(|other| other.is_some())) })
}

/// Whether somebody listens on a port of 127.0.0.1.
pub(crate) fn is_port_taken(port: u16) -> bool {
    !sockets(port).is_empty()
}

/// The sockets that take connections to a port of 127.0.0.1: their inodes, and the users that have made them.
fn sockets(port: u16) -> BTreeMap<u64, u32> {
    let all = [tcp(), tcp6()].into_iter().flatten().flatten();
    let here = all.filter(|entry| entry.state == TcpState::Listen && entry.local_address.port() == port);
    let (mut certain, mut possible) = (BTreeMap::new(), BTreeMap::new());
    for entry in here {
        let ip = entry.local_address.ip();
        if [Ipv4Addr::LOCALHOST, Ipv4Addr::UNSPECIFIED].iter().any(|known| ip.to_canonical() == *known) {
            certain.insert(entry.inode, entry.uid);
        } else if ip == Ipv6Addr::UNSPECIFIED {
            possible.insert(entry.inode, entry.uid);
        }
    }
    // One at `[::]` may be for IPv6 alone, which the system does not show. Beside one of IPv4 it is; else a connection tells.
    if !certain.is_empty() {
        return certain;
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let is_reached = !possible.is_empty() && TcpStream::connect_timeout(&address, CONNECT).is_ok();
    if is_reached { possible } else { BTreeMap::new() }
}

/// Notes the sockets that a process has, by their inodes.
fn open_sockets(pid: i32, found: &mut BTreeMap<u64, (PathBuf, PathBuf)>) -> io::Result<()> {
    for descriptor in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let path = descriptor?.path();
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            // It has been closed meanwhile.
            Err(error) if !is_forbidden(&error) => continue,
            Err(error) => return Err(error),
        };
        let text = target.to_str().unwrap_or_default();
        let inode = text.strip_prefix("socket:[").and_then(|text| text.strip_suffix(']'));
        if let Some(inode) = inode.and_then(|inode| inode.parse().ok()) {
            found.entry(inode).or_insert((path, target));
        }
    }
    Ok(())
}

fn is_forbidden(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}
