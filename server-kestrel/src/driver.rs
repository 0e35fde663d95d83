//! Drives one connection of an HTTP engine under its deadlines and the server's lifetime.

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use server_abstractions::BoxError;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::Limits;
use crate::activity::Phase;
use crate::connection::Signals;
use crate::detect::FRESH_GRACE;
use crate::drain::Share;
use crate::end_reason::EndReason;
use crate::meter::{Allowance, Meter};
use crate::protocol::reason_of;
use crate::refusal::Refusal;
use crate::request::ConnectionContext;
use crate::request::rates::Direction;

/// How long a connection that is closing and quiet may wait for its peer: the answer to GOAWAY, the end of TLS.
const CLOSING_GRACE: Duration = Duration::from_secs(1);

/// How long a connection that is closed by us goes on reading what nobody wants; the original's limit for draining a
/// body.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request whose head has begun to arrive may take to complete it once the server stops.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(5);

/// How often a busy connection is looked at, to find out since when it is idle.
///
/// A shorter keep-alive timeout is the interval instead.
const LOOK: Duration = Duration::from_secs(1);

/// A connection of an HTTP engine.
pub(crate) trait Engine: Future<Output = hyper::Result<()>> {
    /// Finishes what is under way and takes nothing new.
    fn graceful_shutdown(self: Pin<&mut Self>);

    /// Answers the head that is coming in, without the app, and ends the connection; must be polled again. False if
    /// there is nothing that could be answered, or it is being refused already.
    fn refuse(self: Pin<&mut Self>, _: Refusal) -> bool {
        false
    }

    /// Gives back the memory that only requests need. Called between two requests only; must be polled again.
    fn rest(self: Pin<&mut Self>) {}
}

pin_project! {
    /// The future of a connection.
    ///
    /// A poll on behalf of a request costs a few loads. The signals are polled only when the task's waker changed. The
    /// clock is not read: while requests come and go, the timer fires once in [`LOOK`], and only when a look finds
    /// that nothing has happened since the last one is the deadline of the idle time set. So a connection is idle for
    /// its timeout at least, and for a second more at most.
    pub(crate) struct Driver<E> {
        #[pin]
        engine: E,
        context: Arc<ConnectionContext>,
        keep_alive_timeout: Duration,
        look: Duration,
        request_headers_timeout: Duration,
        // When the connection is too old.
        retirement: Option<Instant>,
        // The header block that is open (HTTP/2), and since when at the most.
        open_block: Option<(NonZeroU32, Instant)>,
        incoming: Meter,
        // How often there was no body left to come, at the last look.
        bodies: u32,
        outgoing: Allowance,
        #[pin]
        draining: WaitForCancellationFutureOwned,
        #[pin]
        aborting: WaitForCancellationFutureOwned,
        // HTTP/2 says at once that its endpoint is replaced; HTTP/1.1 says it with the next answer.
        replaced: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
        registered: Option<Waker>,
        // Whether the timer does not know the waker yet.
        is_waker_new: bool,
        seen_signals: u8,
        seen_changes: Option<u32>,
        armed: Armed,
        #[pin]
        timer: Sleep,
        closing: Closing,
        // The requests that a stop waits for, once there is one.
        left: Option<Share>,
    }
}

/// Thirty years.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The end of a time that begins now; a time without an end is one of thirty years.
pub(crate) fn after_now(after: Duration) -> Instant {
    Instant::now() + after.min(FOREVER)
}

/// Give or take a tenth, so that connections of one moment do not end in one moment.
fn with_jitter(age: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
    Duration::try_from_secs_f64(age.as_secs_f64() * (0.9 + 0.2 * random)).unwrap_or(age)
}

/// What the timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    No,
    /// To see whether anything has happened meanwhile.
    Look,
    /// To end what the connection does.
    Deadline,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// The server stops or has replaced the endpoint, and the connection has not sent a byte yet: its request may be on
    /// the way.
    Fresh,
    /// The engine closes; the bytes so far tell whether the peer still moves.
    Engine {
        bytes: u64,
    },
}

