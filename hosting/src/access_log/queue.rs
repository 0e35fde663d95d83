//! The lines that wait to be written. Whoever adds one never waits for the output.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    capacity: usize,
    /// Lines that found no place.
    dropped: AtomicU64,
    /// Lines that the output did not take.
    lost: AtomicU64,
    written: AtomicU64,
    /// How many of the lines that were added are written or lost.
    settled: watch::Sender<u64>,
    begun: Instant,
    /// The milliseconds since `begun` at which the writer took what it is writing; 0 if it is not writing.
    writes_since: AtomicU64,
    told_stuck: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// How many lines were added so far.
    added: u64,
    waits_for: WaitsFor,
    is_flush_wanted: bool,
    is_closed: bool,
}

/// What the writer waits for, so that nobody wakes it for anything else: that is a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum WaitsFor {
    #[default]
    Nothing,
    ALine,
    Many,
}

/// What the writer has taken.
#[derive(Debug)]
pub(super) enum Taken {
    /// Lines, of which the last is the one of this number.
    Lines(u64),
    /// Nothing has come within the given time.
    Nothing,
    Closed,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            capacity,
            dropped: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            written: AtomicU64::new(0),
            settled: watch::Sender::new(0),
            begun: Instant::now(),
            writes_since: AtomicU64::new(0),
            told_stuck: AtomicU64::new(0),
        }
    }

    /// The lock is held for copies of lines and for nothing that could take long.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or returns false if there is no place for it.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut state = self.state();
        if state.is_closed || state.lines.len() + line.len() > self.capacity {
            drop(state);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        state.lines.extend_from_slice(line);
        state.added += 1;
        let is_due = match state.waits_for {
            WaitsFor::Nothing => false,
            WaitsFor::ALine => true,
            WaitsFor::Many => state.lines.len() >= self.many(),
        };
        if is_due {
            state.waits_for = WaitsFor::Nothing;
            drop(state);
            self.wake.notify_one();
        }
        true
    }

    /// So many bytes are written before their time, so that there is place for others meanwhile.
    fn many(&self) -> usize {
        self.capacity / 4
    }

    /// Takes all lines into `batch`, which is empty, once the first of them has waited for `interval`. With a `patience`
    /// it does not wait for the first line longer than that.
    pub(super) fn take(&self, batch: &mut Vec<u8>, interval: Duration, patience: Option<Duration>) -> Taken {
        let mut state = self.state();
        if state.lines.is_empty() {
            // Between two batches is the time to give back what a burst has taken.
            state.lines.shrink_to(64 * 1024);
        }
        let patience = patience.map(|patience| Instant::now() + patience);
        while state.lines.is_empty() && !state.is_closed && !state.is_flush_wanted {
            state.waits_for = WaitsFor::ALine;
            let Some(left) = left(patience) else { return Taken::Nothing };
            state = self.wait(state, left);
        }
        let due = Some(Instant::now() + interval);
        while state.lines.len() < self.many() && !state.is_closed && !state.is_flush_wanted {
            state.waits_for = WaitsFor::Many;
            let Some(left) = left(due) else { break };
            state = self.wait(state, left);
        }
        state.waits_for = WaitsFor::Nothing;
        state.is_flush_wanted = false;
        if state.lines.is_empty() && state.is_closed {
            return Taken::Closed;
        }
        std::mem::swap(batch, &mut state.lines);
        self.writes_since.store(self.milliseconds(), Ordering::Relaxed);
        Taken::Lines(state.added)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Option<Duration>) -> MutexGuard<'a, State> {
        match limit {
            Some(limit) => self.wake.wait_timeout(state, limit).unwrap_or_else(PoisonError::into_inner).0,
            None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Tells that all lines up to this number are written, but for those that are lost.
    pub(super) fn settle(&self, number: u64, written: u64, lost: u64) {
        self.written.fetch_add(written, Ordering::Relaxed);
        self.lost.fetch_add(lost, Ordering::Relaxed);
        self.writes_since.store(0, Ordering::Relaxed);
        self.settled.send_replace(number);
    }

    /// For whoever has dropped a line: how long the writer has been stuck, if it is and nobody was told of late.
    pub(super) fn stuck_for(&self, at_least: Duration) -> Option<Duration> {
        let since = self.writes_since.load(Ordering::Relaxed);
        let now = self.milliseconds();
        let limit = u64::try_from(at_least.as_millis()).unwrap_or(u64::MAX);
        let told = self.told_stuck.load(Ordering::Relaxed);
        if since == 0 || now.saturating_sub(since) < limit || now.saturating_sub(told) < limit {
            return None;
        }
        // One of those who see it at the same time tells it.
        let is_mine = self.told_stuck.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed);
        is_mine.is_ok().then(|| Duration::from_millis(now - since))
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// Waits until the lines of now are written or lost.
    pub(super) async fn flush(&self) {
        let added = self.ask(|state| state.is_flush_wanted = true);
        let mut settled = self.settled.subscribe();
        // The sender lives as long as `self`.
        let _ = settled.wait_for(|settled| *settled >= added).await;
    }

    /// Has the writer end when it has written what there is. Nothing more is taken.
    pub(super) fn close(&self) {
        self.ask(|state| state.is_closed = true);
    }

    fn ask(&self, what: impl FnOnce(&mut State)) -> u64 {
        let mut state = self.state();
        what(&mut state);
        let added = state.added;
        drop(state);
        self.wake.notify_one();
        added
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that are neither written nor lost.
    pub(super) fn waiting(&self) -> u64 {
        self.state().added.saturating_sub(*self.settled.borrow())
    }
}

/// How long it is until then: `None` if that is over, `Some(None)` if there is no end.
fn left(end: Option<Instant>) -> Option<Option<Duration>> {
    let Some(end) = end else { return Some(None) };
    let left = end.saturating_duration_since(Instant::now());
    (!left.is_zero()).then_some(Some(left))
}
