//! From an [`Endpoint`] to sockets that listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use server_abstractions::{Address, AddressTarget, StartError};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::endpoint::EndpointSource;
use crate::inherited::Inherited;
use crate::listener::{ErasedListener, TcpSocketListener, UnixSocketListener};
use crate::{Endpoint, SocketOptions};

mod handed;
mod unix;

/// A socket that listens.
pub(crate) enum BoundSocket {
    Tcp(std::net::TcpListener, SocketOptions),
    Unix { listener: std::os::unix::net::UnixListener, file: Option<Arc<unix::SocketFile>> },
    Custom(Option<Box<dyn ErasedListener>>),
}

/// An endpoint with its sockets; dropping it unbinds.
pub(crate) struct Bound {
    /// What was really bound, as people read it.
    pub(crate) address: Address,
    pub(crate) sockets: Vec<BoundSocket>,
    /// Whether they were handed in.
    pub(crate) is_handed: bool,
}

impl BoundSocket {
    /// How many accept loops the socket can have.
    pub(crate) fn is_shareable(&self) -> bool {
        !matches!(self, Self::Custom(_))
    }

    /// A listener for one accept loop; the first one of a custom listener is the only one.
    ///
    /// Must be called within the runtime that drives the loop.
    pub(crate) fn listener(&mut self, address: &Address) -> io::Result<Option<Box<dyn ErasedListener>>> {
        Ok(match self {
            Self::Tcp(listener, options) => {
                Some(Box::new(TcpSocketListener::new(listener.try_clone()?, address.clone(), options)?))
            }
            Self::Unix { listener, .. } => {
                Some(Box::new(UnixSocketListener::new(listener.try_clone()?, address.clone())?))
            }
            Self::Custom(listener) => listener.take(),
        })
    }
}

impl Bound {
    /// The descriptors of the sockets. A custom listener has none.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().filter_map(|socket| match socket {
            BoundSocket::Tcp(listener, _) => Some(listener.as_fd()),
            BoundSocket::Unix { listener, .. } => Some(listener.as_fd()),
            BoundSocket::Custom(_) => None,
        })
    }
}

/// Binds an endpoint, or takes the inherited socket that is meant for it.
pub(crate) fn bind(endpoint: &Endpoint, inherited: &mut Inherited) -> Result<Bound, StartError> {
    let https = endpoint.https.is_some();
    let inherited = inherited.take_for(endpoint);
    if !inherited.is_empty() {
        return handed::adopt(endpoint, inherited);
    }
    let taken = || StartError::configuration(format!("{} is listened on already", endpoint.in_full()));
    match &endpoint.source {
        EndpointSource::Address(address) => {
            bind_address(endpoint, &Address::new(https, address.target().clone()))
        }
        EndpointSource::Descriptor(handed) => {
            let socket = handed.take().ok_or_else(taken)?;
            handed::adopt(endpoint, vec![socket])
        }
        EndpointSource::Listener(custom) => {
            let listener = custom.listener.take().ok_or_else(taken)?;
            let address = Address::new(https, listener.address().target().clone());
            Ok(Bound { address, sockets: vec![BoundSocket::Custom(Some(listener))], is_handed: true })
        }
    }
}

fn bind_address(endpoint: &Endpoint, address: &Address) -> Result<Bound, StartError> {
    let fail = |error| cannot_listen(endpoint, error);
    let options = &endpoint.socket_options;
    let bound = |target, socket| Bound {
        address: Address::new(address.is_https(), target),
        sockets: vec![socket],
        is_handed: false,
    };
    match address.target() {
        AddressTarget::Ip(ip) => {
            let listener = bind_tcp(*ip, options).map_err(fail)?;
            let local = listener.local_addr().map_err(fail)?;
            Ok(bound(AddressTarget::Ip(local), BoundSocket::Tcp(listener, *options)))
        }
        AddressTarget::Any { host, port } => {
            if !matches!(host.as_str(), "*" | "+") {
                tracing::warn!(
                    address = %address,
                    "the host name does not restrict where the server listens: it listens on every address of the machine"
                );
            }
            let listener = bind_any(*port, options).map_err(fail)?;
            let local = listener.local_addr().map_err(fail)?;
            Ok(bound(AddressTarget::Ip(local), BoundSocket::Tcp(listener, *options)))
        }
        AddressTarget::Localhost { port, .. } => {
            let sockets = bind_localhost(endpoint, *port)?;
            Ok(Bound { address: address.clone(), sockets, is_handed: false })
        }
        AddressTarget::Unix(path) => {
            let (listener, file) = unix::bind(path, options).map_err(fail)?;
            Ok(bound(address.target().clone(), BoundSocket::Unix { listener, file: Some(Arc::new(file)) }))
        }
        AddressTarget::Abstract(name) => {
            let listener = unix::bind_abstract(name, options).map_err(fail)?;
            Ok(bound(address.target().clone(), BoundSocket::Unix { listener, file: None }))
        }
        _ => Err(StartError::configuration(format!(
            "cannot listen on {}: named pipes exist on Windows only; use http://unix:/path here",
            endpoint.in_full()
        ))),
    }
}

