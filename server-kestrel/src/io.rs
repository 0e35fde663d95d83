//! The wrapper around the bytes of every connection, right below the HTTP engine.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use server_abstractions::{Io, LifetimeGuard};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::connection::{Accepted, Activity, Phase};
use crate::frames::{Flood, Frames};
use crate::protocol::error_type;
use crate::refusal::Refusal;
use crate::scanner::{Scanner, Verdict};

/// How much is read at once while there is no engine that reads.
const PEEK: usize = 2048;

/// The reads of a lingering connection before others have their turn.
const LINGER_READS: usize = 64;

/// The bytes of answers that wait for the next ones at the most.
const MAX_HELD: usize = 16 * 1024;

fn broken(refusal: Refusal) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, refusal.reason())
}

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
    held: Held,
    guard: Guard,
}

/// Answers to pipelined requests (HTTP/1.1), to go out in one write.
///
/// hyper writes each answer before it looks at the next request. So an answer that is complete waits here, and leaves
/// when hyper has answered all it has read and reads again, when it flushes without having written (the next answer
/// is not ready), or when it writes more than fits or the piece of an answer that is not complete. What cannot leave
/// keeps hyper from reading on. Whether a connection pipelines shows in its second answer without a read in between;
/// until then, and after a read that brought one request only, nothing is copied.
#[derive(Default)]
struct Held {
    bytes: BytesMut,
    /// The answers since the last read.
    answers: u32,
    is_pipelining: bool,
    /// Whether the flush that follows belongs to bytes that wait.
    is_flush_due: bool,
}

impl Held {
    /// Whether a complete answer shall wait.
    fn takes(&mut self, count: usize) -> bool {
        if count > MAX_HELD {
            return false;
        }
        self.answers += 1;
        (self.is_pipelining || self.answers > 1) && self.bytes.len() + count <= MAX_HELD
    }

    /// Everything read so far has been answered.
    fn read(&mut self) {
        self.is_pipelining = self.answers > 1;
        self.answers = 0;
        if !self.is_pipelining && self.bytes.capacity() > 0 {
            self.bytes = BytesMut::new();
        }
    }
}

/// What counts the connection, and ends it once nobody else does.
struct Guard {
    accepted: Arc<Accepted>,
    /// Made when an upgraded connection first waits; one for each direction, which may belong to different tasks.
    reader: Option<Ended>,
    writer: Option<Ended>,
    _count: LifetimeGuard,
}

/// The server aborts, or somebody has ended this connection.
struct Ended {
    aborting: Pin<Box<WaitForCancellationFutureOwned>>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Ended {
    fn of(accepted: &Accepted) -> Self {
        Self {
            aborting: Box::pin(accepted.lifetime.aborting()),
            killed: Box::pin(accepted.signals.killed().clone().cancelled_owned()),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.aborting.as_mut().poll(cx).is_ready() || self.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

impl ConnectionIo {
    pub(crate) fn new(
        io: Box<dyn Io>,
        prefix: Bytes,
        activity: Arc<Activity>,
        follower: Follower,
        accepted: &Arc<Accepted>,
    ) -> Self {
        let count = accepted.lifetime.guard();
        let guard = Guard { accepted: Arc::clone(accepted), reader: None, writer: None, _count: count };
        Self { io, prefix, activity, follower, broken: None, held: Held::default(), guard }
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
        let accepted = &self.guard.accepted;
        if self.activity.phase() == Phase::Upgraded
            && (accepted.lifetime.is_aborting() || accepted.signals.is_killed())
        {
            return Err(ended());
        }
        Ok(())
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
        let Guard { accepted, reader, writer, .. } = &mut self.guard;
        let waiting = match direction {
            Direction::Read => reader,
            Direction::Write => writer,
        };
        ready!(waiting.get_or_insert_with(|| Ended::of(accepted)).poll(cx));
        Poll::Ready(Err(ended()))
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
                    self.guard.accepted.ends_with(error_type(&error));
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
            match ready!(self.wrote(cx, written))? {
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
    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                self.activity.sent(Some(count));
                Poll::Ready(Ok(count))
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => {
                self.activity.sent(None);
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

impl ConnectionIo {
    fn is_http1(&self) -> bool {
        matches!(self.follower, Follower::Http1(_))
    }

    /// Whether the engine may have the next bytes: none after a request that was refused, and none after one whose
    /// answer tells what they are, before it has.
    fn decide(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let scanner = match &mut self.follower {
            Follower::Http1(scanner) => scanner,
            Follower::Http2(_) => return self.go_away(cx),
        };
        if let Some(refusal) = self.broken {
            return Poll::Ready(Err(broken(refusal)));
        }
        if self.activity.is_refused() {
            return Poll::Pending;
        }
        if scanner.is_undecided() {
            match self.activity.phase() {
                Phase::Busy => return Poll::Pending,
                phase => scanner.decide(phase == Phase::Upgraded),
            }
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

    fn scan_frames(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<()>> {
        let Follower::Http2(frames) = &mut self.follower else { return Poll::Ready(Ok(())) };
        if let Err(Flood) = frames.scan(bytes, self.activity.bytes()) {
            self.guard.accepted.ends_with("control_frame_limit_exceeded");
            self.activity.go_away(h2::Reason::ENHANCE_YOUR_CALM.into());
            let _ = self.go_away(cx);
            let error = "the peer sends frames without a request and without content";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        self.activity.set_open_block(frames.open_block());
        Poll::Ready(Ok(()))
    }

    /// Keeps from the engine what it must not get of the bytes that were just read.
    fn scan(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>, before: usize) -> Poll<io::Result<()>> {
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
                self.guard.accepted.ends_with(refusal.error_type());
                self.activity.break_body(refusal);
                if count == 0 {
                    buf.set_filled(before);
                    return Poll::Ready(Err(broken(refusal)));
                }
                self.broken = Some(refusal);
                count
            }
            Verdict::Refuse(count, refusal) => {
                self.activity.refuse(refusal);
                count
            }
        };
        buf.set_filled(before + count);
        // To have read nothing would be the end.
        if count == 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
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
        self.wrote(cx, written)
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
        self.wrote(cx, written)
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
