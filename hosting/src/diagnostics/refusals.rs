//! Who was not shown the page is told now and then: anybody can ask as often as they like.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use tokio::time::Instant;

use crate::peer;

/// So often at the most it is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// How many were not told of yet, and when somebody was told last.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<(u64, Option<Instant>)>);

impl Refusals {
    /// Counts a request that did not see the page, and tells it unless that was done lately.
    pub(super) fn add<B>(&self, request: &Request<B>, reason: &'static str) {
        let Some(requests) = self.count() else { return };
        let peer = peer::of_the_socket(request).address().map(tracing::field::display);
        tracing::info!(peer, reason, requests, "the page of diagnostics was asked for and not shown");
    }

    /// How many to tell of now.
    fn count(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, last) = &mut *state;
        *count = count.saturating_add(1);
        if last.is_some_and(|last| last.elapsed() < TELL_EVERY) {
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_within_a_minute_is_told_as_a_number() {
        let refusals = Refusals::default();
        assert_eq!([refusals.count(), refusals.count(), refusals.count()], [Some(1), None, None]);
        tokio::time::advance(TELL_EVERY).await;
        assert_eq!([refusals.count(), refusals.count()], [Some(3), None]);
    }
}
