use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long failures count: a window that begins with the first look after the one before is over.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts processes that have ended by themselves, and starts that have failed.
#[derive(Debug)]
pub(super) struct Failures {
    /// Whose they are.
    application: String,
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
        Self { application: String::new(), limit, window: Mutex::new(window), total: AtomicU64::new(0) }
    }

    /// Those of an application, which events name.
    pub(super) fn of(self, application: &str) -> Self {
        Self { application: application.to_owned(), ..self }
    }

    pub(super) fn add(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut window = self.current();
        window.count = window.count.saturating_add(1);
        if window.count == self.limit.saturating_add(1) {
            let application = &self.application;
            let seconds = WINDOW.saturating_sub(window.begun.elapsed()).as_secs();
            tracing::warn!(
                application,
                limit = self.limit,
                seconds,
                "the application is disabled: it has failed too often within a minute (rapidFailsPerMinute); its clients get 502.5 until these seconds are over, and then a request starts it again; correct it, and 'server-module recycle {application}' lifts this at once"
            );
        }
    }

    /// Forgets those that count.
    pub(super) fn forget(&self) {
        self.current().count = 0;
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
        (0..3).for_each(|_| failures.add());
        assert!(failures.are_too_many());
        failures.forget();
        assert!(!failures.are_too_many());
    }
}
