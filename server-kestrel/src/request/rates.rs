//! How slow a peer may be: what the server says, and what the app says for a request.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use server_abstractions::MinDataRate;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    RequestBody,
    Response,
}

/// The data rates in force on one connection.
///
/// Over HTTP/1.1 they are those of the server, or what the app says for the last request, whose answer may be on its
/// way long after it has ended. Over HTTP/2 the whole
/// connection is measured, and an app can say for a request that it shall not be, as long as the request is under way.
pub(crate) struct Rates {
    defaults: [Option<MinDataRate>; 2],
    changed: Mutex<[Option<MinDataRate>; 2]>,
    /// The requests for which the app has said something.
    changes: [AtomicU32; 2],
}

impl Rates {
    pub(crate) fn new(request_body: Option<MinDataRate>, response: Option<MinDataRate>) -> Self {
        let defaults = [request_body, response];
        Self { defaults, changed: Mutex::new(defaults), changes: Default::default() }
    }

    fn changed(&self) -> MutexGuard<'_, [Option<MinDataRate>; 2]> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rate in force.
    pub(crate) fn get(&self, direction: Direction) -> Option<MinDataRate> {
        let at = direction as usize;
        if self.changes[at].load(Ordering::Acquire) == 0 { self.defaults[at] } else { self.changed()[at] }
    }

    /// A request begins to have a rate of its own. Several at the same time (HTTP/2) have none.
    pub(crate) fn begin(&self, direction: Direction, rate: Option<MinDataRate>) {
        self.set(direction, rate);
        self.changes[direction as usize].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn set(&self, direction: Direction, rate: Option<MinDataRate>) {
        self.changed()[direction as usize] = rate;
    }

    /// The next request over HTTP/1.1 begins, which has no rates of its own yet.
    pub(crate) fn reset(&self) {
        for changes in &self.changes {
            if changes.load(Ordering::Relaxed) != 0 {
                changes.store(0, Ordering::Release);
            }
        }
    }

    /// A request with a rate of its own ends (HTTP/2).
    pub(crate) fn end(&self, direction: Direction) {
        self.changes[direction as usize].fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_of_the_server_return_when_the_last_request_with_its_own_ends() {
        let server = Some(MinDataRate::default());
        let rates = Rates::new(server, server);
        rates.begin(Direction::RequestBody, None);
        rates.begin(Direction::RequestBody, None);
        rates.end(Direction::RequestBody);
        assert_eq!(rates.get(Direction::RequestBody), None);
        assert_eq!(rates.get(Direction::Response), server);
        rates.end(Direction::RequestBody);
        assert_eq!(rates.get(Direction::RequestBody), server);
    }
}
