//! What a worker is given past its guard, over a socket of its own: the module sends the environment to the step `exec`, which
//! sends the file for the output back, opened as the worker's user. So nobody sees the environment on a command line, and
//! whatever it says is in force for the worker alone.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// More than the system lets a process have.
const MAX_ENVIRONMENT: u64 = 64 << 20;
/// How long the module may take with the next part of it.
const LIMIT: Duration = Duration::from_secs(30);
/// The bytes that the reason may have why there is no file.
const MAX_REASON: usize = 1024;

/// A worker's environment, as it is sent: its length first, so that a part of it is not taken for all.
pub(super) fn encode(environment: &[(OsString, OsString)]) -> Vec<u8> {
    let mut text = Vec::new();
    for part in environment.iter().flat_map(|(name, value)| [name, value]) {
        text.extend_from_slice(part.as_bytes());
        text.push(0);
    }
    let mut message = (text.len() as u64).to_be_bytes().to_vec();
    message.append(&mut text);
    message
}

/// Gives a guard the end of the socket that is for its worker.
pub(super) fn send_end(link: &UnixStream, end: &OwnedFd) -> io::Result<()> {
    send(link, b"w", Some(end.as_fd()))
}

/// The end that is for the worker. None: the module has gone.
pub(super) fn receive_end(link: &UnixStream) -> io::Result<Option<OwnedFd>> {
    receive(link, &mut [0]).map(|(_, end)| end)
}

/// The module, as the step `exec` sees it.
pub(super) struct Module(UnixStream);

impl Module {
    /// The socket is the standard input.
    pub(super) fn of_standard_input() -> io::Result<Self> {
        let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(Self(socket))
    }

    /// The environment of the worker.
    pub(super) fn environment(&mut self) -> io::Result<Vec<(OsString, OsString)>> {
        let mut length = [0; 8];
        self.0.read_exact(&mut length).map_err(|error| incomplete(&error))?;
        let length = u64::from_be_bytes(length);
        if length > MAX_ENVIRONMENT {
            return Err(io::Error::other("its environment is larger than any system takes"));
        }
        let mut text = Vec::new();
        if Read::by_ref(&mut self.0).take(length).read_to_end(&mut text)? as u64 != length {
            return Err(incomplete(&ErrorKind::UnexpectedEof.into()));
        }
        let mut parts = text.split(|byte| *byte == 0).map(|part| OsStr::from_bytes(part).to_owned());
        let pairs = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
        Ok(pairs.collect())
    }

    /// Hands the file over, or says why there is none. If nobody listens any more, the worker goes on without.
    pub(super) fn answer(&self, file: io::Result<File>) {
        let _ = match file {
            Ok(file) => send(&self.0, b"f", Some(file.as_fd())),
            Err(error) => {
                let reason = error.to_string().into_bytes();
                send(&self.0, &reason[..reason.len().min(MAX_REASON)], None)
            }
        };
    }
}

fn incomplete(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("its environment did not arrive: {error}"))
}

/// The file for a worker's output, which the worker opens before it becomes the application.
#[derive(Debug)]
pub(crate) struct OutputFile(UnixStream);

impl OutputFile {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self(socket)
    }

    /// Waits until it is there. The worker's end closes at the latest when the worker is ended, which ends this as well.
    ///
    /// # Errors
    /// The worker could not open it, or has ended before.
    pub(crate) fn receive(&self) -> io::Result<File> {
        self.0.set_nonblocking(false)?;
        let mut reason = [0; MAX_REASON];
        match receive(&self.0, &mut reason)? {
            (_, Some(file)) => Ok(file.into()),
            (0, None) => Err(io::Error::other("its process has ended before it could open it")),
            (count, None) => Err(io::Error::other(String::from_utf8_lossy(&reason[..count]).into_owned())),
        }
    }

    /// As if a worker had answered so.
    #[cfg(test)]
    pub(crate) fn answered(file: io::Result<File>) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        Module(theirs).answer(file);
        Self(ours)
    }
}

fn send(socket: &UnixStream, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let descriptors = descriptor.map(|descriptor| [descriptor]);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if let Some(descriptors) = &descriptors {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// How many bytes have come, and the descriptor with them.
fn receive(socket: &UnixStream, bytes: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            received => break received?,
        }
    };
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok((received.bytes, descriptor))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn module(message: &[u8]) -> Module {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(message).unwrap();
        Module(theirs)
    }

    #[test]
    fn an_environment_arrives_as_it_was_sent() {
        let pair =
            |name: &[u8], value: &[u8]| (OsString::from_vec(name.into()), OsString::from_vec(value.into()));
        let sent = [pair(b"A", b"1=2\n3"), pair(b"EMPTY", b""), pair(b"\xff", b"\xfe\xfd")];
        assert_eq!(module(&encode(&sent)).environment().unwrap(), sent);
        assert_eq!(module(&encode(&[])).environment().unwrap(), []);
    }

    #[test]
    fn a_part_of_an_environment_is_none() {
        let sent = encode(&[("A".into(), "1".into()), ("B".into(), "2".into())]);
        for length in 0..sent.len() {
            module(&sent[..length]).environment().unwrap_err();
        }
        module(&u64::MAX.to_be_bytes()).environment().unwrap_err();
    }
}
