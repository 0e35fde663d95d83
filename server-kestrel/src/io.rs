//! The wrapper around the bytes of every connection, right below the HTTP engine.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use server_abstractions::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::activity::{Activity, Phase};
use crate::connection::Accepted;
use crate::frames::Frames;
use crate::protocol::reason_of;
use crate::refusal::Refusal;
use crate::scanner::Scanner;

mod gate;
mod guard;
mod held;

use guard::{Direction, Guard};
use held::Held;

/// How much is read at once while there is no engine that reads.
const PEEK: usize = 2048;

/// The reads of a lingering connection before others have their turn.
const LINGER_READS: usize = 64;

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the server has ended the connection")
}

/// What looks at the bytes that come in before the engine does.
pub(crate) enum Follower {
    Http1(Scanner),
    Http2(Frames),
}

/// Counts bytes, tells the phase, and stays with the bytes when they are upgraded: whoever takes the upgrade, the
/// connection is counted until this is dropped, and ends when the server aborts.
pub(crate) struct ConnectionIo {
    io: Box<dyn Io>,
    /// What was read before there was an engine to read it.
    prefix: Bytes,
    activity: Arc<Activity>,
    follower: Follower,
    /// Why the body that is coming in cannot go on.
    broken: Option<Refusal>,
    /// Of a head that is refused what the engine has not got, for those who observe.
    refused: Bytes,
    held: Held,
    guard: Guard,
}

impl ConnectionIo {
    pub(crate) fn new(
        io: Box<dyn Io>,
        prefix: Bytes,
        activity: Arc<Activity>,
        follower: Follower,
        accepted: &Arc<Accepted>,
    ) -> Self {
        let guard = Guard::new(accepted);
        Self {
            io,
            prefix,
            activity,
            follower,
            broken: None,
            refused: Bytes::new(),
            held: Held::default(),
            guard,
        }
    }

    /// Says that nothing more will come, then reads and forgets what the peer sends until it ends as well: a close
    /// with unread bytes would reset the connection, and the peer would lose the answer. The driver bounds the time.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.phase() != Phase::Lingering {
            ready!(Pin::new(&mut *self.io).poll_shutdown(cx))?;
            self.activity.linger();
        }
        let mut piece = [MaybeUninit::uninit(); 4096];
        for _ in 0..LINGER_READS {
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(Pin::new(&mut *self.io).poll_read(cx, &mut piece))?;
            if piece.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether the peer has sent something that nobody will read any more.
    fn has_unread(&mut self, cx: &mut Context<'_>) -> bool {
        if !matches!(self.activity.phase(), Phase::Idle | Phase::Busy) {
            return false;
        }
        let mut piece = [MaybeUninit::uninit(); 512];
        let mut piece = ReadBuf::uninit(&mut piece);
        let read = Pin::new(&mut *self.io).poll_read(cx, &mut piece);
        let has_unread = !self.prefix.is_empty() || read.is_ready() && !piece.filled().is_empty();
        if has_unread {
            // What was read is gone; the next poll must still know of it.
            self.activity.set_body_unread(true);
        }
        has_unread
    }

    /// Before an operation: whether an upgraded connection has been ended.
    fn check(&self) -> io::Result<()> {
        if self.activity.phase() == Phase::Upgraded && self.guard.is_ended() { Err(ended()) } else { Ok(()) }
    }

    /// While an operation waits: an upgraded connection has no driver, so it hears of its end itself.
    #[inline]
    fn wait<T>(&mut self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<T>> {
        if self.activity.phase() == Phase::Upgraded {
            self.wait_for_end(cx, direction)
        } else {
            Poll::Pending
        }
    }

    #[inline(never)]
    fn wait_for_end<T>(&mut self, cx: &mut Context<'_>, direction: Direction) -> Poll<io::Result<T>> {
        self.guard.poll_ended(cx, direction).map(|()| Err(ended()))
    }

    /// Sees whether the peer has gone while hyper does not read. What has come instead is kept for the next read;
    /// then nothing more is looked at until it is read.
    fn watch(&mut self, cx: &mut Context<'_>) {
        if !self.prefix.is_empty() {
            return;
        }
        match self.poll_peek(cx) {
            Poll::Pending => {}
            // hyper may be waiting for these very bytes.
            Poll::Ready(Ok(())) if !self.prefix.is_empty() => cx.waker().wake_by_ref(),
            Poll::Ready(result) => {
                if let Err(error) = result {
                    self.guard.accepted.ends_with(reason_of(&error));
                }
                self.activity.gone();
            }
        }
    }

    /// Waits until there is something to read: bytes, which are kept for the next read, or the end.
    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            let mut piece = [MaybeUninit::uninit(); PEEK];
            let mut piece = ReadBuf::uninit(&mut piece);
            ready!(Pin::new(&mut *self.io).poll_read(cx, &mut piece))?;
            self.prefix = Bytes::copy_from_slice(piece.filled());
        }
        Poll::Ready(Ok(()))
    }

    /// Puts back what was read last, so that it is read once more.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        // A connection that rests pipelines nothing, and needs no memory for it.
        self.held = Held::default();
        if let Follower::Http1(scanner) = &mut self.follower
            && !bytes.is_empty()
        {
            // They are the beginning of a head, which the scanner sees once more as well.
            scanner.begin_head();
        }
        self.prefix = [bytes, &self.prefix].concat().into();
    }

    /// Keeps a complete answer that shall wait for the next ones.
    fn hold(&mut self, bufs: &[IoSlice<'_>]) -> bool {
        if !self.is_http1() {
            return false;
        }
        let is_complete = self.activity.phase() == Phase::Idle && self.activity.may_hold();
        let is_taken = is_complete && self.held.takes(bufs.iter().map(|buf| buf.len()).sum());
        if !is_taken && !self.activity.holds_whole() {
            return false;
        }
        self.held.answers = self.held.answers.max(1);
        bufs.iter().for_each(|buf| self.held.bytes.extend_from_slice(buf));
        self.held.is_flush_due = true;
        self.activity.hold(true);
        true
    }

    /// Sends what waits.
    #[inline]
    fn release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.bytes.is_empty() { Poll::Ready(Ok(())) } else { self.send_held(cx) }
    }

    #[inline(never)]
    fn send_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.hold(false);
        self.held.is_flush_due = false;
        while !self.held.bytes.is_empty() {
            let written = Pin::new(&mut *self.io).poll_write(cx, &self.held.bytes);
            let waiting = self.held.bytes.len();
            match ready!(self.wrote(cx, written, || waiting))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.held.bytes.advance(count),
            }
        }
        self.flush(cx)
    }

    #[inline]
    fn flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut *self.io).poll_flush(cx) {
            Poll::Ready(result) => {
                // TLS keeps what it could not write, so that the last of it goes out here.
                if self.activity.is_write_blocked() {
                    self.activity.sent(Some(0));
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                self.activity.sent(None);
                self.wait(cx, Direction::Write)
            }
        }
    }

    #[inline]
    fn wrote(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
        of: impl FnOnce() -> usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.activity.sent(Some(count));
                Poll::Ready(Ok(count))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => {
                self.activity.block(of());
                self.wait(cx, Direction::Write)
            }
        }
    }
}

