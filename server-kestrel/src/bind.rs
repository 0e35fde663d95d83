//! From an [`Endpoint`] to sockets that listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use server_abstractions::{Address, AddressTarget, StartError};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::Endpoint;
use crate::endpoint::EndpointSource;
use crate::inherited::Inherited;
use crate::listener::{ErasedListener, TcpSocketListener, UnixSocketListener};

mod unix;

/// Connections that the system completes before they are accepted.
const BACKLOG: i32 = 512;

/// A socket that listens.
pub(crate) enum BoundSocket {
    Tcp(std::net::TcpListener),
    Unix { listener: std::os::unix::net::UnixListener, _file: Option<Arc<unix::SocketFile>> },
    Custom(Option<Box<dyn ErasedListener>>),
}

/// An endpoint with its sockets; dropping it unbinds.
pub(crate) struct Bound {
    /// What was really bound, as people read it.
    pub(crate) address: Address,
    pub(crate) sockets: Vec<BoundSocket>,
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
            Self::Tcp(listener) => {
                Some(Box::new(TcpSocketListener::new(listener.try_clone()?, address.clone())?))
            }
            Self::Unix { listener, .. } => {
                Some(Box::new(UnixSocketListener::new(listener.try_clone()?, address.clone())?))
            }
            Self::Custom(listener) => listener.take(),
        })
    }
}

/// Binds an endpoint, or takes the inherited socket that is meant for it.
pub(crate) fn bind(endpoint: &Endpoint, inherited: &mut Inherited) -> Result<Bound, StartError> {
    let https = endpoint.https.is_some();
    let inherited = inherited.take_for(endpoint);
    if !inherited.is_empty() {
        return adopt(inherited, https).map_err(|error| cannot_listen(endpoint, error));
    }
    let taken = || StartError::configuration(format!("{endpoint} is listened on already"));
    match &endpoint.source {
        EndpointSource::Address(address) => {
            bind_address(endpoint, &Address::new(https, address.target().clone()))
        }
        EndpointSource::Descriptor(handed) => {
            let socket = handed.take().ok_or_else(taken)?;
            adopt(vec![socket], https).map_err(|error| cannot_listen(endpoint, error))
        }
        EndpointSource::Listener(custom) => {
            let listener = custom.listener.take().ok_or_else(taken)?;
            let address = Address::new(https, listener.address().target().clone());
            Ok(Bound { address, sockets: vec![BoundSocket::Custom(Some(listener))] })
        }
    }
}

