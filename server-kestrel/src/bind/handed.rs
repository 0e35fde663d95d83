//! Sockets that listen already: those of a parent process, and those that the program hands in.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use server_abstractions::{Address, AddressTarget, StartError};
use socket2::{SockRef, Socket};

use super::{Bound, BoundSocket, backlog, cannot_listen};
use crate::{Endpoint, SocketOptions};

/// Takes the sockets; the first one gives the address.
pub(super) fn adopt(endpoint: &Endpoint, descriptors: Vec<OwnedFd>) -> Result<Bound, StartError> {
    let fail = |error| cannot_listen(endpoint, error);
    let options = &endpoint.socket_options;
    let mut target = None;
    let mut sockets = Vec::with_capacity(descriptors.len());
    for descriptor in descriptors {
        let (bound, socket) = examine(descriptor).map_err(fail)?;
        if let Some(why) = refuse(&socket, &bound, options).map_err(fail)? {
            return Err(StartError::configuration(format!("cannot listen on {}: {why}", endpoint.in_full())));
        }
        if options.backlog != SocketOptions::default().backlog {
            socket.listen(backlog(options)).map_err(fail)?;
        }
        if let Some(keep_alive) = &options.keep_alive {
            keep_alive.apply(&SockRef::from(&socket)).map_err(fail)?;
        }
        sockets.push(match &bound {
            AddressTarget::Ip(_) => BoundSocket::Tcp(socket.into(), *options),
            _ => BoundSocket::Unix { listener: socket.into(), file: None },
        });
        target.get_or_insert(bound);
    }
    let nothing = || fail(io::Error::new(io::ErrorKind::InvalidInput, "there is no descriptor"));
    let address = Address::new(endpoint.https.is_some(), target.ok_or_else(nothing)?);
    Ok(Bound { address, sockets, is_handed: true })
}

/// The socket, if it is one that listens, and where.
fn examine(descriptor: OwnedFd) -> io::Result<(AddressTarget, Socket)> {
    let socket = Socket::from(descriptor);
    let invalid = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
    if !socket.is_listener()? {
        return Err(invalid("the inherited descriptor is not a listening socket"));
    }
    socket.set_nonblocking(true)?;
    #[cfg(unix)]
    socket.set_cloexec(true)?;
    let local = socket.local_addr()?;
    let target = if let Some(address) = local.as_socket() {
        AddressTarget::Ip(address)
    } else if let Some(path) = local.as_pathname() {
        AddressTarget::Unix(path.to_owned())
    } else if let Some(name) = local.as_abstract_namespace() {
        AddressTarget::Abstract(String::from_utf8_lossy(name).into_owned())
    } else {
        return Err(invalid("the inherited descriptor is neither a TCP nor a Unix socket"));
    };
    Ok((target, socket))
}

/// Why the socket is not as the options say, if what they say can no longer be changed.
fn refuse(socket: &Socket, target: &AddressTarget, options: &SocketOptions) -> io::Result<Option<String>> {
    if let Err(error) = options.check(target) {
        return Ok(Some(error.to_string()));
    }
    if options.reuse_port && !socket.reuse_port()? {
        let why = "socket_options.reuse_port is true, and the inherited socket was bound without it; whoever made it must set it (ReusePort=yes in a socket unit)";
        return Ok(Some(why.to_owned()));
    }
    let (Some(wanted), AddressTarget::Unix(path)) = (options.unix_mode, target) else { return Ok(None) };
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    Ok((mode != wanted).then(|| {
        format!("socket_options.unix_mode is {wanted:04o}, and the inherited socket {} has {mode:04o}; whoever made it must set it (SocketMode= in a socket unit)", path.display())
    }))
}
