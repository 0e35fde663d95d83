//! How long is waited for the next step of an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hosting::{Body, BoxError};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// A limit for every step: what a peer sends begins the next one.
#[derive(Debug)]
pub(super) struct Patience {
    limit: Duration,
    /// Whether something of the request has gone on since the last look.
    has_moved: Arc<AtomicBool>,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, has_moved: Arc::default() }
    }

    /// Waits for a future as long as there is a step within the limit.
    pub(super) async fn limit<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        loop {
            match tokio::time::timeout(self.limit, future.as_mut()).await {
                Ok(output) => return Some(output),
                Err(_) if self.has_moved.swap(false, Ordering::Relaxed) => {}
                Err(_) => return None,
            }
        }
    }

    /// The body of a request, each piece of which is a step.
    pub(super) fn watch(&self, body: Body) -> Body {
        if body.is_at_hand() {
            return body;
        }
        Body::new(Watched { body, has_moved: Arc::clone(&self.has_moved) })
    }

    /// The clock of an answer's body.
    pub(super) fn clock(self) -> Clock {
        let begun = Instant::now();
        Clock { patience: self, begun, sleep: None }
    }
}

struct Watched {
    body: Body,
    has_moved: Arc<AtomicBool>,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.has_moved.store(true, Ordering::Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Tells when nothing has come for too long. The timer exists only where something has been waited for, and is set again
/// when it fires, not for each piece.
#[derive(Debug)]
pub(super) struct Clock {
    patience: Patience,
    begun: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// A piece has come.
    pub(super) fn step(&mut self) {
        if self.sleep.is_some() {
            self.begun = Instant::now();
        }
    }

    /// Ready once nothing has come within the limit.
    pub(super) fn poll_too_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.patience.limit;
        let Some(deadline) = self.begun.checked_add(limit) else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            if self.patience.has_moved.swap(false, Ordering::Relaxed) {
                self.begun = now;
            }
            let deadline = self.begun + limit;
            if deadline <= now {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}
