//! A Unix stream that nobody wakes for being writable.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::task::coop::poll_proceed;

/// A connection by a Unix socket that is watched for what can be read.
///
/// A stream of tokio is watched for both ways from its beginning. Over a Unix socket the system then tells that it is writable
/// with every read of the peer, which wakes the thread for nothing, once for each request, and it is the peer whose time that
/// takes. Here that is watched only from a write that has found no room until one that has found enough.
///
/// ```
/// # use server_kestrel::QuietUnixStream;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let (near, mut far) = tokio::net::UnixStream::pair()?;
/// let mut near = QuietUnixStream::new(near)?;
/// near.write_all(b"hello").await?;
/// # let mut hello = [0; 5];
/// far.read_exact(&mut hello).await?;
/// # assert_eq!(&hello, b"hello");
/// # Ok(())
/// # }
/// ```
//
#[derive(Debug)]
pub struct QuietUnixStream {
    watched: Watched,
    /// Whoever waits for something to read: what is watched in another way forgets them.
    reader: Option<Waker>,
}

/// A connection, and what it is watched for.
#[derive(Debug)]
enum Watched {
    /// The end of a pipe is what tokio watches for one way alone. It reads whatever descriptor it has; that this is a pipe is
    /// asked by the constructor that is not used here.
    Reading(Receiver),
    /// And for room; true as long as the write under way has met none.
    Both(UnixStream, bool),
    /// The system did not let it be watched in another way.
    Lost,
}

/// A peer that has gone is an error, and no signal.
const FLAGS: SendFlags = if cfg!(target_vendor = "apple") { SendFlags::empty() } else { SendFlags::NOSIGNAL };

/// How many pieces the system takes at a time.
const MOST_PIECES: usize = 1024;

impl QuietUnixStream {
    /// The same connection, watched for less.
    ///
    /// # Errors
    /// The system cannot watch it.
    ///
    /// # Panics
    /// Outside of a runtime of tokio with I/O.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        let stream = OwnedFd::from(stream.into_std()?);
        Ok(Self { watched: Watched::Reading(Receiver::from_owned_fd_unchecked(stream)?), reader: None })
    }

    /// Watches the connection for room as well, or no longer. Its descriptor stays the one it is.
    fn watch_for_room(&mut self, is_watched: bool) -> io::Result<()> {
        self.watched = match std::mem::replace(&mut self.watched, Watched::Lost) {
            Watched::Reading(stream) if is_watched => {
                Watched::Both(UnixStream::from_std(stream.into_nonblocking_fd()?.into())?, true)
            }
            Watched::Both(stream, _) if !is_watched => {
                Watched::Reading(Receiver::from_owned_fd_unchecked(stream.into_std()?.into())?)
            }
            as_it_is => as_it_is,
        };
        self.reader.take().into_iter().for_each(Waker::wake);
        Ok(())
    }

    /// Writes so many bytes, at once or when there is room.
    fn poll_write_by(
        &mut self,
        cx: &mut Context<'_>,
        bytes: usize,
        at_once: impl Fn(BorrowedFd<'_>) -> rustix::io::Result<usize>,
        later: impl FnOnce(Pin<&mut UnixStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Watched::Reading(stream) = &self.watched {
            let budget = ready!(poll_proceed(cx));
            match retry_on_intr(|| at_once(stream.as_fd())) {
                Err(Errno::AGAIN) => {
                    drop(budget);
                    self.watch_for_room(true)?;
                }
                written => {
                    budget.made_progress();
                    return Poll::Ready(written.map_err(io::Error::from));
                }
            }
        }
        let Watched::Both(stream, has_waited) = &mut self.watched else { return Poll::Ready(Err(lost())) };
        let Poll::Ready(written) = later(Pin::new(stream), cx) else {
            *has_waited = true;
            return Poll::Pending;
        };
        // Whoever takes a long answer slowly lets each write of it wait. The first one that does not ends that.
        if written.as_ref().is_ok_and(|written| *written == bytes) && !std::mem::take(has_waited) {
            self.watch_for_room(false)?;
        }
        Poll::Ready(written)
    }

    fn poll_read_by(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.watched {
            Watched::Reading(stream) => Pin::new(stream).poll_read(cx, buffer),
            Watched::Both(stream, _) => Pin::new(stream).poll_read(cx, buffer),
            Watched::Lost => Poll::Ready(Err(lost())),
        }
    }
}

fn lost() -> io::Error {
    io::Error::other("the system did not let the connection be watched for room; it is closed")
}

impl AsyncRead for QuietUnixStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.poll_read_by(cx, buffer);
        if read.is_pending() && !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
        }
        read
    }
}

