//! The state of one request, which is its features.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::Context;

use atomic_waker::AtomicWaker;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use server_abstractions::{ConnectionEvent, Io, MinDataRate, Upgrade, UpgradeError};
use tokio_util::sync::CancellationToken;

use super::rates::Direction;
use super::{ConnectionContext, Known};
use crate::connection::Signals;
use crate::end_reason::EndReason;
use crate::refusal::Refusal;
use crate::request_body::Expected;

mod features;

/// The state of one request: all of its features in one allocation.
pub(crate) struct RequestState {
    pub(crate) context: Arc<ConnectionContext>,
    ordinal: u32,
    pub(crate) is_head: bool,
    pub(crate) is_connect: bool,
    pub(super) can_have_body: bool,
    /// The limit of the body in bytes; [`UNLIMITED`] is none.
    max_body_size: AtomicU64,
    is_body_read: AtomicBool,
    is_body_ended: AtomicBool,
    /// The directions, as bits, whose data rate the app has set.
    own_rates: AtomicU8,
    /// The status for a body that broke a limit or its framing; 0 is none.
    body_failure: AtomicU16,
    /// What the request was aborted with, plus one; 0 is not at all.
    abort_code: AtomicU64,
    /// Whether the request is over, so that there is nothing left to abort.
    is_over: AtomicBool,
    /// The task of an HTTP/2 stream, to be woken by an abort.
    stream: AtomicWaker,
    aborted: OnceLock<CancellationToken>,
    rare: OnceLock<Box<Rare>>,
}

/// What few requests have.
#[derive(Default)]
struct Rare {
    upgrade: Mutex<Option<OnUpgrade>>,
    /// Fires when the response did not accept the upgrade.
    refused: CancellationToken,
    is_upgradable: bool,
    protocol: Option<Protocol>,
    request_trailers: Mutex<Option<HeaderMap>>,
    response_trailers: Mutex<ResponseTrailers>,
    /// The body, as long as somebody has it, of a client that may wait for 100 (Continue).
    expected: OnceLock<Weak<Expected>>,
    /// Whether it is told to continue.
    is_invited: AtomicBool,
}

#[derive(Default)]
struct ResponseTrailers {
    fields: HeaderMap,
    is_sent: bool,
}

const UNLIMITED: u64 = u64::MAX;

impl RequestState {
    pub(super) fn new(context: &Arc<ConnectionContext>, request: &Request<Incoming>) -> Self {
        let mut state = Self {
            context: Arc::clone(context),
            ordinal: 0,
            is_head: false,
            is_connect: false,
            can_have_body: false,
            max_body_size: AtomicU64::new(0),
            is_body_read: AtomicBool::new(false),
            is_body_ended: AtomicBool::new(false),
            own_rates: AtomicU8::new(0),
            body_failure: AtomicU16::new(0),
            abort_code: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            stream: AtomicWaker::new(),
            aborted: OnceLock::new(),
            rare: OnceLock::new(),
        };
        state.reuse(request);
        state
    }

