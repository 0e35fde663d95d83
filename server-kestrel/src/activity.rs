//! What one connection is doing: written where it happens, read by the driver and the I/O wrapper.

use std::num::NonZeroU32;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;

use crate::refusal::Refusal;

/// What a connection is doing, written where it happens and read by the driver to set the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// No request, and no byte of one.
    Idle = 0,
    /// A part of a request's head has arrived (HTTP/1.1).
    Head = 1,
    /// Requests are under way.
    Busy = 2,
    /// The bytes are no longer HTTP.
    Upgraded = 3,
    /// The peer has gone in the middle of a request (HTTP/1.1).
    Gone = 4,
    /// Everything is said; what the peer still sends is read so that it gets to read the answer (HTTP/1.1).
    Lingering = 5,
}

/// The activity of one connection. All writes happen in the tasks of the connection, so the atomics are not
/// contended.
#[derive(Default)]
pub(crate) struct Activity {
    phase: AtomicU8,
    /// Changes whenever the deadline must be looked at again.
    changes: AtomicU32,
    requests: AtomicU32,
    active: AtomicU32,
    received: AtomicU64,
    sent: AtomicU64,
    is_write_blocked: AtomicU8,
    is_read_blocked: AtomicBool,
    /// Whether it was since this was asked for last.
    was_read_blocked: AtomicBool,
    is_holding: AtomicBool,
    holds_nothing: AtomicBool,
    holds_whole: AtomicBool,
    is_watched: AtomicBool,
    is_body_unread: AtomicBool,
    is_malformed: AtomicBool,
    /// Whether the engine may get no more bytes before something has been looked at.
    is_gated: AtomicBool,
    /// Whether the engine has asked for more than the requests that may be answered (HTTP/1.1).
    is_starved: AtomicBool,
    /// Whether the driver looks at nothing until somebody wakes it.
    is_asleep: AtomicBool,
    driver: AtomicWaker,
    refusal: OnceLock<Refusal>,
    /// Request bodies that somebody waits for.
    waiting_bodies: AtomicU32,
    /// Request bodies that have not come to their end, and how often there were none left.
    bodies: AtomicU32,
    times_without_body: AtomicU32,
    /// Tasks of streams (HTTP/2).
    tasks: AtomicU32,
    /// Pieces of responses that the engine has and does not ask for more of (HTTP/2).
    waiting_pieces: AtomicU32,
    waiting_data: AtomicU64,
    /// The content of bodies so far, in both directions (HTTP/2), and what the apps have read of it.
    received_data: AtomicU64,
    read_data: AtomicU64,
    sent_data: AtomicU64,
    sent_pieces: AtomicU64,
    /// The bytes of the write that waits.
    blocked_bytes: AtomicU64,
    is_body_too_slow: AtomicBool,
    broken_body: OnceLock<Refusal>,
    /// The number of the header block that is open (HTTP/2); 0 is none.
    open_block: AtomicU32,
    /// The code of the GOAWAY that the connection is cut off with (HTTP/2), plus one.
    leaving: AtomicU64,
    body_reader: AtomicWaker,
}

