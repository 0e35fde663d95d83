use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long failures count: a window that begins with the first look after the one before is over.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts processes that have ended by themselves, and starts that have failed.
#[derive(Debug)]
pub(super) struct Failures {
    limit: u32,
    window: Mutex<Window>,
    total: AtomicU64,
}

#[derive(Debug)]
struct Window {
    begun: Instant,
    count: u32,
}

impl Failures {
    pub(super) fn new(limit: u32) -> Self {
        let window = Window { begun: Instant::now(), count: 0 };
        Self { limit, window: Mutex::new(window), total: AtomicU64::new(0) }
    }

    pub(super) fn add(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut window = self.current();
        window.count = window.count.saturating_add(1);
    }

    /// Whether nothing is to be started for now.
    pub(super) fn are_too_many(&self) -> bool {
        self.current().count > self.limit
    }

    pub(super) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Window> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.begun.elapsed() >= WINDOW {
            *window = Window { begun: Instant::now(), count: 0 };
        }
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_minute_forgets_failures() {
        let failures = Failures::new(2);
        for is_over in [false, false, true] {
            failures.add();
            assert_eq!(failures.are_too_many(), is_over);
        }
        tokio::time::advance(WINDOW).await;
        assert!(!failures.are_too_many());
        assert_eq!(failures.total(), 3);
    }
}
