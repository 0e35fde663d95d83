use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

use server_abstractions::{Address, StartError};
use socket2::{SockAddr, SockRef};

use crate::Endpoint;
use crate::bind::{Bound, BoundSocket, backlog, bind};
use crate::endpoint::EndpointSource;
use crate::inherited::Inherited;

/// The sockets of an endpoint that listen, for a program that hands them on to another process (`LISTEN_FDS`).
///
/// Nobody accepts: clients wait in the queues of the sockets. Dropping this closes its descriptors and removes the file of
/// a Unix socket; descriptors that were handed on stay open.
///
/// ```
/// use server_kestrel::Endpoint;
/// let bound = Endpoint::url("http://127.0.0.1:0")?.bind()?;
/// assert_eq!(bound.sockets().count(), 1);
/// println!("listening on {}", bound.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BoundEndpoint {
    name: Option<String>,
    bound: Bound,
    /// Where the sockets are bound, one after the other.
    locals: Vec<SockAddr>,
    backlog: i32,
}

impl BoundEndpoint {
    /// The name of the endpoint.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where it listens, with the port that the system has chosen if it was 0.
    pub fn address(&self) -> &Address {
        &self.bound.address
    }

    /// The sockets: two for `localhost`, otherwise one. They do not block.
    pub fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.bound.descriptors()
    }

    /// Whether the file of a Unix socket was removed by somebody, so that nobody can connect: another [`bind`](Endpoint::bind) of
    /// the endpoint makes a socket and a file anew.
    pub fn has_lost_its_file(&self) -> bool {
        self.bound.sockets.iter().any(|socket| match socket {
            BoundSocket::Unix { file: Some(file), .. } => file.is_gone(),
            _ => false,
        })
    }

    /// Listens again where a process that shares a socket has shut it down, which refuses clients however many others listen;
    /// true if there was such a socket. Connections that waited there are gone. A Unix socket does not tell.
    ///
    /// # Errors
    /// The system refuses it, as when somebody else has taken the port.
    pub fn listen_again(&self) -> io::Result<bool> {
        let mut was_shut_down = false;
        for (socket, local) in self.sockets().zip(&self.locals) {
            let socket = SockRef::from(&socket);
            if !socket.is_listener()? {
                // A port that the system has chosen is gone by that, though the socket still tells it; another one is not.
                match socket.bind(local) {
                    Err(error) if error.kind() != ErrorKind::InvalidInput => return Err(error),
                    _ => {}
                }
                socket.listen(self.backlog)?;
                was_shut_down = true;
            }
        }
        Ok(was_shut_down)
    }
}

impl fmt::Debug for BoundEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundEndpoint")
            .field("name", &self.name)
            .field("address", &format_args!("{}", self.bound.address))
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Listens without accepting, as the server does when it starts: with the options of the sockets, on both loopbacks for
    /// `localhost`, in the place of a socket file on which nobody answers. A descriptor that was handed in is taken.
    ///
    /// # Errors
    /// The address cannot be listened on, an option of the sockets does not suit it, or the endpoint is a
    /// [`listener`](Self::listener), which need not have a socket.
    pub fn bind(&self) -> Result<BoundEndpoint, StartError> {
        if let EndpointSource::Listener(_) = &self.source {
            let message = format!("cannot bind {self}: a listener of the program's own cannot be handed on");
            return Err(StartError::configuration(message));
        }
        self.check_socket()
            .map_err(|error| StartError::configuration(format!("cannot listen on {self}: {error}")))?;
        let bound = bind(self, &mut Inherited::default())?;
        let locals = bound.descriptors().map(|socket| SockRef::from(&socket).local_addr());
        let locals = locals.collect::<io::Result<_>>().map_err(|error| {
            StartError::new(format!("cannot tell where {self} is bound")).with_source(error)
        })?;
        Ok(BoundEndpoint { name: self.name.clone(), bound, locals, backlog: backlog(&self.socket_options) })
    }
}
