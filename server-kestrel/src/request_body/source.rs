//! Where the bytes of a request's body come from.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

type Polled = Option<Result<Frame<Bytes>, hyper::Error>>;

/// How long an answer waits for a client that was told to continue.
const INVITED: Duration = Duration::from_secs(1);

/// The body that hyper reads.
pub(super) enum Source {
    Plain(Incoming),
    Expected(Arc<Expected>),
}

/// The body of a client that may wait for 100 (Continue). hyper says that when it is asked for the body, and no more once
/// the answer has begun, so the server asks in time for whoever will read while it answers.
pub(crate) struct Expected(Mutex<State>);

struct State {
    incoming: Incoming,
    /// Whether the app has asked for it: nobody else may do so then, since hyper wakes the last one who did.
    is_read: bool,
    is_invited: bool,
    has_come: bool,
    /// What came when the server asked.
    first: Option<Polled>,
    /// The answer that waits until something has come.
    answer: Option<Waker>,
}

impl Drop for State {
    fn drop(&mut self) {
        self.wake_answer();
    }
}

impl State {
    fn wake_answer(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer.wake();
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        self.is_read = true;
        if let Some(first) = self.first.take() {
            return Poll::Ready(first);
        }
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_ready() && !self.has_come {
            self.has_come = true;
            self.wake_answer();
        }
        polled
    }

    fn poll_come(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_come
            && !self.is_read
            && let Poll::Ready(first) = Pin::new(&mut self.incoming).poll_frame(cx)
        {
            self.first = Some(first);
            self.has_come = true;
        }
        if self.has_come {
            return Poll::Ready(());
        }
        self.answer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Expected {
    /// Whether the client must be told to continue before it is answered: nothing has come yet of a body that is not above
    /// the limit. It is said once.
    pub(crate) fn must_be_invited(&self, limit: u64) -> bool {
        let mut state = self.lock();
        let is_too_large = state.incoming.size_hint().lower() > limit;
        !state.has_come && !is_too_large && !std::mem::replace(&mut state.is_invited, true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has the client told to continue, and waits until it does: there are proxies (HAProxy 2.6) that stall if 100 (Continue)
/// and the answer come in one piece. Nobody waits for a body that has been dropped, nor longer than [`INVITED`].
pub(crate) async fn invite(body: Weak<Expected>) {
    let come = std::future::poll_fn(|cx| match body.upgrade() {
        Some(body) => body.lock().poll_come(cx),
        None => Poll::Ready(()),
    });
    // One that does not come at all is the concern of whoever reads it.
    let _ = tokio::time::timeout(INVITED, come).await;
}

impl Source {
    pub(super) fn expected(incoming: Incoming) -> (Self, Arc<Expected>) {
        let state =
            State { incoming, is_read: false, is_invited: false, has_come: false, first: None, answer: None };
        let expected = Arc::new(Expected(Mutex::new(state)));
        (Self::Expected(Arc::clone(&expected)), expected)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        match self {
            Self::Plain(incoming) => Pin::new(incoming).poll_frame(cx),
            Self::Expected(expected) => expected.lock().poll_frame(cx),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(incoming) => incoming.is_end_stream(),
            Self::Expected(expected) => {
                let state = expected.lock();
                state.first.is_none() && state.incoming.is_end_stream()
            }
        }
    }

    /// What the app has not got yet.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(incoming) => incoming.size_hint(),
            Self::Expected(expected) => {
                let state = expected.lock();
                let first = match &state.first {
                    Some(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.len() as u64),
                    _ => 0,
                };
                let rest = state.incoming.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower() + first);
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper + first);
                }
                hint
            }
        }
    }
}
