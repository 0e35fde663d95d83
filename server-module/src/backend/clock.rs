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

/// Tells when nothing has happened for too long. The timer is that of the connection: it is set again when it fires, not
/// for each request or piece.
#[derive(Debug)]
pub(crate) struct Clock {
    limit: Duration,
    begun: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    progress: Option<Progress>,
}

/// Whether something of a request's body has gone on since the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress(Arc<AtomicBool>);

impl Clock {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, begun: Instant::now(), sleep: None, progress: None }
    }

    /// A request goes out, at once: the clock has been read when the connection was made or taken.
    pub(super) fn begin(&mut self, progress: Option<Progress>) {
        self.progress = progress;
    }

    /// The connection is taken for a request.
    pub(super) fn take(&mut self, now: Instant) {
        self.begun = now;
    }

    /// When the last step was.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// A piece of the answer has come.
    pub(crate) fn step(&mut self) {
        self.begun = Instant::now();
    }

    /// Ready once nothing has come within the limit.
    pub(crate) fn poll_too_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.begun.checked_add(self.limit) else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            let now = Instant::now();
            if self.progress.as_ref().is_some_and(|progress| progress.0.swap(false, Ordering::Relaxed)) {
                self.begun = now;
            }
            let deadline = self.begun + self.limit;
            if deadline <= now {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

impl Progress {
    /// The body of a request with a look at its pieces, unless all of it is there.
    pub(crate) fn watch(body: Body) -> (Body, Option<Self>) {
        if body.is_at_hand() {
            return (body, None);
        }
        let progress = Self::default();
        (Body::new(Watched { body, progress: progress.clone() }), Some(progress))
    }
}

struct Watched {
    body: Body,
    progress: Progress,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.progress.0.store(true, Ordering::Relaxed);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
