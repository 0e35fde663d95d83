//! Connections that wait in the queues of sockets which others accept from.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::task::Poll;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Whether a connection waits for somebody to accept it.
pub(super) fn is_waited_for(sockets: &[(String, OwnedFd)]) -> bool {
    sockets.iter().any(|(_, socket)| is_readable(socket))
}

fn is_readable(socket: &impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&now)), Ok(count) if count > 0)
}

/// A socket that is not ours to close.
struct Watched<'a>(&'a OwnedFd);

impl AsRawFd for Watched<'_> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Waits until a connection waits to be accepted, and accepts none. The sockets are watched only as long as this runs, so
/// that connections which others accept later cost nothing here.
///
/// # Errors
/// The system cannot watch the sockets.
///
/// # Cancel safety
/// Nothing is lost.
pub(super) async fn connection(sockets: &[(String, OwnedFd)]) -> io::Result<()> {
    let watched = sockets
        .iter()
        .map(|(_, socket)| AsyncFd::with_interest(Watched(socket), Interest::READABLE))
        .collect::<io::Result<Vec<_>>>()?;
    poll_fn(|cx| {
        for socket in &watched {
            while let Poll::Ready(ready) = socket.poll_read_ready(cx) {
                let mut ready = ready?;
                if is_readable(socket.get_ref().0) {
                    return Poll::Ready(Ok(()));
                }
                // Somebody else was faster.
                ready.clear_ready();
            }
        }
        Poll::Pending
    })
    .await
}
