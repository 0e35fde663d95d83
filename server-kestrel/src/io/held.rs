//! Answers that wait to go out together.

use bytes::BytesMut;

/// The bytes of answers that wait for the next ones at the most.
const MAX_HELD: usize = 16 * 1024;

/// Answers to pipelined requests (HTTP/1.1), to go out in one write.
///
/// hyper writes each answer before it looks at the next request. So an answer that is complete waits here, and leaves
/// when hyper has answered all it has read and reads again, when it flushes without having written (the next answer
/// is not ready), or when it writes more than fits or the piece of an answer that is not complete. What cannot leave
/// keeps hyper from reading on. Whether a connection pipelines shows in its second answer without a read in between;
/// until then, and after a read that brought one request only, nothing is copied.
#[derive(Default)]
pub(super) struct Held {
    pub(super) bytes: BytesMut,
    /// The answers since the last read.
    pub(super) answers: u32,
    is_pipelining: bool,
    /// Whether the flush that follows belongs to bytes that wait.
    pub(super) is_flush_due: bool,
}

impl Held {
    /// Whether a complete answer shall wait.
    pub(super) fn takes(&mut self, count: usize) -> bool {
        if count > MAX_HELD {
            return false;
        }
        self.answers += 1;
        (self.is_pipelining || self.answers > 1) && self.bytes.len() + count <= MAX_HELD
    }

    /// Everything read so far has been answered.
    pub(super) fn read(&mut self) {
        self.is_pipelining = self.answers > 1;
        self.answers = 0;
        if !self.is_pipelining && self.bytes.capacity() > 0 {
            self.bytes = BytesMut::new();
        }
    }
}
