//! Sockets that the parent process hands over, by the protocol of systemd's socket activation: `LISTEN_PID`,
//! `LISTEN_FDS` and `LISTEN_FDNAMES`.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use server_abstractions::{Address, AddressTarget, StartError};

use crate::{Endpoint, SocketOptions};

/// The first descriptor of the protocol.
const FIRST: RawFd = 3;

/// The inherited sockets that no endpoint has taken yet.
#[derive(Default)]
pub(crate) struct Inherited(Vec<InheritedSocket>);

struct InheritedSocket {
    descriptor: OwnedFd,
    name: Option<String>,
    target: Option<AddressTarget>,
}

impl Inherited {
    /// Takes the sockets that are meant for this process; the first call gets them, later ones get none.
    pub(crate) fn from_environment() -> Self {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let variable = |name| std::env::var(name).ok();
        let is_for_us = variable("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
        if !is_for_us || TAKEN.swap(true, Ordering::AcqRel) {
            return Self::default();
        }
        let count = variable("LISTEN_FDS").and_then(|count| count.parse::<u8>().ok()).unwrap_or(0);
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(|name| Some(name).filter(|name| !name.is_empty()));
        let sockets = (0..RawFd::from(count)).map(|offset| {
            let name = names.next().flatten().map(str::to_owned);
            InheritedSocket::new(own(FIRST + offset), name)
        });
        Self(sockets.collect())
    }

    /// The sockets that are meant for this endpoint: those with its name, else those with its address, which for
    /// `localhost` may be two.
    pub(crate) fn take_for(&mut self, endpoint: &Endpoint) -> Vec<OwnedFd> {
        let has_name = |socket: &InheritedSocket| socket.name.is_some() && socket.name == endpoint.name;
        let has_address = |socket: &InheritedSocket| {
            let configured = endpoint.address().map(Address::target);
            configured
                .zip(socket.target.as_ref())
                .is_some_and(|(configured, bound)| is_same(configured, bound))
        };
        let is_named = self.0.iter().any(has_name);
        let is_meant =
            |socket: &mut InheritedSocket| if is_named { has_name(socket) } else { has_address(socket) };
        self.0.extract_if(.., is_meant).map(|socket| socket.descriptor).collect()
    }

    /// One endpoint per socket, for a server that nothing was configured for.
    pub(crate) fn into_endpoints(self, defaults: SocketOptions) -> Vec<Endpoint> {
        let options = |target: &AddressTarget| {
            let SocketOptions { no_delay, keep_alive, .. } = defaults.for_target(target);
            SocketOptions { no_delay, keep_alive, ..SocketOptions::default() }
        };
        self.0
            .into_iter()
            .map(|socket| Endpoint {
                name: socket.name,
                socket_options: socket.target.as_ref().map(options).unwrap_or_default(),
                ..Endpoint::descriptor(socket.descriptor)
            })
            .collect()
    }

    /// Fails if a socket is left that belongs to no endpoint: whoever handed it over counts on it.
    pub(crate) fn expect_none_left(&self) -> Result<(), StartError> {
        let Some(socket) = self.0.first() else { return Ok(()) };
        let address = match &socket.target {
            Some(target) => Address::new(false, target.clone()).to_string(),
            None => "of an unknown kind".to_owned(),
        };
        let name = socket.name.as_deref().unwrap_or("unnamed");
        Err(StartError::configuration(format!(
            "the inherited socket '{name}' ({address}) matches no endpoint; name an endpoint like it, or configure its address"
        )))
    }
}

impl InheritedSocket {
    fn new(descriptor: OwnedFd, name: Option<String>) -> Self {
        let local = socket2::SockRef::from(&descriptor).local_addr().ok();
        let target = local.and_then(|local| {
            let ip = local.as_socket().map(AddressTarget::Ip);
            let unix = || local.as_pathname().map(|path| AddressTarget::Unix(path.to_owned()));
            let named = || {
                let name = String::from_utf8_lossy(local.as_abstract_namespace()?).into_owned();
                Some(AddressTarget::Abstract(name))
            };
            ip.or_else(unix).or_else(named)
        });
        Self { descriptor, name, target }
    }
}

fn is_same(configured: &AddressTarget, bound: &AddressTarget) -> bool {
    match (configured, bound) {
        (AddressTarget::Any { port, .. }, AddressTarget::Ip(ip)) => {
            ip.ip().is_unspecified() && ip.port() == *port
        }
        (AddressTarget::Localhost { port, .. }, AddressTarget::Ip(ip)) => {
            ip.ip().is_loopback() && ip.port() == *port
        }
        (configured, bound) => configured == bound,
    }
}

#[expect(unsafe_code, reason = "a descriptor's number is all that the parent process hands over")]
fn own(descriptor: RawFd) -> OwnedFd {
    // SAFETY: LISTEN_PID says that the parent opened this descriptor for this process, and `from_environment` takes
    // each one at most once. If the parent lied, the descriptor is closed or no socket, which the first use tells.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
