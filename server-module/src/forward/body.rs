use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use hosting::{Body, BoxError};
use http_body::{Frame, SizeHint};

use super::Exchange;
use crate::backend::{Backend, InFlight, Upstream};

/// The body of an answer, which drives the connection that it comes from. At its end the connection is given back; a body
/// that is dropped before closes it.
pub(super) struct Relayed {
    /// A piece that has come with the head.
    first: Option<Frame<Bytes>>,
    /// None once nothing comes from it any more.
    upstream: Option<Box<Upstream>>,
    backend: Arc<Backend>,
    _in_flight: InFlight,
}

impl Relayed {
    pub(super) fn new(upstream: Box<Upstream>, exchange: Exchange) -> Self {
        let Exchange { backend, in_flight } = exchange;
        Self { first: None, upstream: Some(upstream), backend, _in_flight: in_flight }
    }

    /// A short body has mostly come with the head: then it is handed on in one piece, and the connection is free at once. Otherwise
    /// whoever reads it is woken.
    pub(super) fn at_hand_if_over(mut self) -> Body {
        if self.give_back_if_over() {
            return Body::empty();
        }
        match self.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => Body::new(self),
            Poll::Ready(None) => Body::empty(),
            Poll::Ready(Some(Err(error))) => Body::new(Failed(Some(error))),
            Poll::Ready(Some(Ok(frame))) if self.upstream.is_none() && frame.is_data() => {
                Body::from(frame.into_data().unwrap_or_default())
            }
            Poll::Ready(Some(Ok(frame))) => {
                self.first = Some(frame);
                Body::new(self)
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(upstream) = &mut self.upstream else { return Poll::Ready(None) };
        match upstream.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Nothing is waited for after the last piece.
                if !self.give_back_if_over()
                    && let Some(upstream) = &mut self.upstream
                {
                    upstream.clock.step();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(fault))) => {
                self.upstream = None;
                Poll::Ready(Some(Err(fault.into())))
            }
            Poll::Ready(None) => {
                self.give_back_if_over();
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(upstream.clock.poll_too_late(cx));
                self.upstream = None;
                let error = "the process has sent nothing within the time (requestTimeout)";
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn give_back_if_over(&mut self) -> bool {
        let upstream = self.upstream.take_if(|upstream| upstream.is_over());
        let is_over = upstream.is_some();
        upstream.into_iter().for_each(|upstream| self.backend.pool().put(upstream));
        is_over
    }
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.upstream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        let left = match &self.upstream {
            Some(upstream) => upstream.left(),
            None => Some(0),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(left.unwrap_or(0).saturating_add(first));
        left.into_iter().for_each(|left| hint.set_upper(left.saturating_add(first)));
        hint
    }
}

/// A body that fails with its first piece.
struct Failed(Option<BoxError>);

impl http_body::Body for Failed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}
