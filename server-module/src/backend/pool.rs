//! The connections to a process that wait for a request.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::address::Address;
use super::upstream::Upstream;

/// So many connections wait for their next request, in each thread.
const MAX_IDLE: usize = 1024;
/// How long a connection waits; servers end one that has waited longer.
const IDLE: Duration = Duration::from_secs(60);

/// The connections to one process that wait for a request.
#[derive(Debug)]
pub(crate) struct Pool {
    address: Address,
    /// How long is waited for each step.
    limit: Duration,
    /// By thread, since a connection is cheapest where it was made. The last one used is the last one.
    idle: Box<[Mutex<Idle>]>,
}

type Idle = VecDeque<(Instant, Box<Upstream>)>;

/// The number of this thread.
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

impl Pool {
    pub(super) fn new(address: Address, limit: Duration) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { address, limit, idle: (0..threads).map(|_| Mutex::default()).collect() }
    }

    /// Where the process listens.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// A connection that has been used before, if one waits. Whether the process has ended it meanwhile is for the caller to see.
    pub(crate) fn take(&self) -> Option<Box<Upstream>> {
        loop {
            let (since, mut upstream) = self.own().pop_back()?;
            let now = Instant::now();
            if now.saturating_duration_since(since) <= IDLE {
                upstream.clock.take(now);
                return Some(upstream);
            }
        }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> io::Result<Box<Upstream>> {
        let stream = self.address.connect(self.limit).await?;
        Ok(Box::new(Upstream::new(stream, self.limit)))
    }

    /// Takes a connection back whose answer was read to its end. One that cannot be used again is closed.
    pub(crate) fn put(&self, mut upstream: Box<Upstream>) {
        if !upstream.rest() {
            return;
        }
        let mut idle = self.own();
        let now = upstream.clock.begun();
        idle.push_back((now, upstream));
        let is_old = |(since, _): &(Instant, Box<Upstream>)| now.saturating_duration_since(*since) > IDLE;
        while idle.len() > MAX_IDLE || idle.front().is_some_and(is_old) {
            idle.pop_front();
        }
    }

    /// Closes those that wait.
    pub(crate) fn clear(&self) {
        self.idle.iter().for_each(|idle| lock(idle).clear());
    }

    fn own(&self) -> MutexGuard<'_, Idle> {
        lock(&self.idle[thread() % self.idle.len()])
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_has_waited_for_a_minute_is_not_used_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let family = crate::worker::Family::of_this_process();
        let crate::worker::Listening::Worker(own) = crate::worker::listening(port, family) else {
            panic!("this process listens")
        };
        let pool = Pool::new(Address::new(port, family, own, None), IDLE);
        for (seconds, is_taken) in [(59, true), (61, false)] {
            let upstream = pool.connect().await.unwrap();
            let _accepted = listener.accept().await.unwrap();
            pool.put(upstream);
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(pool.take().is_some(), is_taken);
            tokio::time::resume();
        }
        assert!(pool.take().is_none());
    }
}