    /// Begins a request in a state that belongs to nobody else.
    pub(super) fn reuse(&mut self, request: &Request<Incoming>) {
        let is_connect = *request.method() == Method::CONNECT;
        let can_have_body = !is_connect && !hyper::body::Body::is_end_stream(request.body());
        self.ordinal = self.context.activity.request_begins();
        if self.context.max_requests.is_some_and(|max| u64::from(self.ordinal) >= max) {
            self.context.accepted.signals.send(Signals::CLOSE);
        }
        self.is_head = *request.method() == Method::HEAD;
        self.is_connect = is_connect;
        self.can_have_body = can_have_body;
        *self.max_body_size.get_mut() = self.context.max_request_body_size.unwrap_or(UNLIMITED);
        if self.context.is_http1 {
            self.context.rates.reset();
        }
        *self.own_rates.get_mut() = 0;
        *self.is_body_read.get_mut() = false;
        *self.is_body_ended.get_mut() = !can_have_body;
        *self.body_failure.get_mut() = 0;
        *self.abort_code.get_mut() = 0;
        *self.is_over.get_mut() = false;
        self.aborted.take();
        self.rare.take();
        if let Some(upgrade) = request.extensions().get::<OnUpgrade>() {
            // The cell was emptied a line ago.
            let _ = self.rare.set(Box::new(Rare {
                upgrade: Mutex::new(Some(upgrade.clone())),
                is_upgradable: !can_have_body,
                protocol: request.extensions().get::<Protocol>().cloned(),
                ..Rare::default()
            }));
        }
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    /// Reading the body begins: its limit is fixed.
    pub(crate) fn begin_body(&self) -> u64 {
        self.is_body_read.store(true, Ordering::Relaxed);
        self.max_body_size.load(Ordering::Relaxed)
    }

    /// The client may wait with this body until it is told to continue.
    pub(crate) fn expect_body(&self, expected: &Arc<Expected>) {
        // There is one body to a request.
        let _ = self.rare().expected.set(Arc::downgrade(expected));
    }

    /// Before the answer begins: the body with which the client must be told to continue, since somebody will read it while
    /// the request is answered.
    pub(crate) fn body_to_invite(&self) -> Option<Weak<Expected>> {
        let body = self.rare.get()?.expected.get()?;
        let limit = self.max_body_size.load(Ordering::Relaxed);
        let must_be_invited = body.upgrade().is_some_and(|body| body.must_be_invited(limit));
        must_be_invited.then(|| {
            self.rare().is_invited.store(true, Ordering::Relaxed);
            Weak::clone(body)
        })
    }

    /// Whether the client may still wait to be told to continue, and will not be: its body may never come, and what comes next
    /// on the connection may be the body all the same (RFC 9110, section 10.1.1).
    pub(crate) fn is_body_withheld(&self) -> bool {
        self.rare
            .get()
            .is_some_and(|rare| rare.expected.get().is_some() && !rare.is_invited.load(Ordering::Relaxed))
            && !self.is_body_read.load(Ordering::Relaxed)
    }

    pub(crate) fn end_body(&self, trailers: Option<&HeaderMap>) {
        if let Some(trailers) = trailers {
            *lock(&self.rare().request_trailers) = Some(trailers.clone());
        }
        self.is_body_ended.store(true, Ordering::Release);
    }

    /// The body is refused; whoever reads it learns that.
    pub(crate) fn fail_body(&self, refusal: Refusal) {
        self.context.refused(refusal, Known::WITH_APP);
        self.body_failure.store(refusal.status().as_u16(), Ordering::Relaxed);
    }

    /// The body cannot be read any further, by nobody's decision.
    pub(crate) fn lose_body(&self) {
        self.body_failure.store(StatusCode::BAD_REQUEST.as_u16(), Ordering::Relaxed);
    }

    /// Whether the app has not read the body to its end.
    pub(crate) fn is_body_unread(&self) -> bool {
        !self.is_body_ended.load(Ordering::Relaxed)
    }

    /// The status that a broken body asks for.
    pub(crate) fn body_failure(&self) -> Option<StatusCode> {
        match self.body_failure.load(Ordering::Relaxed) {
            0 => None,
            status => StatusCode::from_u16(status).ok(),
        }
    }

    /// The response's trailers, once; nobody can add to them afterwards.
    pub(crate) fn take_response_trailers(&self) -> Option<HeaderMap> {
        let mut trailers = lock(&self.rare.get()?.response_trailers);
        trailers.is_sent = true;
        (!trailers.fields.is_empty()).then(|| std::mem::take(&mut trailers.fields))
    }

    /// Whether trailers are waiting to be sent.
    pub(crate) fn has_response_trailers(&self) -> bool {
        self.rare.get().is_some_and(|rare| !lock(&rare.response_trailers).fields.is_empty())
    }

    /// What the request was aborted with; on HTTP/2 the task is woken when it is.
    pub(crate) fn poll_abort(&self, cx: &Context<'_>) -> Option<h2::Reason> {
        if !self.context.is_http1 {
            self.stream.register(cx.waker());
        }
        match self.abort_code.load(Ordering::Acquire) {
            0 => None,
            code => Some(h2::Reason::from(u32::try_from(code - 1).unwrap_or(u32::MAX))),
        }
    }

    /// The request was given up before its response was complete.
    pub(crate) fn fire_aborted(&self) {
        // Whoever asks for the token later gets one that has fired.
        self.aborted.get_or_init(CancellationToken::new).cancel();
    }

    /// The response has been decided on and does not accept the upgrade that the client asked for.
    pub(crate) fn refuse_upgrade(&self) {
        if let Some(rare) = self.rare.get() {
            rare.refused.cancel();
            self.context.accepted.settle_upgrade(false);
        }
    }

    fn rate(&self, direction: Direction) -> Option<MinDataRate> {
        let is_own = self.own_rates.load(Ordering::Acquire) & 1 << direction as u8 != 0;
        if self.context.is_http1 || !is_own { self.context.rates.get(direction) } else { None }
    }

    /// What the app says of the rate. It holds until the request ends.
    fn set_rate(&self, direction: Direction, rate: Option<MinDataRate>) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        let rates = &self.context.rates;
        let bit = 1 << direction as u8;
        let has_own = self.own_rates.load(Ordering::Acquire) & bit != 0;
        let wants_own = self.context.is_http1 || rate.is_none();
        match (has_own, wants_own) {
            (false, true) => {
                rates.begin(direction, rate);
                self.own_rates.fetch_or(bit, Ordering::AcqRel);
                if self.is_over.load(Ordering::Acquire) && !self.context.is_http1 {
                    self.give_up_rates(bit);
                }
            }
            (true, true) => rates.set(direction, rate),
            (true, false) => self.give_up_rates(bit),
            (false, false) => {}
        }
    }

