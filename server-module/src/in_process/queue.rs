//! Connections that wait in the queues of sockets which others accept from.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::task::Poll;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Whether a connection waits for somebody to accept it.
pub(super) fn is_waited_for(sockets: &[(String, OwnedFd)]) -> bool {
    sockets.iter().any(|(_, socket)| is_readable(socket))
}

fn is_readable(socket: &impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&now)), Ok(count) if count > 0)
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
    // A stream of tokio says when its socket is readable, whatever the socket is. It reads nothing by itself.
    let watched = sockets
        .iter()
        .map(|(_, socket)| {
            let stream = std::net::TcpStream::from(socket.try_clone()?);
            // A worker may have had its socket block, which is everybody's.
            stream.set_nonblocking(true)?;
            TcpStream::from_std(stream)
        })
        .collect::<io::Result<Vec<_>>>()?;
    poll_fn(|cx| {
        for socket in &watched {
            while let Poll::Ready(ready) = socket.poll_read_ready(cx) {
                ready?;
                if is_readable(socket) {
                    return Poll::Ready(Ok(()));
                }
                // Somebody else was faster; from here on it waits for the next one.
                let nothing = || Err::<(), _>(ErrorKind::WouldBlock.into());
                let _ = socket.try_io(Interest::READABLE, nothing);
            }
        }
        Poll::Pending
    })
    .await
}
