use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// How a server tells its parts to end, and how it learns that they have.
///
/// The signals flow down: maybe [`announce`](Self::announce) (go on, but let each connection end with its next answer),
/// maybe [`retire`](Self::retire) (the same, and take nothing new), then [`drain`](Self::drain) (finish what runs), then
/// [`abort`](Self::abort) (end now). Completion flows up by count: everything that works on the server's behalf holds
/// a [`LifetimeGuard`], and [`completed`](Self::completed) resolves when the last one is gone.
///
/// [`is_draining`](Self::is_draining) and [`is_aborting`](Self::is_aborting) are single loads of an atomic.
#[derive(Clone)]
pub struct Lifetime(Arc<Shared>);

struct Shared {
    is_draining: AtomicBool,
    is_aborting: AtomicBool,
    announced: CancellationToken,
    retiring: CancellationToken,
    draining: CancellationToken,
    aborting: CancellationToken,
    guards: AtomicUsize,
    completed: CancellationToken,
}

impl Lifetime {
    /// A lifetime that neither drains nor aborts, and its first guard, so that it is not complete before it began.
    pub fn new() -> (Self, LifetimeGuard) {
        let lifetime = Self(Arc::new(Shared {
            is_draining: AtomicBool::new(false),
            is_aborting: AtomicBool::new(false),
            announced: CancellationToken::new(),
            retiring: CancellationToken::new(),
            draining: CancellationToken::new(),
            aborting: CancellationToken::new(),
            guards: AtomicUsize::new(0),
            completed: CancellationToken::new(),
        }));
        let guard = lifetime.guard();
        (lifetime, guard)
    }

    /// Tells that the end is near: new connections are taken as before, and each connection, old or new, ends with its next
    /// answer, which says so. A server that knows no such thing goes on until it drains.
    pub fn announce(&self) {
        self.0.announced.cancel();
    }

    /// Asks for the gentle beginning of the end: nothing new is taken, and what is open ends with its next answer. A server
    /// that knows no such thing goes on until it drains.
    pub fn retire(&self) {
        self.0.retiring.cancel();
    }

    /// Asks everything to end gracefully. More than once is the same as once.
    pub fn drain(&self) {
        self.0.is_draining.store(true, Ordering::Release);
        self.0.draining.cancel();
    }

    /// Asks everything to end now; drains first.
    pub fn abort(&self) {
        self.drain();
        self.0.is_aborting.store(true, Ordering::Release);
        self.0.aborting.cancel();
    }

    /// Whether a graceful end has been asked for.
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Acquire)
    }

    /// Whether an immediate end has been asked for.
    pub fn is_aborting(&self) -> bool {
        self.0.is_aborting.load(Ordering::Acquire)
    }

    /// The token behind [`draining`](Self::draining), for those who hand it on: "the server is stopping".
    pub fn stopping(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// Resolves when [`announce`](Self::announce) is called, which need not come before the end.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub fn announced(&self) -> WaitForCancellationFutureOwned {
        self.0.announced.clone().cancelled_owned()
    }

    /// Resolves when [`retire`](Self::retire) is called, which need not come before the end.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub fn retiring(&self) -> WaitForCancellationFutureOwned {
        self.0.retiring.clone().cancelled_owned()
    }

    /// Resolves when a graceful end is asked for.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub fn draining(&self) -> WaitForCancellationFutureOwned {
        self.0.draining.clone().cancelled_owned()
    }

    /// Resolves when an immediate end is asked for.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub fn aborting(&self) -> WaitForCancellationFutureOwned {
        self.0.aborting.clone().cancelled_owned()
    }

    /// Counts its holder as work that must end before the lifetime is complete.
    pub fn guard(&self) -> LifetimeGuard {
        self.0.guards.fetch_add(1, Ordering::Relaxed);
        LifetimeGuard(self.clone())
    }

    /// Whether every guard is gone.
    pub fn is_completed(&self) -> bool {
        self.0.completed.is_cancelled()
    }

    /// Resolves when every guard is gone. Guards must not be taken after that; whoever takes them holds one.
    ///
    /// # Cancel safety
    /// Nothing is lost by dropping it.
    pub fn completed(&self) -> WaitForCancellationFutureOwned {
        self.0.completed.clone().cancelled_owned()
    }
}

impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifetime")
            .field("draining", &self.is_draining())
            .field("aborting", &self.is_aborting())
            .field("guards", &self.0.guards.load(Ordering::Relaxed))
            .finish()
    }
}

/// Work that is under way: see [`Lifetime::guard`].
pub struct LifetimeGuard(Lifetime);

impl Drop for LifetimeGuard {
    fn drop(&mut self) {
        if self.0.0.guards.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.completed.cancel();
        }
    }
}

impl fmt::Debug for LifetimeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LifetimeGuard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_complete_when_the_last_guard_is_gone() {
        let (lifetime, first) = Lifetime::new();
        let second = lifetime.guard();
        drop(first);
        assert!(!lifetime.0.completed.is_cancelled());
        drop(second);
        lifetime.completed().await;
    }

    #[tokio::test]
    async fn to_abort_is_to_drain_as_well() {
        let (lifetime, _guard) = Lifetime::new();
        lifetime.drain();
        assert!(lifetime.is_draining() && !lifetime.is_aborting());
        lifetime.abort();
        lifetime.draining().await;
        lifetime.aborting().await;
    }
}
