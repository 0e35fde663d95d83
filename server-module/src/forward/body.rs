use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hosting::{Body, BoxError};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::Exchange;
use crate::backend::{Backend, InFlight, Upstream};

/// The body of an answer, which drives the connection that it comes from. At its end the connection is given back; a body
/// that is dropped before closes it.
pub(super) struct Relayed {
    body: Incoming,
    upstream: Option<Box<Upstream>>,
    backend: Arc<Backend>,
    _in_flight: InFlight,
}

impl Relayed {
    pub(super) fn new(body: Incoming, upstream: Box<Upstream>, exchange: Exchange) -> Self {
        let Exchange { backend, in_flight } = exchange;
        Self { body, upstream: Some(upstream), backend, _in_flight: in_flight }
    }

    /// A short body has mostly come with the head: then it is handed on in one piece, and the connection is free at once.
    pub(super) async fn at_hand_if_over(mut self) -> Body {
        if self.body.is_end_stream() {
            self.give_back();
            return Body::empty();
        }
        let first = std::future::poll_fn(|cx| Poll::Ready(self.poll(cx))).await;
        match first {
            Poll::Pending => Body::new(self),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if self.body.is_end_stream() => {
                    self.give_back();
                    Body::from(data)
                }
                Ok(data) => Body::new(Begun { first: Some(Ok(Frame::data(data))), rest: self }),
                Err(frame) => Body::new(Begun { first: Some(Ok(frame)), rest: self }),
            },
            Poll::Ready(Some(Err(error))) => Body::new(Begun { first: Some(Err(error)), rest: self }),
            Poll::Ready(None) => Body::empty(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(upstream) = &mut self.upstream {
            upstream.drive(cx);
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Nothing is waited for after the last piece.
                if let Some(upstream) = self.upstream.as_mut().filter(|_| !self.body.is_end_stream()) {
                    upstream.clock.step();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.upstream = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => self.poll_too_late(cx),
        }
    }

    fn poll_too_late(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(upstream) = &mut self.upstream else { return Poll::Pending };
        ready!(upstream.clock.poll_too_late(cx));
        self.upstream = None;
        Poll::Ready(Some(Err("the process has sent nothing within the time (requestTimeout)".into())))
    }

    fn give_back(&mut self) {
        if let Some(upstream) = self.upstream.take() {
            self.backend.pool().put(upstream);
        }
    }
}

impl http_body::Body for Relayed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body of which the first piece has come already.
struct Begun {
    first: Option<Result<Frame<Bytes>, BoxError>>,
    rest: Relayed,
}

impl http_body::Body for Begun {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.rest.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let Some(Ok(first)) = &self.first else { return rest };
        let first = first.data_ref().map_or(0, |data| data.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint.set_lower(rest.lower().saturating_add(first));
        hint
    }
}
