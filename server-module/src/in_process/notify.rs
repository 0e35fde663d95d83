//! What a worker says about itself: `READY=1` and `STOPPING=1`, by the protocol of systemd (`sd_notify`).

use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg, sockopt};
use rustix::process::Pid;
use tokio::io::Interest;

/// A socket of one worker, with a name that is not used again. Everybody may send to it, so the system has to say who did.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: tokio::net::UnixDatagram,
    name: String,
}

/// What a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Ready,
    Stopping,
}

/// More than any message of the protocol needs that is looked at here.
const LONGEST: usize = 4096;

impl NotifySocket {
    pub(super) fn bind() -> io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = format!("server-module/{:032x}", u128::from_ne_bytes(random));
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        sockopt::set_socket_passcred(&socket, true)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: tokio::net::UnixDatagram::from_std(socket)?, name })
    }

    /// The value of `NOTIFY_SOCKET`.
    pub(super) fn variable(&self) -> OsString {
        format!("@{}", self.name).into()
    }

    /// The next thing that this process says, and no other, not even one that it has started.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&self, from: Pid) -> Message {
        loop {
            match self.socket.async_io(Interest::READABLE, || self.receive(from)).await {
                Ok(Some(message)) => return message,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "what a worker says about itself can no longer be heard");
                    std::future::pending().await
                }
            }
        }
    }

    fn receive(&self, from: Pid) -> io::Result<Option<Message>> {
        let mut buffer = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = recvmsg(
            self.socket.as_fd(),
            &mut [IoSliceMut::new(&mut buffer)],
            &mut ancillary,
            RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
        )?;
        let is_sender = |message: RecvAncillaryMessage<'_>| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => sender.pid == from,
            _ => false,
        };
        let is_theirs = ancillary.drain().any(is_sender);
        let text = buffer.get(..received.bytes).unwrap_or_default();
        Ok(is_theirs.then(|| message(text)).flatten())
    }
}

/// The last thing that is said in a message counts.
fn message(text: &[u8]) -> Option<Message> {
    text.split(|byte| *byte == b'\n').rev().find_map(|line| match line {
        b"READY=1" => Some(Message::Ready),
        b"STOPPING=1" => Some(Message::Stopping),
        _ => None,
    })
}