impl AsyncWrite for QuietUnixStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let at_once = |fd: BorrowedFd<'_>| send(fd, bytes, FLAGS);
        self.poll_write_by(cx, bytes.len(), at_once, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let pieces = &pieces[..pieces.len().min(MOST_PIECES)];
        let bytes = pieces.iter().map(|piece| piece.len()).sum();
        let at_once = |fd: BorrowedFd<'_>| sendmsg(fd, pieces, &mut SendAncillaryBuffer::default(), FLAGS);
        self.poll_write_by(cx, bytes, at_once, |stream, cx| stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match &self.watched {
            Watched::Reading(stream) => SockRef::from(stream).shutdown(Shutdown::Write),
            Watched::Both(stream, _) => SockRef::from(stream).shutdown(Shutdown::Write),
            Watched::Lost => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    /// A quiet stream and its peer, each with a small buffer of the system.
    fn pair() -> (QuietUnixStream, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        for stream in [&near, &far] {
            SockRef::from(stream).set_send_buffer_size(8 << 10).unwrap();
        }
        (QuietUnixStream::new(near).unwrap(), far)
    }

    async fn soon<F: Future>(future: F) -> F::Output {
        timeout(Duration::from_secs(20), future).await.expect("it takes too long")
    }

    fn data() -> Vec<u8> {
        (0..1_u32 << 18).flat_map(|number| number.wrapping_mul(2_654_435_761).to_ne_bytes()).collect()
    }

    /// Counts the polls of a future.
    async fn counted<F: Future>(future: F, polls: &mut usize) -> F::Output {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|cx| {
            *polls += 1;
            future.as_mut().poll(cx)
        })
        .await
    }

    /// Sends back what comes, with a rest after each 256 KiB, until the end.
    async fn slow_echo(far: &mut UnixStream) {
        let (mut piece, mut pieces) = ([0; 4 << 10], 0_u32);
        loop {
            let count = far.read(&mut piece).await.unwrap();
            if count == 0 {
                return;
            }
            far.write_all(&piece[..count]).await.unwrap();
            pieces += 1;
            let rest = if pieces.is_multiple_of(64) { 2 } else { 0 };
            tokio::time::sleep(Duration::from_millis(rest)).await;
        }
    }

    #[tokio::test]
    async fn a_slow_reader_gets_everything_and_nobody_is_busy_meanwhile() {
        let (near, mut far) = pair();
        let (mut near_reading, mut near_writing) = tokio::io::split(near);
        let echo = slow_echo(&mut far);
        let sent = data();
        let (mut polls, mut got) = (0, vec![0; sent.len()]);
        let write = counted(near_writing.write_all(&sent), &mut polls);
        let read = async {
            let mut at = 0;
            while at < got.len() {
                let end = got.len().min(at + (64 << 10));
                near_reading.read_exact(&mut got[at..end]).await.unwrap();
                at = end;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let exchanged = async {
            let (written, ()) = tokio::join!(write, read);
            written.unwrap();
        };
        soon(async {
            tokio::select! {
                () = exchanged => {}
                () = echo => panic!("the connection has ended"),
            }
        })
        .await;
        assert!(got == sent, "bytes were lost or changed");
        // A part of the buffer fits each time that there is room: 1 MiB in pieces of a few KiB. The look of the other half of
        // this task counts as well.
        assert!(polls < 4000, "{polls}");
    }

    #[tokio::test]
    async fn it_is_watched_for_room_only_until_there_is_enough() {
        let (mut near, mut far) = pair();
        soon(near.write_all(b"fits")).await.unwrap();
        assert!(matches!(near.watched, Watched::Reading(_)));
        let sent = vec![1; 1 << 20];
        let mut waiting = std::pin::pin!(near.write_all(&sent));
        assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err(), "more than a buffer holds");
        let mut got = vec![0; 4 + sent.len()];
        let (written, read) = soon(async { tokio::join!(waiting, far.read_exact(&mut got)) }).await;
        written.unwrap();
        read.unwrap();
        assert!(matches!(near.watched, Watched::Both(..)), "as long as each write waits");
        assert_eq!(got[4..], sent);
        soon(near.write_all(b"fits")).await.unwrap();
        assert!(matches!(near.watched, Watched::Reading(_)));
        soon(far.read_exact(&mut [0; 4])).await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_for_something_to_read_is_not_forgotten_when_room_is_waited_for() {
        let (near, mut far) = pair();
        let (mut near_reading, mut near_writing) = tokio::io::split(near);
        // Tasks of their own: neither is woken by what the other one waits for.
        let read = tokio::spawn(async move {
            let mut got = [0; 6];
            near_reading.read_exact(&mut got).await.map(|_| got)
        });
        tokio::task::yield_now().await;
        let write = tokio::spawn(async move { near_writing.write_all(&vec![1; 1 << 20]).await });
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!write.is_finished(), "more than a buffer holds");
        soon(far.write_all(b"answer")).await.unwrap();
        assert_eq!(&soon(read).await.unwrap().unwrap(), b"answer");
        write.abort();
    }

    #[tokio::test]
    async fn writes_that_always_find_room_let_others_come_to_their_turn() {
        let (mut near, mut far) =
            UnixStream::pair().map(|(near, far)| (QuietUnixStream::new(near).unwrap(), far)).unwrap();
        let mut writing = std::pin::pin!(async {
            for _ in 0..10_000 {
                near.write_all(b"x").await.unwrap();
            }
        });
        let mut turns = 0;
        let turning = std::future::poll_fn(|cx| {
            turns += 1;
            writing.as_mut().poll(cx)
        });
        let mut got = vec![0; 10_000];
        let (_, read) = soon(async { tokio::join!(turning, far.read_exact(&mut got)) }).await;
        read.unwrap();
        assert!(turns > 10, "{turns}");
    }

    #[tokio::test]
    async fn pieces_leave_together() {
        let (mut near, mut far) = pair();
        assert!(near.is_write_vectored());
        let pieces = [IoSlice::new(b"one "), IoSlice::new(b"two")];
        assert_eq!(soon(near.write_vectored(&pieces)).await.unwrap(), 7);
        let mut got = [0; 7];
        soon(far.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"one two");
    }

    #[tokio::test]
    async fn a_side_that_has_ended_can_still_read() {
        let (mut near, mut far) = pair();
        soon(near.shutdown()).await.unwrap();
        assert_eq!(soon(far.read(&mut [0; 1])).await.unwrap(), 0);
        soon(far.write_all(b"answer")).await.unwrap();
        drop(far);
        let mut got = String::new();
        soon(near.read_to_string(&mut got)).await.unwrap();
        assert_eq!(got, "answer");
    }

    #[tokio::test]
    async fn a_peer_that_has_gone_is_an_error_for_who_writes_and_an_end_for_who_reads() {
        let (mut near, far) = pair();
        let sent = vec![1; 1 << 20];
        {
            let mut waiting = std::pin::pin!(near.write_all(&sent));
            assert!(timeout(Duration::from_millis(50), &mut waiting).await.is_err());
            drop(far);
            assert_eq!(soon(waiting).await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        }
        // What the peer had not read is told as a reset, once.
        let ends = [soon(near.read(&mut [0; 1])).await, soon(near.read(&mut [0; 1])).await];
        assert!(ends.iter().any(|end| end.as_ref().is_ok_and(|count| *count == 0)), "{ends:?}");
    }
}
