use std::fmt;
use std::os::fd::BorrowedFd;

use server_abstractions::{Address, StartError};

use crate::Endpoint;
use crate::bind::{Bound, bind};
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
        Ok(BoundEndpoint { name: self.name.clone(), bound })
    }
}
