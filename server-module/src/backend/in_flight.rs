use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts the requests that a process has; closed, it lets no more in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Twice the requests, and 1 once it is closed: one number, so that nobody enters a gate that was found empty.
    count: AtomicUsize,
    empty: Notify,
}

const CLOSED: usize = 1;
const ONE: usize = 2;

/// A request that has not been answered to its end.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<State>);

impl Gate {
    pub(crate) fn enter(&self) -> Option<InFlight> {
        let before = self.0.count.fetch_add(ONE, Ordering::AcqRel);
        let entered = InFlight(Arc::clone(&self.0));
        (before & CLOSED == 0).then_some(entered)
    }

    pub(crate) fn close(&self) {
        self.0.count.fetch_or(CLOSED, Ordering::AcqRel);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.count.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Waits until nobody is in there.
    pub(crate) async fn empty(&self) {
        loop {
            let mut empty = std::pin::pin!(self.0.empty.notified());
            empty.as_mut().enable();
            if self.0.count.load(Ordering::Acquire) < ONE {
                return;
            }
            empty.await;
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.0.count.fetch_sub(ONE, Ordering::AcqRel);
        if before == ONE | CLOSED {
            self.0.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_lets_nobody_in_and_is_empty_when_all_have_left() {
        let gate = Gate::default();
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        gate.close();
        assert!(gate.enter().is_none() && gate.is_closed());
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.empty().await }
        });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
    }
}
