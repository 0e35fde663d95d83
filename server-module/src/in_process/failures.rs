use std::time::Duration;

use tokio::time::Instant;

/// How long failures are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts failures within a minute, which begins with the first of them.
#[derive(Debug)]
pub(super) struct Failures {
    /// How many may be within a minute.
    limit: u32,
    window: Option<(Instant, u32)>,
}

impl Failures {
    pub(super) fn new(limit: u32) -> Self {
        Self { limit, window: None }
    }

    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Counts one; the end of the minute, if it is one too many.
    pub(super) fn count(&mut self, now: Instant) -> Option<Instant> {
        let (began, count) = match self.window {
            Some((began, count)) if now < began + WINDOW => (began, count.saturating_add(1)),
            _ => (now, 1),
        };
        self.window = Some((began, count));
        (count > self.limit).then_some(began + WINDOW)
    }

    /// Forgets them.
    pub(super) fn forget(&mut self) {
        self.window = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_too_many_ends_it_until_the_minute_is_over() {
        let (mut failures, now) = (Failures::new(2), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(failures.count(now), None);
        assert_eq!(failures.count(at(1)), None);
        assert_eq!(failures.count(at(59)), Some(at(60)));
        assert_eq!(failures.count(at(60)), None);
        failures.forget();
        assert_eq!(failures.count(at(61)), None);
        assert_eq!(Failures::new(0).count(now), Some(at(60)));
    }
}