/// The server's own end is one more signal to the driver.
const ABORTING: u8 = 128;
const DRAINING: u8 = 64;
/// So is the end of how its endpoint was served.
const REPLACED: u8 = 32;

impl<E: Engine> Driver<E> {
    pub(crate) fn new(engine: E, context: Arc<ConnectionContext>, limits: &Limits) -> Self {
        Self {
            engine,
            keep_alive_timeout: limits.keep_alive_timeout,
            look: LOOK.min(limits.keep_alive_timeout),
            request_headers_timeout: limits.request_headers_timeout,
            open_block: None,
            incoming: Meter::default(),
            bodies: 0,
            outgoing: Allowance::default(),
            retirement: limits.max_connection_age.map(|age| after_now(with_jitter(age))),
            draining: context.accepted.lifetime.draining(),
            aborting: context.accepted.lifetime.aborting(),
            replaced: (!context.is_http1).then(|| Box::pin(context.accepted.replaced())),
            context,
            registered: None,
            is_waker_new: false,
            seen_signals: 0,
            seen_changes: None,
            armed: Armed::No,
            timer: sleep_until(after_now(limits.keep_alive_timeout)),
            closing: Closing::No,
            left: None,
        }
    }
}

impl<E: Engine> Future for Driver<E> {
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Poll::Ready(result) = self.as_mut().project().engine.poll(cx) {
                return Poll::Ready(self.ended(result));
            }
            if self.context.activity.is_holding() {
                // hyper's next poll sends it.
                cx.waker().wake_by_ref();
            }
            let signals = self.as_mut().signals(cx);
            if signals & DRAINING != 0 {
                self.as_mut().tell_what_is_left();
            }
            if signals & (ABORTING | Signals::KILL) != 0 {
                let is_killed = signals & Signals::KILL != 0;
                self.context.cut_off(if is_killed {
                    EndReason::AbortedByApp
                } else {
                    EndReason::AppShutdownTimeout
                });
                return Poll::Ready(Ok(()));
            }
            let must_close = self.as_mut().heed(signals)
                | match self.as_mut().heed_deadline(cx) {
                    Deadline::None => false,
                    Deadline::Close => true,
                    Deadline::Drop => return Poll::Ready(Ok(())),
                    Deadline::CutOff(reason) => {
                        self.cut_off(reason, cx);
                        return Poll::Ready(Ok(()));
                    }
                };
            if !must_close {
                return Poll::Pending;
            }
            self.as_mut().close();
        }
    }
}

/// What a deadline that has passed asks for.
enum Deadline {
    None,
    Close,
    Drop,
    /// Drop, for this reason.
    CutOff(EndReason),
}

impl<E: Engine> Driver<E> {
    /// The engine has ended; those who wrap the connection see why.
    fn ended(&self, result: hyper::Result<()>) -> Result<(), BoxError> {
        let Err(error) = result else { return Ok(()) };
        if self.context.accepted.signals.is_killed() {
            self.context.cut_off(EndReason::AbortedByApp);
            return Ok(());
        }
        if self.context.is_http1 && error.is_parse() {
            self.context.refused_by_engine(&error);
        }
        self.context.accepted.ends_with(reason_of(&error));
        Err(error.into())
    }

    /// Ends the connection at once; a peer of HTTP/2 is told, if that is possible.
    fn cut_off(self: Pin<&mut Self>, reason: EndReason, cx: &mut Context<'_>) {
        let this = self.project();
        this.context.cut_off(reason);
        if !this.context.is_http1 && *this.closing == Closing::No {
            this.context.activity.go_away(h2::Reason::INTERNAL_ERROR.into());
            let _ = this.engine.poll(cx);
        }
    }

