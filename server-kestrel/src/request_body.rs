//! The request's body under its limit.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, Limited};
use hyper::body::Incoming;
use server_abstractions::BoxError;

use crate::end_reason::EndReason;
use crate::protocol::is_disconnect;
use crate::refusal::Refusal;
use crate::request::RequestState;

mod source;

pub(crate) use source::{Expected, invite};

use source::Source;

/// Reads hyper's body, counts it against the limit, and tells the request's state how it ended.
pub(crate) struct RequestBody {
    incoming: Source,
    state: Arc<RequestState>,
    progress: Progress,
    /// Whether the last poll found nothing.
    is_waiting: bool,
    /// Whoever still reads keeps the connection busy, answered or not.
    busy: Option<Busy>,
}

enum Progress {
    Unread,
    Reading {
        remaining: u64,
    },
    /// Read to its end, or failed.
    Over,
}

struct Busy(Arc<RequestState>);

impl Busy {
    fn new(state: &Arc<RequestState>) -> Self {
        state.context.activity.body_begins();
        Self(Arc::clone(state))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.context.activity.body_ends();
    }
}

impl RequestBody {
    pub(crate) fn new(incoming: Incoming, state: Arc<RequestState>) -> Self {
        Self::of(Source::Plain(incoming), state)
    }

    /// The body of a client that may wait until it is told to continue.
    pub(crate) fn expected(incoming: Incoming, state: Arc<RequestState>) -> Self {
        let (source, expected) = Source::expected(incoming);
        state.expect_body(&expected);
        Self::of(source, state)
    }

    fn of(incoming: Source, state: Arc<RequestState>) -> Self {
        let busy = Some(Busy::new(&state));
        Self { incoming, state, progress: Progress::Unread, is_waiting: false, busy }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.state.end_body(trailers);
        self.over();
    }

    fn over(&mut self) {
        self.progress = Progress::Over;
        self.busy = None;
    }

    /// Keeps count of those who wait for the peer.
    fn set_waiting(&mut self, is_waiting: bool) {
        if std::mem::replace(&mut self.is_waiting, is_waiting) != is_waiting {
            let activity = &self.state.context.activity;
            if is_waiting { activity.body_wait_begins() } else { activity.body_wait_ends() }
        }
    }

    fn too_slow(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.set_waiting(false);
        self.over();
        self.state.fail_body(Refusal::BodyTooSlow);
        Poll::Ready(Some(Err("the request body came in too slowly".into())))
    }

    /// The engine cannot go on reading.
    fn failed(&mut self, error: &hyper::Error) {
        self.over();
        let context = &self.state.context;
        if is_disconnect(error) {
            context.accepted.ends_with(EndReason::UnexpectedEndOfRequestContent);
            self.state.lose_body();
            self.state.fire_aborted();
        } else if context.is_http1 {
            self.state.fail_body(context.activity.broken_body().unwrap_or(Refusal::InvalidBody));
        } else {
            self.state.lose_body();
        }
    }

    fn too_large(&mut self) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.over();
        self.state.fail_body(Refusal::BodyTooLarge);
        Poll::Ready(Some(Err(length_limit_error())))
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.set_waiting(false);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let remaining = match this.progress {
            Progress::Over => return Poll::Ready(None),
            Progress::Reading { remaining } => remaining,
            Progress::Unread => {
                let limit = this.state.begin_body();
                // Before hyper is polled: a client that waits for 100-continue is refused at once.
                if this.incoming.size_hint().lower() > limit {
                    return this.too_large();
                }
                limit
            }
        };
        this.progress = Progress::Reading { remaining };
        let polled = this.incoming.poll_frame(cx);
        if polled.is_pending() {
            this.set_waiting(true);
            let context = &this.state.context;
            if context.is_http1 {
                context.activity.register_body_reader(cx.waker());
                if context.activity.is_body_too_slow() {
                    return this.too_slow();
                }
            }
        }
        let frame = ready!(polled);
        this.set_waiting(false);
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    if !this.state.context.is_http1 {
                        this.state.context.activity.data_read(data.len());
                    }
                    let Some(left) = remaining.checked_sub(data.len() as u64) else {
                        return this.too_large();
                    };
                    this.progress = Progress::Reading { remaining: left };
                    if this.incoming.is_end_stream() {
                        // hyper is not asked again: once the answer is out, it says so only with the next request.
                        this.end(None);
                    }
                } else {
                    this.end(frame.trailers_ref());
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.failed(&error);
                Poll::Ready(Some(Err(error.into())))
            }
            None => {
                this.end(None);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.progress, Progress::Over) || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.progress {
            Progress::Over => SizeHint::with_exact(0),
            _ => self.incoming.size_hint(),
        }
    }
}

/// The error type that axum and others know as "too large". Only its own crate can make one, by way of a body that
/// is.
fn length_limit_error() -> BoxError {
    let mut body = Limited::new(Full::new(Bytes::from_static(b"!")), 0);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    match Pin::new(&mut body).poll_frame(&mut cx) {
        Poll::Ready(Some(Err(error))) => error,
        _ => "length limit exceeded".into(),
    }
}
