//! How fast a peer sends or takes while it is waited for.

use std::time::Duration;

use server_abstractions::MinDataRate;
use tokio::time::Instant;

use crate::driver::FOREVER;

/// Measures one direction of a connection, as often as the driver looks.
///
/// What counts is the time in which somebody waits for the peer, and the bytes since that began.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    began: Option<Began>,
}

#[derive(Clone, Copy, Debug)]
struct Began {
    at: Instant,
    bytes: u64,
}

impl Meter {
    /// Looks: `bytes` is the count of the direction so far. Returns whether the peer has been too slow.
    pub(crate) fn is_too_slow(&mut self, is_waiting: bool, bytes: u64, min: Option<MinDataRate>) -> bool {
        let Some(min) = min.filter(|_| is_waiting) else {
            self.began = None;
            return false;
        };
        let now = Instant::now();
        let began = *self.began.get_or_insert(Began { at: now, bytes });
        let waited = now - began.at;
        let wanted = f64::from(min.bytes_per_second.get()) * waited.as_secs_f64();
        waited >= min.grace_period && ((bytes - began.bytes) as f64) < wanted
    }

    /// When the peer must have sent or taken enough for the first time, if it is waited for.
    pub(crate) fn end_of_grace(&self, min: Option<MinDataRate>) -> Option<Instant> {
        self.began.zip(min).and_then(|(began, min)| began.at.checked_add(min.grace_period))
    }
}

/// Measures how a peer takes what is sent to it, as often as the driver looks.
///
/// What the system has taken from us tells of the peer in large steps only: a socket that was full can be written to
/// again when much of it has become free. So bytes buy time, at the rate that is wanted: those that wait, and those that
/// have gone out since; never more than those of [`STEP`].
#[derive(Debug, Default)]
pub(crate) struct Allowance {
    waiting: Option<Waiting>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    until: Instant,
    sent: u64,
}

/// The bytes that a peer may take its time for at once.
const STEP: u64 = 64 * 1024;

impl Allowance {
    /// Looks: `waiting` are the bytes that wait, if any do, and `sent` is the count of those that have gone out so far.
    /// Returns whether the peer has been too slow.
    pub(crate) fn is_too_slow(&mut self, waiting: Option<u64>, sent: u64, min: Option<MinDataRate>) -> bool {
        let Some((min, waiting)) = min.zip(waiting) else {
            self.waiting = None;
            return false;
        };
        let now = Instant::now();
        let time = |bytes: u64| Duration::from_secs_f64(bytes as f64 / f64::from(min.bytes_per_second.get()));
        // A grace period may be for ever.
        let grace = min.grace_period.min(FOREVER);
        let most = now + time(STEP).max(grace);
        let until = match self.waiting {
            None => now + time(waiting.min(STEP)).max(grace),
            Some(before) if before.sent == sent => before.until,
            Some(before) => (before.until.max(now) + time((sent - before.sent).min(STEP))).min(most),
        };
        self.waiting = Some(Waiting { until, sent });
        now >= until
    }

    /// When the peer must have taken something, if it is waited for.
    pub(crate) fn end(&self) -> Option<Instant> {
        self.waiting.map(|waiting| waiting.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The look at which a peer is too slow that sends so many bytes between two looks.
    async fn too_slow_at(bytes_per_look: u64) -> Option<u64> {
        let mut meter = Meter::default();
        for look in 0..20 {
            if meter.is_too_slow(true, look * bytes_per_look, Some(MinDataRate::default())) {
                return Some(look);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_too_slow_after_the_grace_period_and_below_the_rate() {
        assert_eq!(too_slow_at(0).await, Some(5));
        assert_eq!(too_slow_at(239).await, Some(5));
        assert_eq!(too_slow_at(241).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_grace_period_may_be_for_ever() {
        let min = MinDataRate { grace_period: Duration::MAX, ..MinDataRate::default() };
        let (mut meter, mut allowance) = (Meter::default(), Allowance::default());
        for _ in 0..3 {
            assert!(!meter.is_too_slow(true, 0, Some(min)));
            assert!(!allowance.is_too_slow(Some(1), 0, Some(min)));
            assert!(meter.end_of_grace(Some(min)).is_none_or(|end| end > Instant::now()));
            tokio::time::advance(Duration::from_secs(1000)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_and_no_rate_are_never_too_slow() {
        let mut meter = Meter::default();
        for _ in 0..20 {
            assert!(!meter.is_too_slow(false, 0, Some(MinDataRate::default())));
            assert!(!meter.is_too_slow(true, 0, None));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }
}