    fn tell_what_is_left(self: Pin<&mut Self>) {
        let this = self.project();
        let context = this.context;
        let left = this.left.get_or_insert_with(|| context.accepted.share_of_drain());
        left.set(context.activity.requests_left());
    }

    /// The signals sent so far; registers for the next ones.
    fn signals(self: Pin<&mut Self>, cx: &mut Context<'_>) -> u8 {
        let this = self.project();
        let accepted = &this.context.accepted;
        if !this.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *this.registered = Some(cx.waker().clone());
            *this.is_waker_new = true;
            accepted.signals.register(cx.waker());
            // Registers with both; whether they have fired is read from the lifetime.
            let _ = this.draining.poll(cx);
            let _ = this.aborting.poll(cx);
            let _ = this.replaced.as_mut().map(|replaced| replaced.as_mut().poll(cx));
        }
        let sent = || accepted.signals.sent() & !Signals::LAST;
        if sent() & !*this.seen_signals != 0 {
            // Sending one takes the waker away.
            accepted.signals.register(cx.waker());
        }
        sent()
            | if accepted.lifetime.is_draining() { DRAINING } else { 0 }
            | if accepted.lifetime.is_aborting() { ABORTING } else { 0 }
            | if this.replaced.is_some() && accepted.is_replaced() { REPLACED } else { 0 }
    }

    /// Whether a signal that was not seen before asks for the end.
    fn heed(self: Pin<&mut Self>, signals: u8) -> bool {
        let this = self.project();
        let new = signals & !*this.seen_signals;
        *this.seen_signals = signals;
        if new == 0 || matches!(this.closing, Closing::Engine { .. }) {
            return false;
        }
        if new & Signals::CLOSE == 0 && this.context.activity.is_fresh() {
            *this.closing = Closing::Fresh;
            *this.seen_changes = None;
            *this.armed = Armed::No;
            return false;
        }
        true
    }

    fn close(self: Pin<&mut Self>) {
        let this = self.project();
        if this.context.activity.phase() == Phase::Idle {
            // hyper has read what was left of the last body, or it would have closed the connection then.
            this.context.activity.set_body_unread(false);
        }
        this.engine.graceful_shutdown();
        *this.closing = Closing::Engine { bytes: this.context.activity.bytes() };
        *this.seen_changes = None;
        *this.armed = Armed::No;
    }

    /// Follows the phase, and tells what to do when its time is over.
    fn heed_deadline(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Deadline {
        let changes = self.context.activity.changes();
        if self.seen_changes != Some(changes) {
            if self.closing == Closing::Fresh && !self.context.activity.is_fresh() {
                return Deadline::Close;
            }
            let is_looking = self.armed == Armed::Look;
            match self.context.activity.phase() {
                Phase::Gone => return Deadline::Drop,
                // The common case: a look is due within a second, and finds out what has changed.
                Phase::Idle | Phase::Busy if is_looking && !self.is_waker_new && !self.timer.is_elapsed() => {
                    return Deadline::None;
                }
                Phase::Idle | Phase::Busy if is_looking => {}
                _ => self.as_mut().follow(changes),
            }
        }
        *self.as_mut().project().is_waker_new = false;
        while self.armed != Armed::No && self.as_mut().project().timer.poll(cx).is_ready() {
            match self.as_mut().fired(cx) {
                Deadline::None => {}
                expired => return expired,
            }
        }
        if self.armed == Armed::No && self.context.activity.sleep(cx.waker(), self.seen_changes) {
            cx.waker().wake_by_ref();
        }
        Deadline::None
    }

    /// The phase has changed, and no look is due that would find it out.
    fn follow(mut self: Pin<&mut Self>, changes: u32) {
        let is_first = self.seen_changes.is_none();
        if let Closing::Engine { .. } = self.closing
            && is_first
        {
            // The engine has said goodbye since, which is no sign of the peer.
            let bytes = self.context.activity.bytes();
            *self.as_mut().project().closing = Closing::Engine { bytes };
        }
        let is_draining = self.context.accepted.lifetime.is_draining();
        let timeout = match (self.closing, self.context.activity.phase()) {
            (Closing::Fresh, _) if is_draining => FRESH_GRACE,
            // The grace of a reload ends it.
            (Closing::Fresh, _) => self.keep_alive_timeout,
            // The answer to it has its grace as well.
            (_, Phase::Head) if is_draining => self.request_headers_timeout.min(STOP_GRACE - CLOSING_GRACE),
            (_, Phase::Head) => self.request_headers_timeout,
            (_, Phase::Lingering) if is_draining => CLOSING_GRACE,
            (_, Phase::Lingering) => LINGER_TIMEOUT,
            (Closing::Engine { .. }, Phase::Idle) => CLOSING_GRACE,
            (Closing::No, Phase::Idle) if is_first && self.context.activity.is_fresh() => {
                self.keep_alive_timeout
            }
            _ => return self.look_again(changes),
        };
        self.arm(Armed::Deadline, timeout, changes);
    }

    /// Looks again after a while, or when somebody who is waited for has had the time there is.
    fn look_again(self: Pin<&mut Self>, changes: u32) {
        let rates = &self.context.rates;
        let ends = [
            self.open_block.and_then(|(_, since)| since.checked_add(self.request_headers_timeout)),
            self.incoming.end_of_grace(rates.get(Direction::RequestBody)),
            self.outgoing.end(),
        ];
        let now = Instant::now();
        let left = ends.into_iter().flatten().filter_map(|end| end.checked_duration_since(now));
        let after = left.filter(|left| !left.is_zero()).fold(self.look, Duration::min);
        self.arm(Armed::Look, after, changes);
    }

    fn arm(self: Pin<&mut Self>, armed: Armed, after: Duration, changes: u32) {
        let this = self.project();
        *this.armed = armed;
        *this.seen_changes = Some(changes);
        this.timer.reset(after_now(after));
    }

    /// Why the peer is too slow, if it is: with a body, with taking a response, with a header block of HTTP/2.
    fn too_slow(self: Pin<&mut Self>) -> Option<EndReason> {
        let this = self.project();
        let now = Instant::now();
        let open = this.context.activity.open_block().map(|block| match *this.open_block {
            Some((number, since)) if number == block => (block, since),
            _ => (block, now),
        });
        *this.open_block = open;
        if open.is_some_and(|(_, since)| now - since >= *this.request_headers_timeout) {
            return Some(EndReason::RequestHeadersTimeout);
        }
        let (activity, rates) = (&this.context.activity, &this.context.rates);
        let bodies = activity.times_without_body();
        if *this.bodies != bodies {
            // It was another body that was waited for at the last look.
            *this.bodies = bodies;
            *this.incoming = Meter::default();
        }
        let is_http1 = this.context.is_http1;
        let is_awaited = activity.is_body_awaited()
            && activity.phase() == Phase::Busy
            && activity.may_body_come(is_http1, this.context.window);
        let received = activity.received_content(is_http1);
        if this.incoming.is_too_slow(is_awaited, received, rates.get(Direction::RequestBody)) {
            if !is_http1 {
                return Some(EndReason::MinRequestBodyDataRate);
            }
            activity.fail_body();
        }
        let is_waiting = activity.is_response_waiting() && activity.phase() != Phase::Upgraded;
        let waiting = is_waiting.then(|| activity.waiting_bytes());
        let sent = activity.sent_content(is_http1);
        let is_too_slow = this.outgoing.is_too_slow(waiting, sent, rates.get(Direction::Response));
        is_too_slow.then_some(EndReason::MinResponseDataRate)
    }

    fn fired(mut self: Pin<&mut Self>, cx: &Context<'_>) -> Deadline {
        if let Some(reason) = self.as_mut().too_slow() {
            return Deadline::CutOff(reason);
        }
        let changes = self.context.activity.changes();
        if self.armed == Armed::Deadline {
            return self.expire(cx);
        }
        if self.closing == Closing::No && self.is_retired() {
            // A request may be on its way to a connection of HTTP/1.1 that is not idle: its answer is the last one.
            if !self.context.is_http1 || self.seen_changes == Some(changes) {
                return Deadline::Close;
            }
            self.context.accepted.signals.mark(Signals::LAST);
        }
        if self.context.is_http1 && self.context.activity.phase() == Phase::Busy {
            self.context.activity.watch();
            // The engine is polled once more, which looks and registers for what comes.
            cx.waker().wake_by_ref();
        }
        match self.context.activity.phase() {
            _ if self.seen_changes != Some(changes) || self.closing != Closing::No => self.follow(changes),
            // What was answered is not idle before the peer has it.
            Phase::Idle if self.context.activity.is_write_blocked() => self.look_again(changes),
            // Nothing has happened since the last look, so it has been idle since then at the least.
            Phase::Idle if self.context.activity.open_block().is_none() => {
                if self.context.activity.is_between_requests() {
                    self.as_mut().project().engine.rest();
                    // The engine is polled once more, to wait for what comes next.
                    cx.waker().wake_by_ref();
                }
                let left = self.keep_alive_timeout.saturating_sub(self.look);
                let left = match self.retirement {
                    Some(end) => left.min(end.saturating_duration_since(Instant::now())),
                    None => left,
                };
                self.arm(Armed::Deadline, left, changes);
            }
            _ if self.must_look() => self.look_again(changes),
            _ => *self.as_mut().project().armed = Armed::No,
        }
        Deadline::None
    }

    fn is_retired(&self) -> bool {
        self.retirement.is_some_and(|end| end <= Instant::now())
    }

    /// Whether the peer is waited for, however little happens.
    fn must_look(&self) -> bool {
        let activity = &self.context.activity;
        activity.is_body_awaited() || activity.is_response_waiting() || activity.open_block().is_some()
    }

    /// The deadline has passed.
    fn expire(mut self: Pin<&mut Self>, cx: &Context<'_>) -> Deadline {
        if self.context.activity.phase() == Phase::Head
            && self.as_mut().project().engine.refuse(Refusal::HeadTimeout)
        {
            let changes = self.context.activity.changes();
            self.arm(Armed::Deadline, CLOSING_GRACE, changes);
            cx.waker().wake_by_ref();
            return Deadline::None;
        }
        let activity = &self.context.activity;
        let (changes, now) = (activity.changes(), activity.bytes());
        let bytes = match self.closing {
            _ if activity.phase() == Phase::Head => {
                return Deadline::CutOff(EndReason::RequestHeadersTimeout);
            }
            _ if activity.is_malformed() => return Deadline::CutOff(EndReason::InvalidRequestHeaders),
            _ if activity.phase() == Phase::Lingering => return Deadline::Drop,
            // Without a preface HTTP/2 has nobody to say goodbye to.
            Closing::Fresh if !self.context.is_http1 => return Deadline::Drop,
            Closing::No if activity.is_write_blocked() => {
                self.look_again(changes);
                return Deadline::None;
            }
            Closing::No if self.is_retired() => return Deadline::Close,
            Closing::No => {
                self.context.accepted.ends_with(EndReason::KeepAliveTimeout);
                return Deadline::Close;
            }
            Closing::Fresh => return Deadline::Close,
            Closing::Engine { bytes } => bytes,
        };
        // Of HTTP/2 what still comes may be anything, such as PINGs, and is no reason to wait.
        let is_moving = self.context.is_http1 && bytes != now;
        if !is_moving && !activity.is_write_blocked() {
            return Deadline::Drop;
        }
        *self.as_mut().project().closing = Closing::Engine { bytes: now };
        self.arm(Armed::Deadline, CLOSING_GRACE, changes);
        Deadline::None
    }
}
