//! Where the bytes of a request's body come from.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

type Polled = Option<Result<Frame<Bytes>, hyper::Error>>;

/// The body that hyper reads.
pub(super) enum Source {
    Plain(Incoming),
    Expected(Arc<Expected>),
}

/// The body of a client that may wait for 100 (Continue). hyper says 100 when it is first asked for the body, and no more
/// once the answer has begun, so the server asks in time for whoever will read while it answers.
pub(crate) struct Expected(Mutex<Begun>);

struct Begun {
    incoming: Incoming,
    is_begun: bool,
    /// What came when the server asked.
    first: Option<Polled>,
}

impl Expected {
    fn new(incoming: Incoming) -> Self {
        Self(Mutex::new(Begun { incoming, is_begun: false, first: None }))
    }

    /// Has the client told to continue, unless that was done already or the body is above the limit; returns whether hyper
    /// has to run before it is.
    pub(crate) fn invite(&self, cx: &mut Context<'_>, limit: u64) -> bool {
        let mut this = self.lock();
        if this.is_begun || this.incoming.size_hint().lower() > limit {
            return false;
        }
        this.is_begun = true;
        if let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) {
            this.first = Some(frame);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Begun> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    pub(super) fn expected(incoming: Incoming) -> (Self, Arc<Expected>) {
        let expected = Arc::new(Expected::new(incoming));
        (Self::Expected(Arc::clone(&expected)), expected)
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        match self {
            Self::Plain(incoming) => Pin::new(incoming).poll_frame(cx),
            Self::Expected(expected) => {
                let mut this = expected.lock();
                this.is_begun = true;
                match this.first.take() {
                    Some(first) => Poll::Ready(first),
                    None => Pin::new(&mut this.incoming).poll_frame(cx),
                }
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(incoming) => incoming.is_end_stream(),
            Self::Expected(expected) => {
                let this = expected.lock();
                this.first.is_none() && this.incoming.is_end_stream()
            }
        }
    }

    /// What is left to come; one that was asked for already has not been counted yet.
    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(incoming) => incoming.size_hint(),
            Self::Expected(expected) => {
                let this = expected.lock();
                let first = this.first.as_ref().and_then(|first| first.as_ref()?.as_ref().ok()?.data_ref());
                let (first, rest) = (first.map_or(0, |data| data.len() as u64), this.incoming.size_hint());
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
