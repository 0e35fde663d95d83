//! How many connections there may be: at all, upgraded, and of one remote address.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use server_abstractions::{BoxConnectionService, ConnectionEvent, HttpConnectionFeature};

use crate::connection::Accepted;
use crate::end_reason::EndReason;

/// The counts of a whole server, across its endpoints and their reloads.
#[derive(Debug, Default)]
pub(crate) struct Capacity {
    connections: AtomicU64,
    upgraded: AtomicU64,
    /// Kept only while addresses are limited.
    addresses: Mutex<HashMap<IpAddr, u64>>,
}

/// What a connection is counted as, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    capacity: Arc<Capacity>,
    counted: Counted,
}

#[derive(Clone, Copy, Debug)]
enum Counted {
    Connection,
    Upgraded,
    Of(IpAddr),
}

impl Capacity {
    fn take(self: &Arc<Self>, counted: Counted, limit: Option<u64>) -> Option<Place> {
        let limit = limit.unwrap_or(u64::MAX);
        let is_free = match counted {
            Counted::Connection => count_up(&self.connections, limit),
            Counted::Upgraded => count_up(&self.upgraded, limit),
            Counted::Of(address) => {
                let mut addresses = self.addresses();
                let count = addresses.entry(address).or_default();
                let is_free = *count < limit;
                *count += u64::from(is_free);
                is_free
            }
        };
        is_free.then(|| Place { capacity: Arc::clone(self), counted })
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn upgraded_connections(&self) -> u64 {
        self.upgraded.load(Ordering::Relaxed)
    }

    /// Another connection, unless there are as many as there may be.
    pub(crate) fn connection(self: &Arc<Self>, limit: Option<u64>) -> Option<Place> {
        self.take(Counted::Connection, limit)
    }
}

impl Place {
    /// Another upgraded connection, unless there are as many as there may be.
    pub(crate) fn upgraded(&self, limit: Option<u64>) -> Option<Self> {
        self.capacity.take(Counted::Upgraded, limit)
    }
}

fn count_up(counter: &AtomicU64, limit: u64) -> bool {
    let below = |count: u64| (count < limit).then(|| count + 1);
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, below).is_ok()
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.counted {
            Counted::Connection => drop(self.capacity.connections.fetch_sub(1, Ordering::Relaxed)),
            Counted::Upgraded => drop(self.capacity.upgraded.fetch_sub(1, Ordering::Relaxed)),
            Counted::Of(address) => {
                if let Entry::Occupied(mut count) = self.capacity.addresses().entry(address) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
            }
        }
    }
}

/// The addresses of one network of a home or a host are one client: IPv6 gives each of them 2^64.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

/// Lets no address have more connections than that; transports without addresses are not limited.
pub(crate) fn limit_addresses(
    capacity: Arc<Capacity>,
    limit: u64,
    next: BoxConnectionService,
) -> BoxConnectionService {
    BoxConnectionService::terminal(move |connection| {
        let next = next.clone();
        let peer = connection.features.get::<dyn HttpConnectionFeature>();
        let address = peer.and_then(|peer| peer.remote_address()).map(|address| address.ip());
        let place = address.map(|address| capacity.take(Counted::Of(client(address)), Some(limit)));
        Box::pin(async move {
            match place {
                Some(None) => {
                    const REASON: EndReason = EndReason::MaxConnectionsPerAddressExceeded;
                    let features = &connection.features;
                    if let Some(accepted) = features.get::<Accepted>() {
                        accepted.ends_with(REASON);
                        accepted.end_is_told();
                        let error_type = REASON.as_str();
                        accepted.report(&ConnectionEvent::Rejected { features, error_type, limit });
                    }
                    return Ok(());
                }
                Some(Some(place)) => {
                    if let Some(accepted) = connection.features.get::<Accepted>() {
                        accepted.keep_address(place);
                    }
                }
                None => {}
            }
            next.run(connection).await
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let capacity = Arc::new(Capacity::default());
        let first = capacity.connection(Some(1));
        assert!(first.is_some() && capacity.connection(Some(1)).is_none());
        let upgraded = first.as_ref().and_then(|first| first.upgraded(Some(1)));
        assert!(upgraded.is_some(), "others are counted apart");
        drop(first);
        assert!(capacity.connection(Some(1)).is_some());
        assert!(capacity.connection(Some(0)).is_none());
    }

    #[test]
    fn addresses_are_forgotten_when_their_last_connection_ends() {
        let capacity = Arc::new(Capacity::default());
        let of = |address: &str| Counted::Of(client(address.parse().expect("an address")));
        let first = capacity.take(of("2001:db8::1"), Some(1));
        assert!(first.is_some());
        assert!(capacity.take(of("2001:db8::2"), Some(1)).is_none(), "the same network");
        assert!(capacity.take(of("::ffff:192.0.2.1"), Some(1)).is_some());
        assert!(capacity.take(of("192.0.2.1"), Some(1)).is_some(), "the last one was dropped");
        drop(first);
        assert!(capacity.addresses.lock().expect("a lock").is_empty());
    }
}
