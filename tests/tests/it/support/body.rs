//! Bodies of responses, piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::channel::{Channel, Sender};
use server_abstractions::{Body, BoxError};

/// A body that the test sends piece by piece.
pub(crate) fn channel() -> (Sender<Bytes, BoxError>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, Body::new(body))
}

type Item = Result<Frame<Bytes>, BoxError>;

/// A body of these frames, of no declared length. Each one comes a little later than the one before, so that the
/// server sends what it has.
pub(crate) fn frames<I>(frames: I) -> Body
where
    I: IntoIterator<Item = Item, IntoIter: Send + Unpin + 'static>,
{
    Body::new(Frames { frames: frames.into_iter(), is_ready: true })
}

pub(crate) fn data(bytes: impl Into<Bytes>) -> Item {
    Ok(Frame::data(bytes.into()))
}

pub(crate) fn trailers(fields: &[(&'static str, &'static str)]) -> Item {
    let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    Ok(Frame::trailers(fields.iter().map(field).collect::<HeaderMap>()))
}

/// Pieces of a body without an end.
pub(crate) fn endless(piece: &'static [u8]) -> Body {
    frames(std::iter::repeat_with(move || data(Bytes::from_static(piece))))
}

struct Frames<I> {
    frames: I,
    is_ready: bool,
}

impl<I: Iterator<Item = Item> + Unpin> http_body::Body for Frames<I> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.frames.next())
    }
}
