//! Drives one connection of an HTTP engine under its deadlines and the server's lifetime.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use server_abstractions::BoxError;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::Limits;
use crate::connection::{Phase, Signals};
use crate::detect::FRESH_GRACE;
use crate::io::ConnectionIo;
use crate::protocol::StreamExecutor;
use crate::request::{ConnectionContext, RequestService};

/// How long a connection that is closing and quiet may wait for its peer: the answer to GOAWAY, the end of TLS.
const CLOSING_GRACE: Duration = Duration::from_secs(1);

/// A connection of an HTTP engine.
pub(crate) trait Engine: Future<Output = hyper::Result<()>> {
    /// Finishes what is under way and takes nothing new.
    fn graceful_shutdown(self: Pin<&mut Self>);
}

impl Engine for http1::UpgradeableConnection<TokioIo<ConnectionIo>, RequestService> {
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

impl Engine for http2::Connection<TokioIo<ConnectionIo>, RequestService, StreamExecutor> {
    fn graceful_shutdown(self: Pin<&mut Self>) {
        Self::graceful_shutdown(self);
    }
}

pin_project! {
    /// The future of a connection.
    ///
    /// A poll on behalf of a request costs a few loads: the signals are polled only when one was sent or the task's
    /// waker changed, the clock is read only when the phase changed, and the timer is armed anew only when the
    /// deadline has come nearer or the timer has fired.
    pub(crate) struct Driver<E> {
        #[pin]
        engine: E,
        context: Arc<ConnectionContext>,
        keep_alive_timeout: Duration,
        request_headers_timeout: Duration,
        #[pin]
        draining: WaitForCancellationFutureOwned,
        #[pin]
        aborting: WaitForCancellationFutureOwned,
        registered: Option<Waker>,
        seen_signals: u8,
        seen_changes: Option<u32>,
        deadline: Option<Instant>,
        #[pin]
        timer: Sleep,
        closing: Closing,
    }
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// The server stops, and the connection has not sent a byte yet: its request may be on the way.
    Fresh,
    /// The engine closes; the bytes so far tell whether the peer still moves.
    Engine {
        bytes: u64,
    },
}

/// The server's own end is one more signal to the driver.
const ABORTING: u8 = 128;
const DRAINING: u8 = 64;

impl<E: Engine> Driver<E> {
    pub(crate) fn new(engine: E, context: Arc<ConnectionContext>, limits: &Limits) -> Self {
        let now = Instant::now();
        Self {
            engine,
            keep_alive_timeout: limits.keep_alive_timeout,
            request_headers_timeout: limits.request_headers_timeout,
            draining: context.accepted.lifetime.draining(),
            aborting: context.accepted.lifetime.aborting(),
            context,
            registered: None,
            seen_signals: 0,
            seen_changes: None,
            deadline: None,
            timer: sleep_until(now + limits.keep_alive_timeout),
            closing: Closing::No,
        }
    }
}

impl<E: Engine> Future for Driver<E> {
    type Output = Result<(), BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            if let Poll::Ready(result) = self.as_mut().project().engine.poll(cx) {
                return Poll::Ready(result.map_err(Into::into));
            }
            let signals = self.as_mut().signals(cx);
            if signals & (ABORTING | Signals::KILL) != 0 {
                return Poll::Ready(Ok(()));
            }
            let must_close = self.as_mut().heed(signals)
                | match self.as_mut().heed_deadline(cx) {
                    Deadline::None => false,
                    Deadline::Close => true,
                    Deadline::Drop => return Poll::Ready(Ok(())),
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
}

impl<E: Engine> Driver<E> {
    /// The signals sent so far; registers for the next ones.
    fn signals(self: Pin<&mut Self>, cx: &mut Context<'_>) -> u8 {
        let this = self.project();
        let accepted = &this.context.accepted;
        if !this.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *this.registered = Some(cx.waker().clone());
            accepted.signals.register(cx.waker());
            // Registers with both; whether they have fired is read from the lifetime.
            let _ = this.draining.poll(cx);
            let _ = this.aborting.poll(cx);
        }
        accepted.signals.sent()
            | if accepted.lifetime.is_draining() { DRAINING } else { 0 }
            | if accepted.lifetime.is_aborting() { ABORTING } else { 0 }
    }

