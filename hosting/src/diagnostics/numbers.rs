//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// The bounds of the durations in seconds, those of OpenTelemetry's conventions for requests.
pub(super) const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Counts since the start.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    requests: AtomicU64,
    failed: AtomicU64,
    aborted: AtomicU64,
    nanoseconds: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
    /// The bytes of connections that have ended.
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// With a status from 500 on, or a body that failed.
    Failed,
    /// The client has gone, or the server.
    Aborted,
}

/// The same at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Totals {
    requests: u64,
    failed: u64,
    aborted: u64,
    seconds: f64,
    bounds: [f64; BOUNDS.len()],
    buckets: Vec<u64>,
    accepted: u64,
    rejected: u64,
    pub(super) received: u64,
    pub(super) sent: u64,
}

impl Numbers {
    pub(super) fn ended(&self, duration: Duration, outcome: Outcome) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match outcome {
            Outcome::Answered => {}
            Outcome::Failed => drop(self.failed.fetch_add(1, Ordering::Relaxed)),
            Outcome::Aborted => drop(self.aborted.fetch_add(1, Ordering::Relaxed)),
        }
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn totals(&self) -> Totals {
        let get = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Totals {
            requests: get(&self.requests),
            failed: get(&self.failed),
            aborted: get(&self.aborted),
            seconds: Duration::from_nanos(get(&self.nanoseconds)).as_secs_f64(),
            bounds: BOUNDS,
            buckets: self.buckets.iter().map(get).collect(),
            accepted: get(&self.accepted),
            rejected: get(&self.rejected),
            received: get(&self.received),
            sent: get(&self.sent),
        }
    }
}