fn bind_tcp(address: SocketAddr, options: &SocketOptions) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` stands for IPv4 as well.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A server that is started again must not wait for the connections of the last one to be forgotten. It is not
    // SO_REUSEPORT: without that a second instance on the same address is told that it is in use.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    // Before the first connection can be queued: each has them from here.
    let _ = socket.set_tcp_nodelay(options.no_delay);
    if let Some(keep_alive) = &options.keep_alive {
        keep_alive.apply(&SockRef::from(&socket))?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(backlog(options))?;
    Ok(socket.into())
}

/// As the system counts it.
pub(crate) fn backlog(options: &SocketOptions) -> i32 {
    i32::try_from(options.backlog).unwrap_or(i32::MAX)
}

fn bind_any(port: u16, options: &SocketOptions) -> io::Result<std::net::TcpListener> {
    match bind_tcp((Ipv6Addr::UNSPECIFIED, port).into(), options) {
        Err(error) if is_address_in_use(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
            Err(error)
        }
        Err(error) => {
            tracing::debug!(%error, port, "IPv6 is not available; listening on IPv4 only");
            bind_tcp((Ipv4Addr::UNSPECIFIED, port).into(), options)
        }
        bound => bound,
    }
}

/// Both loopbacks; one of them may be missing on the machine, but neither may be taken by somebody else.
fn bind_localhost(endpoint: &Endpoint, port: u16) -> Result<Vec<BoundSocket>, StartError> {
    if port == 0 {
        return Err(StartError::configuration(format!(
            "cannot listen on {}: localhost stands for two sockets, which would get different ports; use http://127.0.0.1:0 or http://[::1]:0",
            endpoint.in_full()
        )));
    }
    let mut sockets = Vec::new();
    let mut missing = None;
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        match bind_tcp((ip, port).into(), &endpoint.socket_options) {
            Ok(listener) => sockets.push(BoundSocket::Tcp(listener, endpoint.socket_options)),
            Err(error) if is_address_in_use(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(cannot_listen(endpoint, error));
            }
            Err(error) => {
                tracing::info!(address = %SocketAddr::new(ip, port), %error, "cannot listen on this loopback address");
                missing = Some(error);
            }
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(cannot_listen(endpoint, error)),
        _ => Ok(sockets),
    }
}

fn is_address_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn cannot_listen(endpoint: &Endpoint, error: io::Error) -> StartError {
    let what = endpoint.in_full();
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let instead = match (&endpoint.configured_at, &endpoint.name) {
                (Some(key), _) => format!("in {key}"),
                (None, None) => "such as with --urls http://localhost:5050".to_owned(),
                (None, Some(name)) => {
                    format!("in Kestrel:Endpoints:{name}:Url, or where the code has its address")
                }
            };
            return StartError::address_in_use(format!(
                "cannot listen on {what}: the address is in use; stop the program that listens there, or choose another port, {instead}"
            ))
            .with_source(error);
        }
        io::ErrorKind::PermissionDenied => match folder(endpoint) {
            Some(folder) => format!(
                "permission is denied; let the user of this program write to the folder {}, or choose another one",
                folder.display()
            ),
            None => "permission is denied; a port below 1024 needs the right CAP_NET_BIND_SERVICE, which a systemd unit gives by AmbientCapabilities=".to_owned(),
        },
        io::ErrorKind::AddrNotAvailable => "this machine has no such address".to_owned(),
        io::ErrorKind::NotFound => match missing_folder(endpoint) {
            Some(folder) => format!(
                "the folder {0} does not exist; make it, and let the user of this program write to it: install -d -o USER {0}, or RuntimeDirectory= of a systemd service",
                folder.display()
            ),
            None => "the system refused".to_owned(),
        },
        _ => "the system refused".to_owned(),
    };
    StartError::new(format!("cannot listen on {what}: {message}")).with_source(error)
}

/// The folder of a Unix socket.
fn folder(endpoint: &Endpoint) -> Option<&Path> {
    let Some(AddressTarget::Unix(path)) = endpoint.target() else { return None };
    path.parent()
}

/// The same, if it is not there.
fn missing_folder(endpoint: &Endpoint) -> Option<&Path> {
    folder(endpoint).filter(|folder| !folder.exists())
}
