//! The bytes that come from a process.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio_util::io::poll_read_buf;

use super::super::socket::Stream;

/// Room for so much is made when there is less than half of it.
const LEAST: usize = 8 * 1024;
/// The most room for one read, of an answer that comes as fast as that.
const MOST: usize = 128 * 1024;

/// What has come and was not taken yet.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) bytes: BytesMut,
    room: usize,
    /// Whether there has been more room since it has rested.
    has_grown: bool,
    /// How much of it is known to hold no whole head.
    pub(super) searched: usize,
    /// Where names and values lie in a head, while it is read.
    pub(super) spans: Vec<(Span, Span)>,
}

/// Where something begins, and how long it is.
pub(super) type Span = (usize, usize);

impl Default for Input {
    fn default() -> Self {
        Self { bytes: BytesMut::new(), room: LEAST, has_grown: false, searched: 0, spans: Vec::new() }
    }
}

impl Input {
    /// Reads what there is; 0 at the end.
    pub(super) fn poll_read(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < self.room / 2 {
            self.bytes.reserve(self.room);
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let read = ready!(poll_read_buf(Pin::new(stream), cx, &mut self.bytes))?;
        if read == room {
            (self.room, self.has_grown) = ((self.room * 2).min(MOST), true);
        } else if read < self.room / 4 {
            self.room = (self.room / 2).max(LEAST);
        }
        Poll::Ready(Ok(read))
    }

    /// Up to so many bytes.
    pub(super) fn take(&mut self, most: u64) -> Bytes {
        let length = usize::try_from(most).map_or(self.bytes.len(), |most| most.min(self.bytes.len()));
        self.bytes.split_to(length).freeze()
    }

    /// Gives back memory that one who waits does not need; false if something has come that nobody has asked for.
    pub(super) fn rest(&mut self) -> bool {
        if self.bytes.is_empty() && self.has_grown {
            *self = Self::default();
        }
        self.bytes.is_empty()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.freeze()
    }
}