    /// Whether a signal that was not seen before asks for the end.
    fn heed(self: Pin<&mut Self>, signals: u8) -> bool {
        let this = self.project();
        let new = signals & !*this.seen_signals;
        *this.seen_signals = signals;
        if new == 0 || *this.closing != Closing::No {
            return false;
        }
        if new & Signals::CLOSE == 0 && this.context.activity.is_fresh() {
            *this.closing = Closing::Fresh;
            *this.seen_changes = None;
            return false;
        }
        true
    }

    fn close(self: Pin<&mut Self>) {
        let this = self.project();
        this.engine.graceful_shutdown();
        *this.closing = Closing::Engine { bytes: this.context.activity.bytes() };
        *this.seen_changes = None;
    }

    /// Follows the phase, and tells what to do when its time is over.
    fn heed_deadline(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Deadline {
        let changes = self.context.activity.changes();
        if self.seen_changes != Some(changes) {
            if self.closing == Closing::Fresh && !self.context.activity.is_fresh() {
                return Deadline::Close;
            }
            if !self.as_mut().rearm(changes) {
                return Deadline::None;
            }
        }
        loop {
            let mut this = self.as_mut().project();
            if this.timer.as_mut().poll(cx).is_pending() {
                return Deadline::None;
            }
            let Some(deadline) = *this.deadline else { return Deadline::None };
            if deadline <= Instant::now() {
                match self.as_mut().expire() {
                    Deadline::None => {}
                    expired => return expired,
                }
            } else {
                this.timer.reset(deadline);
            }
        }
    }

    /// Sets the deadline of the phase; returns whether the timer was armed anew and must be polled.
    fn rearm(self: Pin<&mut Self>, changes: u32) -> bool {
        let this = self.project();
        let mut timer = this.timer;
        let is_first = this.seen_changes.replace(changes).is_none();
        if let Closing::Engine { bytes } = this.closing
            && is_first
        {
            // The engine has said goodbye since, which is no sign of the peer.
            *bytes = this.context.activity.bytes();
        }
        let timeout = match (*this.closing, this.context.activity.phase()) {
            (Closing::Fresh, _) => Some(FRESH_GRACE),
            (Closing::Engine { .. }, Phase::Idle) => Some(CLOSING_GRACE),
            (Closing::No, Phase::Idle) => Some(*this.keep_alive_timeout),
            (_, Phase::Head) => Some(*this.request_headers_timeout),
            (_, Phase::Busy | Phase::Upgraded) => None,
        };
        *this.deadline = timeout.map(|timeout| Instant::now() + timeout);
        let Some(deadline) = *this.deadline else { return is_first };
        if is_first || deadline < timer.deadline() || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
            return true;
        }
        false
    }

    /// The deadline has passed.
    fn expire(self: Pin<&mut Self>) -> Deadline {
        let this = self.project();
        let activity = &this.context.activity;
        let bytes = match *this.closing {
            _ if activity.phase() == Phase::Head => return Deadline::Drop,
            // Without a preface HTTP/2 has nobody to say goodbye to.
            Closing::Fresh if !this.context.is_http1 => return Deadline::Drop,
            Closing::No | Closing::Fresh => return Deadline::Close,
            Closing::Engine { bytes } => bytes,
        };
        let is_moving = bytes != activity.bytes();
        // While the server stops, its own deadline bounds what waits for the peer; otherwise nothing does.
        let may_go_on = if this.context.accepted.lifetime.is_draining() {
            is_moving || activity.is_write_blocked()
        } else {
            is_moving && activity.is_write_blocked()
        };
        if !may_go_on {
            return Deadline::Drop;
        }
        *this.closing = Closing::Engine { bytes: activity.bytes() };
        let next = Instant::now() + CLOSING_GRACE;
        *this.deadline = Some(next);
        this.timer.reset(next);
        Deadline::None
    }
}
