//! What the engine gets of the bytes that come in.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::ReadBuf;

use super::{ConnectionIo, Follower, ended};
use crate::activity::Phase;
use crate::end_reason::EndReason;
use crate::frames::Flood;
use crate::refusal::Refusal;
use crate::scanner::Verdict;

fn broken(refusal: Refusal) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, refusal.reason())
}

/// What is kept of a head that is refused, of each part.
const MOST_OF_REFUSED: usize = 8192;

impl ConnectionIo {
    pub(super) fn is_http1(&self) -> bool {
        matches!(self.follower, Follower::Http1(_))
    }

    /// Whether the engine may have the next bytes: none after a request that was refused, and none after one whose
    /// answer tells what they are, before it has.
    pub(super) fn decide(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let scanner = match &mut self.follower {
            Follower::Http1(scanner) => scanner,
            Follower::Http2(_) => return self.go_away(cx),
        };
        if let Some(refusal) = self.broken {
            return Poll::Ready(Err(broken(refusal)));
        }
        if self.activity.is_refused() {
            self.activity.starve();
            return Poll::Pending;
        }
        if scanner.is_undecided() {
            let is_tunnel = self.activity.phase() == Phase::Upgraded;
            if !is_tunnel && self.activity.has_unanswered() {
                return Poll::Pending;
            }
            scanner.decide(is_tunnel);
            self.activity.gate(false);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends a connection of HTTP/2 that is to be cut off, with a GOAWAY if that can be sent at once: while nothing
    /// waits to be written, the engine is between two frames.
    fn go_away(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(code) = self.activity.leaving_with() else { return Poll::Ready(Ok(())) };
        if !self.activity.is_write_blocked() {
            let [a, b, c, d] = code.to_be_bytes();
            let frame = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, a, b, c, d];
            let written = Pin::new(&mut *self.io).poll_write(cx, &frame);
            if matches!(written, Poll::Ready(Ok(_))) {
                let _ = Pin::new(&mut *self.io).poll_flush(cx);
            }
        }
        Poll::Ready(Err(ended()))
    }

    /// Keeps the line of a head that is refused, as far as it is here.
    fn keep_refused(&mut self, head: &[u8]) {
        if self.guard.accepted.is_observed() {
            let end = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
            self.refused = Bytes::copy_from_slice(&head[..end.min(MOST_OF_REFUSED)]);
        }
    }

    /// The line of a head that is refused, of which the engine has got this; empty if nobody observes.
    pub(crate) fn refused_head(&mut self, got: &[u8]) -> Bytes {
        if !self.guard.accepted.is_observed() {
            return Bytes::new();
        }
        [&got[..got.len().min(MOST_OF_REFUSED)], &std::mem::take(&mut self.refused)].concat().into()
    }

    fn scan_frames(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<()>> {
        let Follower::Http2(frames) = &mut self.follower else { return Poll::Ready(Ok(())) };
        let scanned = frames.scan(bytes, self.activity.bytes(), self.activity.sent_pieces());
        self.activity.data_received(frames.take_content());
        if let Err(Flood) = scanned {
            self.guard.accepted.ends_with(EndReason::ControlFrameLimitExceeded);
            self.activity.go_away(h2::Reason::ENHANCE_YOUR_CALM.into());
            let _ = self.go_away(cx);
            let error = "the peer sends frames without a request and without content";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        self.activity.set_open_block(frames.open_block());
        Poll::Ready(Ok(()))
    }

    /// Keeps from the engine what it must not get of the bytes that were just read.
    pub(super) fn scan(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        before: usize,
    ) -> Poll<io::Result<()>> {
        let bytes = &buf.filled()[before..];
        let Follower::Http1(scanner) = &mut self.follower else { return self.scan_frames(cx, bytes) };
        let count = match scanner.scan(bytes) {
            Verdict::Pass => {
                if scanner.is_undecided() {
                    self.activity.gate(true);
                }
                return Poll::Ready(Ok(()));
            }
            Verdict::Hold(count) => {
                self.activity.gate(true);
                self.prefix = [&bytes[count..], &self.prefix].concat().into();
                count
            }
            // The engine is in the middle of a body: whoever reads it learns that it is broken.
            Verdict::Refuse(count, refusal) if refusal.is_of_body() => {
                self.guard.accepted.ends_with(refusal.end_reason());
                self.activity.break_body(refusal);
                if count == 0 {
                    buf.set_filled(before);
                    return Poll::Ready(Err(broken(refusal)));
                }
                self.broken = Some(refusal);
                count
            }
            Verdict::Refuse(count, refusal) => {
                self.keep_refused(&bytes[count..]);
                self.activity.refuse(refusal);
                count
            }
        };
        buf.set_filled(before + count);
        if count > 0 {
            return Poll::Ready(Ok(()));
        }
        // To have read nothing would be the end.
        self.activity.starve();
        Poll::Pending
    }
}