impl Activity {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Idle,
            1 => Phase::Head,
            2 => Phase::Busy,
            3 => Phase::Upgraded,
            4 => Phase::Gone,
            _ => Phase::Lingering,
        }
    }

    pub(crate) fn changes(&self) -> u32 {
        self.changes.load(Ordering::Relaxed)
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes have come in; `is_http1` tells whether they are the head of the next request. Of HTTP/2 they may be
    /// anything, such as a PING, and make no idle connection busy.
    pub(crate) fn received(&self, count: usize, is_http1: bool) {
        let before = self.received.fetch_add(count as u64, Ordering::Relaxed);
        self.is_read_blocked.store(false, Ordering::Relaxed);
        if self.phase() != Phase::Idle {
            return;
        }
        if is_http1 {
            self.enter(Phase::Head);
        } else if before == 0 {
            self.enter(Phase::Idle);
        }
    }

    /// The engine has asked for bytes, and there are none.
    pub(crate) fn found_nothing(&self) {
        self.is_read_blocked.store(true, Ordering::Relaxed);
        self.was_read_blocked.store(true, Ordering::Relaxed);
    }

    /// Something must be looked at before the engine gets more bytes, or no longer.
    pub(crate) fn gate(&self, is_gated: bool) {
        self.is_gated.store(is_gated, Ordering::Relaxed);
    }

    pub(crate) fn is_gated(&self) -> bool {
        self.is_gated.load(Ordering::Relaxed)
    }

    /// The head that is coming in is refused; the engine does not get the rest of it.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        // The first reason is the one.
        let _ = self.refusal.set(refusal);
        self.gate(true);
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refusal.get().is_some()
    }

    /// What is to be answered to the head that is coming in, now that all before it has been answered and sent.
    pub(crate) fn refusal_due(&self) -> Option<Refusal> {
        let refusal = *self.refusal.get()?;
        let is_starved = self.is_starved.load(Ordering::Relaxed);
        let is_sent = !self.is_write_blocked() && !self.is_holding();
        (is_starved && is_sent && !self.has_unanswered()).then_some(refusal)
    }

    /// A refusal goes out, under the deadline of a head.
    pub(crate) fn refusal_begins(&self) {
        self.enter(Phase::Head);
    }

    /// The engine gets nothing although there may be something: it has asked for it, so it has answered all it has.
    pub(crate) fn starve(&self) {
        self.is_starved.store(true, Ordering::Relaxed);
    }

    /// Whether a request is under way that has not been answered; a body that somebody still holds is none.
    pub(crate) fn has_unanswered(&self) -> bool {
        self.active.load(Ordering::Relaxed) > self.bodies.load(Ordering::Relaxed)
    }

    /// The driver stops looking. Returns whether something has changed that it has not seen.
    pub(crate) fn sleep(&self, waker: &Waker, seen_changes: Option<u32>) -> bool {
        self.driver.register(waker);
        self.is_asleep.store(true, Ordering::SeqCst);
        seen_changes != Some(self.changes.load(Ordering::SeqCst))
    }

    /// Something has changed in a task that may be another one than the driver's.
    fn change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            self.driver.wake();
        }
    }

    /// A write of so many bytes cannot go out.
    pub(crate) fn block(&self, count: usize) {
        self.blocked_bytes.store(count as u64, Ordering::Relaxed);
        self.sent(None);
    }

    /// Bytes have gone out, or nothing could.
    pub(crate) fn sent(&self, count: Option<usize>) {
        self.sent.fetch_add(count.unwrap_or(0) as u64, Ordering::Relaxed);
        self.is_read_blocked.store(false, Ordering::Relaxed);
        let was_blocked = self.is_write_blocked.swap(u8::from(count.is_none()), Ordering::Relaxed);
        if count.is_none() && was_blocked == 0 {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Somebody begins to wait for a request body.
    pub(crate) fn body_wait_begins(&self) {
        self.waiting_bodies.fetch_add(1, Ordering::Relaxed);
        self.change();
    }

    pub(crate) fn body_wait_ends(&self) {
        self.waiting_bodies.fetch_sub(1, Ordering::Relaxed);
    }

    /// The engine has got a piece of a response over HTTP/2.
    pub(crate) fn piece_begins(&self, length: usize) {
        self.waiting_pieces.fetch_add(1, Ordering::Relaxed);
        self.waiting_data.fetch_add(length as u64, Ordering::Relaxed);
        self.change();
    }

    /// The engine asks for the next piece, or for no more.
    pub(crate) fn piece_ends(&self, length: usize) {
        self.waiting_pieces.fetch_sub(1, Ordering::Relaxed);
        self.waiting_data.fetch_sub(length as u64, Ordering::Relaxed);
        self.sent_data.fetch_add(length as u64, Ordering::Relaxed);
        self.sent_pieces.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether somebody waits for what the peer sends.
    pub(crate) fn is_body_awaited(&self) -> bool {
        self.waiting_bodies.load(Ordering::Relaxed) > 0
    }

    /// Whether the peer could send what is waited for since this was asked for last: over HTTP/1.1 if the engine has asked
    /// for it, and over HTTP/2 unless bodies that nobody reads may have used up its window.
    pub(crate) fn may_body_come(&self, is_http1: bool, window: u32) -> bool {
        if is_http1 {
            let is_blocked = self.is_read_blocked.load(Ordering::Relaxed);
            return self.was_read_blocked.swap(is_blocked, Ordering::Relaxed);
        }
        let received = self.received_data.load(Ordering::Relaxed);
        let unread = received.saturating_sub(self.read_data.load(Ordering::Relaxed));
        let others = self.bodies.load(Ordering::Relaxed) > self.waiting_bodies.load(Ordering::Relaxed);
        !others || unread < u64::from(window / 2)
    }

    /// Content has come in, and somebody has read content (HTTP/2).
    pub(crate) fn data_received(&self, count: u64) {
        self.received_data.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn data_read(&self, count: usize) {
        self.read_data.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// What the peer has sent of bodies, as far as it can be told.
    pub(crate) fn received_content(&self, is_http1: bool) -> u64 {
        if is_http1 { &self.received } else { &self.received_data }.load(Ordering::Relaxed)
    }

    /// What the peer has taken of responses, as far as it can be told.
    pub(crate) fn sent_content(&self, is_http1: bool) -> u64 {
        if is_http1 { &self.sent } else { &self.sent_data }.load(Ordering::Relaxed)
    }

    pub(crate) fn sent_pieces(&self) -> u64 {
        self.sent_pieces.load(Ordering::Relaxed)
    }

    /// The bytes that wait for the peer to take them, at the least.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        let blocked = if self.is_write_blocked() { self.blocked_bytes.load(Ordering::Relaxed) } else { 0 };
        blocked.max(self.waiting_data.load(Ordering::Relaxed))
    }

    /// Whether something waits for the peer to take it, or its window.
    pub(crate) fn is_response_waiting(&self) -> bool {
        self.is_write_blocked() || self.waiting_pieces.load(Ordering::Relaxed) > 0
    }

    /// The peer sends its body too slowly (HTTP/1.1); whoever reads it learns that.
    pub(crate) fn fail_body(&self) {
        self.is_body_too_slow.store(true, Ordering::Relaxed);
        self.body_reader.wake();
    }

    /// The scanner found that the body that is coming in is broken (HTTP/1.1).
    pub(crate) fn break_body(&self, refusal: Refusal) {
        let _ = self.broken_body.set(refusal);
        self.gate(true);
    }

    pub(crate) fn broken_body(&self) -> Option<Refusal> {
        self.broken_body.get().copied()
    }

    /// A header block has begun, or none is open (HTTP/2).
    pub(crate) fn set_open_block(&self, block: Option<NonZeroU32>) {
        let block = block.map_or(0, NonZeroU32::get);
        if self.open_block.swap(block, Ordering::Relaxed) != block {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The number of the header block that is open (HTTP/2).
    pub(crate) fn open_block(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.open_block.load(Ordering::Relaxed))
    }

    /// The connection is cut off with this code (HTTP/2), when it is read from next.
    pub(crate) fn go_away(&self, code: u32) {
        self.leaving.store(u64::from(code) + 1, Ordering::Relaxed);
        self.gate(true);
    }

    pub(crate) fn leaving_with(&self) -> Option<u32> {
        let code = self.leaving.load(Ordering::Relaxed).checked_sub(1)?;
        u32::try_from(code).ok()
    }

    pub(crate) fn is_body_too_slow(&self) -> bool {
        self.is_body_too_slow.load(Ordering::Relaxed)
    }

    pub(crate) fn register_body_reader(&self, waker: &Waker) {
        self.body_reader.register(waker);
    }

    /// Answers wait in the I/O wrapper for the next ones (HTTP/1.1), or no longer.
    pub(crate) fn hold(&self, is_holding: bool) {
        self.is_holding.store(is_holding, Ordering::Relaxed);
    }

    /// The client asks for an upgrade. hyper remembers that, accepted or not, and ends the connection without a flush,
    /// so that from now on nothing may wait in the I/O wrapper.
    pub(crate) fn hold_nothing(&self) {
        self.holds_nothing.store(true, Ordering::Relaxed);
    }

    /// Whether the I/O wrapper takes all of the answer to the request under way.
    pub(crate) fn hold_whole(&self, whole: bool) {
        self.holds_whole.store(whole, Ordering::Relaxed);
    }

    pub(crate) fn holds_whole(&self) -> bool {
        self.holds_whole.load(Ordering::Relaxed)
    }

    pub(crate) fn may_hold(&self) -> bool {
        !self.holds_nothing.load(Ordering::Relaxed)
    }

    /// Whether answers wait, and not for the peer.
    pub(crate) fn is_holding(&self) -> bool {
        self.is_holding.load(Ordering::Relaxed)
    }

    /// A request begins; returns its ordinal on the connection, from 1.
    pub(crate) fn request_begins(&self) -> u32 {
        self.hold_whole(false);
        self.is_starved.store(false, Ordering::Relaxed);
        self.is_body_too_slow.store(false, Ordering::Relaxed);
        self.active.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Busy);
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A request has a body that has not come to its end.
    pub(crate) fn body_begins(&self) {
        self.bodies.fetch_add(1, Ordering::Relaxed);
        self.stream_begins();
    }

    /// The body has ended, or nobody reads it any more.
    pub(crate) fn body_ends(&self) {
        self.request_ends();
        if self.bodies.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.times_without_body.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Changes when there is no body left.
    pub(crate) fn times_without_body(&self) -> u32 {
        self.times_without_body.load(Ordering::Relaxed)
    }

    /// A stream of HTTP/2 gets a task.
    pub(crate) fn task_begins(&self) {
        self.tasks.fetch_add(1, Ordering::Relaxed);
        self.stream_begins();
    }

    pub(crate) fn task_ends(&self) {
        self.request_ends();
        self.tasks.fetch_sub(1, Ordering::Relaxed);
    }

    /// The requests under way; what keeps the connection busy without one, such as a stream that was upgraded, is one.
    pub(crate) fn requests_left(&self) -> u64 {
        let [active, bodies, tasks] =
            [&self.active, &self.bodies, &self.tasks].map(|count| count.load(Ordering::Relaxed));
        active.saturating_sub(bodies).saturating_sub(tasks).max(u32::from(active > 0)).into()
    }

    /// Something beside the request itself begins that keeps the connection busy: a task of an HTTP/2 stream, or the
    /// reading of a body.
    fn stream_begins(&self) {
        self.active.fetch_add(1, Ordering::Relaxed);
        self.enter(Phase::Busy);
    }

    /// A request, or what was begun beside it, has ended, whichever way.
    pub(crate) fn request_ends(&self) {
        if self.active.fetch_sub(1, Ordering::Relaxed) == 1 && self.phase() == Phase::Busy {
            self.is_watched.store(false, Ordering::Relaxed);
            self.phase.store(Phase::Idle as u8, Ordering::Relaxed);
            self.change();
        }
    }

    /// Tells whether the request that has just ended left a part of its body unread.
    pub(crate) fn set_body_unread(&self, is_unread: bool) {
        self.is_body_unread.store(is_unread, Ordering::Relaxed);
    }

    /// The connection is being closed by us. If the peer may still be sending (the rest of a body, or what follows a
    /// malformed head), it must not be cut off before it has read the answer; then this is true.
    pub(crate) fn must_linger(&self) -> bool {
        match self.phase() {
            Phase::Lingering | Phase::Head => true,
            Phase::Idle | Phase::Busy => self.is_body_unread.load(Ordering::Relaxed),
            Phase::Upgraded | Phase::Gone => false,
        }
    }

    /// Whether the engine of HTTP/1.1 waits for the head of a request and for nothing else. Then it has read last, and
    /// found nothing: while an answer is on its way out, it does not read, and what it reads otherwise is a body.
    pub(crate) fn is_between_requests(&self) -> bool {
        self.phase() == Phase::Idle
            && self.is_read_blocked.load(Ordering::Relaxed)
            && !self.is_write_blocked()
            && !self.is_holding()
            && !self.is_body_unread.load(Ordering::Relaxed)
    }

    pub(crate) fn linger(&self) {
        match self.phase() {
            Phase::Lingering => return,
            // The engine ends with the bytes of a head and without a request.
            Phase::Head => self.is_malformed.store(true, Ordering::Relaxed),
            _ => {}
        }
        self.enter(Phase::Lingering);
    }

    /// Whether the connection lingers since the engine found a head malformed (HTTP/1.1).
    pub(crate) fn is_malformed(&self) -> bool {
        self.is_malformed.load(Ordering::Relaxed)
    }

    /// Asks the I/O wrapper to see whether the peer is still there, until the request under way has ended.
    pub(crate) fn watch(&self) {
        self.is_watched.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Relaxed) && self.phase() == Phase::Busy
    }

    /// The peer has gone in the middle of a request.
    pub(crate) fn gone(&self) {
        self.enter(Phase::Gone);
    }

    pub(crate) fn upgraded(&self) {
        self.is_watched.store(false, Ordering::Relaxed);
        self.enter(Phase::Upgraded);
    }

    /// Whether the peer has not sent a byte yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.received.load(Ordering::Relaxed) == 0
    }

    /// All bytes in both directions so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.received.load(Ordering::Relaxed) + self.sent.load(Ordering::Relaxed)
    }

    /// The bytes that have come in so far.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The bytes that have gone out so far.
    pub(crate) fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The requests that have begun so far.
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether something waits for the peer to take it.
    pub(crate) fn is_write_blocked(&self) -> bool {
        self.is_write_blocked.load(Ordering::Relaxed) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_follows_a_request() {
        let activity = Activity::default();
        activity.received(10, true);
        assert_eq!(activity.phase(), Phase::Head);
        assert_eq!(activity.request_begins(), 1);
        assert_eq!(activity.phase(), Phase::Busy);
        activity.request_ends();
        assert_eq!(activity.phase(), Phase::Idle);
        assert_eq!((activity.is_fresh(), activity.is_write_blocked()), (false, false));
        activity.sent(None);
        assert!(activity.is_write_blocked());
    }
}
