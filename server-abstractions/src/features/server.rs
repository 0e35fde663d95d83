use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Address, BoxFuture};

/// The addresses of a server: before the start those that the host was configured with, afterwards those bound.
#[doc(alias = "IServerAddressesFeature")]
pub trait ServerAddressesFeature: Send + Sync {
    /// The addresses.
    fn addresses(&self) -> Vec<Address>;

    /// Whether the host's addresses win over the endpoints that the server was configured with.
    fn prefer_hosting_urls(&self) -> bool;

    /// Tells the server the addresses that the host was configured with. A server with endpoints of its own uses
    /// them only if `prefer_hosting_urls` is set.
    ///
    /// # Errors
    /// [`AddressesFixed`] when the server has been started.
    fn set_addresses(&self, addresses: Vec<Address>, prefer_hosting_urls: bool)
    -> Result<(), AddressesFixed>;
}

/// Whether a running server does its work: a question that all of its parts have to answer which take requests.
///
/// A server that takes requests in tasks of its own offers it, for a supervisor that is told regularly that the application
/// lives.
pub trait ServerLivenessFeature: Send + Sync {
    /// Resolves to true once every part has answered, and to false if one of them has ended. What the server was told before,
    /// such as other options, has been done by then. As long as a part hangs it does not resolve, so whoever asks sets a limit.
    ///
    /// # Cancel safety
    /// Dropping the future takes the question back.
    fn is_alive(&self) -> BoxFuture<'static, bool>;
}

/// How much a server that stops still has to do.
pub trait ServerDrainFeature: Send + Sync {
    /// The requests that are under way, upgraded connections among them, on connections that have been told to end. A server
    /// need not count before it stops: until then the number means nothing.
    fn requests_left(&self) -> u64;
}

/// The usual [`ServerAddressesFeature`], for servers to keep and offer.
#[derive(Debug, Default)]
pub struct ServerAddresses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    addresses: Vec<Address>,
    prefer_hosting_urls: bool,
    started: bool,
}

impl ServerAddresses {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// For the server: ends the time in which the host can set addresses, and returns what it has set.
    pub fn begin_start(&self) -> Vec<Address> {
        let mut state = self.state();
        state.started = true;
        std::mem::take(&mut state.addresses)
    }

    /// For the server: shows what was really bound.
    pub fn set_bound(&self, addresses: Vec<Address>) {
        let mut state = self.state();
        state.started = true;
        state.addresses = addresses;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServerAddressesFeature for ServerAddresses {
    fn addresses(&self) -> Vec<Address> {
        self.state().addresses.clone()
    }

    fn prefer_hosting_urls(&self) -> bool {
        self.state().prefer_hosting_urls
    }

    fn set_addresses(
        &self,
        addresses: Vec<Address>,
        prefer_hosting_urls: bool,
    ) -> Result<(), AddressesFixed> {
        let mut state = self.state();
        if state.started {
            return Err(AddressesFixed);
        }
        state.addresses = addresses;
        state.prefer_hosting_urls = prefer_hosting_urls;
        Ok(())
    }
}

/// The server has been started, so its addresses are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressesFixed;

impl fmt::Display for AddressesFixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server has been started; its addresses can no longer be set")
    }
}

impl std::error::Error for AddressesFixed {}
