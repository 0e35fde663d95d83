//! What is still under way while the server stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use server_abstractions::ServerDrainFeature;

use crate::capacity::Capacity;

/// The requests that connections still have which are told to end. Nobody counts before that, so that a request costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    requests: AtomicU64,
    capacity: Arc<Capacity>,
}

impl Drain {
    pub(crate) fn capacity(&self) -> &Arc<Capacity> {
        &self.capacity
    }
}

impl ServerDrainFeature for Drain {
    fn requests_left(&self) -> u64 {
        self.requests.load(Ordering::Relaxed) + self.capacity.upgraded_connections()
    }
}

/// What one connection has of them, until this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    drain: Arc<Drain>,
    requests: u64,
}

impl Share {
    pub(crate) fn of(drain: &Arc<Drain>) -> Self {
        Self { drain: Arc::clone(drain), requests: 0 }
    }

    pub(crate) fn set(&mut self, requests: u64) {
        // The sum never wraps, since it has what is taken away.
        self.drain.requests.fetch_add(requests.wrapping_sub(self.requests), Ordering::Relaxed);
        self.requests = requests;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        let drain = Arc::new(Drain::default());
        let (mut one, mut other) = (Share::of(&drain), Share::of(&drain));
        one.set(2);
        other.set(3);
        assert_eq!(drain.requests_left(), 5);
        one.set(1);
        drop(other);
        assert_eq!(drain.requests_left(), 1);
        drop(one);
        assert_eq!(drain.requests_left(), 0);
    }
}