    fn give_up_rates(&self, bits: u8) {
        let had = self.own_rates.fetch_and(!bits, Ordering::AcqRel) & bits;
        for direction in [Direction::RequestBody, Direction::Response] {
            if had & 1 << direction as u8 != 0 {
                self.context.rates.end(direction);
            }
        }
    }

    /// Whether there may be one more upgraded connection; then it is counted.
    pub(crate) fn reserve_upgrade(&self) -> bool {
        let limit = self.context.max_upgraded;
        let is_free = self.context.accepted.reserve_upgrade(limit);
        if !is_free {
            self.context.accepted.report(&ConnectionEvent::UpgradeRejected {
                features: &self.context.features,
                error_type: EndReason::MaxConcurrentUpgradedConnectionsExceeded.as_str(),
                limit: limit.unwrap_or(u64::MAX),
            });
        }
        is_free
    }

    /// The request has been answered or given up; what an app still keeps of it no longer ends the connection.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        if !self.context.is_http1 && self.own_rates.load(Ordering::Relaxed) != 0 {
            self.give_up_rates(u8::MAX);
        }
        self.context.activity.set_body_unread(!self.is_body_ended.load(Ordering::Relaxed));
    }

    /// Whether the client asked for an upgrade or a tunnel that the response can accept.
    pub(crate) fn can_be_upgraded(&self) -> bool {
        self.rare.get().is_some_and(|rare| rare.is_upgradable)
    }

    pub(crate) fn abort_with(&self, reason: h2::Reason) {
        if self.is_over.load(Ordering::Relaxed) {
            return;
        }
        self.abort_code.store(u64::from(u32::from(reason)) + 1, Ordering::Release);
        self.stream.wake();
        if self.context.is_http1 {
            self.context.accepted.signals.send(Signals::KILL);
        }
    }

    fn take_upgrade(&self) -> Result<Upgrade, UpgradeError> {
        let rare = self.rare.get().ok_or(UpgradeError::NotUpgradable)?;
        if self.context.is_http1 && !self.reserve_upgrade() {
            return Err(UpgradeError::TooMany);
        }
        let upgrade = lock(&rare.upgrade).take().ok_or(UpgradeError::AlreadyTaken)?;
        let refused = rare.refused.clone();
        Ok(Box::pin(async move {
            // hyper gives what is left of an HTTP/1.1 connection to the last one who asked, accepted or not.
            let upgraded = match refused.run_until_cancelled(upgrade).await {
                Some(upgraded) if !refused.is_cancelled() => upgraded.map_err(std::io::Error::other)?,
                _ => return Err(std::io::Error::other("the response did not accept the upgrade")),
            };
            Ok(Box::new(TokioIo::new(upgraded)) as Box<dyn Io>)
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