impl Drop for ConnectionIo {
    /// Answers that wait belong to requests that have been served. If the connection ends for the sake of a later one,
    /// they still go out as far as they can at once.
    fn drop(&mut self) {
        if !self.held.bytes.is_empty() {
            let _ = self.send_held(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl AsyncRead for ConnectionIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        if self.held.answers > 0 {
            ready!(self.release(cx))?;
            self.held.read();
        }
        if self.activity.is_gated() {
            ready!(self.decide(cx))?;
        }
        let before = buf.filled().len();
        if self.prefix.is_empty() {
            match Pin::new(&mut *self.io).poll_read(cx, buf) {
                Poll::Ready(result) => result?,
                Poll::Pending => {
                    self.activity.found_nothing();
                    return self.wait(cx, Direction::Read);
                }
            }
        } else {
            let count = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(count));
        }
        let count = buf.filled().len() - before;
        if count > 0 {
            let is_http1 = self.is_http1();
            self.activity.received(count, is_http1);
            return self.scan(cx, buf, before);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ConnectionIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        if self.hold(&[IoSlice::new(buf)]) {
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(self.release(cx))?;
        let written = Pin::new(&mut *self.io).poll_write(cx, buf);
        self.wrote(cx, written, || buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        if self.hold(bufs) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        ready!(self.release(cx))?;
        let written = Pin::new(&mut *self.io).poll_write_vectored(cx, bufs);
        self.wrote(cx, written, || bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes at the end of every poll, whatever it waits for.
        if self.activity.is_watched() {
            self.watch(cx);
        }
        if std::mem::take(&mut self.held.is_flush_due) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.release(cx))?;
        self.flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.release(cx))?;
        if self.is_http1() && (self.activity.must_linger() || self.has_unread(cx)) {
            return self.linger(cx);
        }
        match Pin::new(&mut *self.io).poll_shutdown(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => self.wait(cx, Direction::Write),
        }
    }
}