fn bind_address(endpoint: &Endpoint, address: &Address) -> Result<Bound, StartError> {
    let fail = |error| cannot_listen(endpoint, error);
    let bound =
        |target, socket| Bound { address: Address::new(address.is_https(), target), sockets: vec![socket] };
    match address.target() {
        AddressTarget::Ip(ip) => {
            let listener = bind_tcp(*ip).map_err(fail)?;
            let local = listener.local_addr().map_err(fail)?;
            Ok(bound(AddressTarget::Ip(local), BoundSocket::Tcp(listener)))
        }
        AddressTarget::Any { host, port } => {
            if !matches!(host.as_str(), "*" | "+") {
                tracing::warn!(
                    address = %address,
                    "the host name does not restrict where the server listens: it listens on every address of the machine"
                );
            }
            let listener = bind_any(*port).map_err(fail)?;
            let local = listener.local_addr().map_err(fail)?;
            Ok(bound(AddressTarget::Ip(local), BoundSocket::Tcp(listener)))
        }
        AddressTarget::Localhost { port, .. } => {
            let sockets = bind_localhost(endpoint, *port)?;
            Ok(Bound { address: address.clone(), sockets })
        }
        AddressTarget::Unix(path) => {
            let (listener, file) = unix::bind(path, endpoint.unix_mode).map_err(fail)?;
            Ok(bound(address.target().clone(), BoundSocket::Unix { listener, _file: Some(Arc::new(file)) }))
        }
        AddressTarget::Abstract(name) => {
            let listener = unix::bind_abstract(name).map_err(fail)?;
            Ok(bound(address.target().clone(), BoundSocket::Unix { listener, _file: None }))
        }
        _ => Err(StartError::configuration(format!(
            "cannot listen on {endpoint}: named pipes exist on Windows only; use http://unix:/path here"
        ))),
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // `[::]` stands for IPv4 as well.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // A server that is started again must not wait for the connections of the last one to be forgotten. It is not
    // SO_REUSEPORT: a second instance on the same address is told that it is in use.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Before the first connection can be queued: each has it from here.
    let _ = socket.set_tcp_nodelay(true);
    socket.bind(&SockAddr::from(address))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_any(port: u16) -> io::Result<std::net::TcpListener> {
    match bind_tcp((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if is_address_in_use(&error) || error.kind() == io::ErrorKind::PermissionDenied => {
            Err(error)
        }
        Err(error) => {
            tracing::debug!(%error, port, "IPv6 is not available; listening on IPv4 only");
            bind_tcp((Ipv4Addr::UNSPECIFIED, port).into())
        }
        bound => bound,
    }
}

/// Both loopbacks; one of them may be missing on the machine, but neither may be taken by somebody else.
fn bind_localhost(endpoint: &Endpoint, port: u16) -> Result<Vec<BoundSocket>, StartError> {
    if port == 0 {
        return Err(StartError::configuration(format!(
            "cannot listen on {endpoint}: localhost stands for two sockets, which would get different ports; use http://127.0.0.1:0 or http://[::1]:0"
        )));
    }
    let mut sockets = Vec::new();
    let mut missing = None;
    for ip in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        match bind_tcp((ip, port).into()) {
            Ok(listener) => sockets.push(BoundSocket::Tcp(listener)),
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

/// Takes sockets that listen already; the first one gives the address.
fn adopt(descriptors: Vec<OwnedFd>, https: bool) -> io::Result<Bound> {
    let mut target = None;
    let mut sockets = Vec::with_capacity(descriptors.len());
    for descriptor in descriptors {
        let (bound, socket) = adopt_one(descriptor)?;
        target.get_or_insert(bound);
        sockets.push(socket);
    }
    let target =
        target.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "there is no descriptor"))?;
    Ok(Bound { address: Address::new(https, target), sockets })
}

fn adopt_one(descriptor: OwnedFd) -> io::Result<(AddressTarget, BoundSocket)> {
    let socket = Socket::from(descriptor);
    let invalid = |message| io::Error::new(io::ErrorKind::InvalidInput, message);
    if !socket.is_listener()? {
        return Err(invalid("the inherited descriptor is not a listening socket"));
    }
    socket.set_nonblocking(true)?;
    #[cfg(unix)]
    socket.set_cloexec(true)?;
    let local = socket.local_addr()?;
    if let Some(address) = local.as_socket() {
        return Ok((AddressTarget::Ip(address), BoundSocket::Tcp(socket.into())));
    }
    let target = if let Some(path) = local.as_pathname() {
        AddressTarget::Unix(path.to_owned())
    } else if let Some(name) = local.as_abstract_namespace() {
        AddressTarget::Abstract(String::from_utf8_lossy(name).into_owned())
    } else {
        return Err(invalid("the inherited descriptor is neither a TCP nor a Unix socket"));
    };
    Ok((target, BoundSocket::Unix { listener: socket.into(), _file: None }))
}

fn is_address_in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

fn cannot_listen(endpoint: &Endpoint, error: io::Error) -> StartError {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => {
            return StartError::address_in_use(format!(
                "cannot listen on {endpoint}: the address is in use; stop the program that listens there, or choose another port, such as with --urls http://localhost:5050"
            ))
            .with_source(error);
        }
        io::ErrorKind::PermissionDenied => {
            "permission is denied; ports below 1024 and other users' folders need rights of their own"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        _ => "the system refused",
    };
    StartError::new(format!("cannot listen on {endpoint}: {message}")).with_source(error)
}
