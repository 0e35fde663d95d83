//! Where a process listens, and whether it is the process that is reached there.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::either::Either;

use super::socket::{Stream, WorkerSocket};
use crate::worker::{Family, Listener, Listening, listening};

/// The port of a process on 127.0.0.1, and the Unix socket that it may listen on as well. Once the process has ended, anybody may
/// listen there.
#[derive(Debug)]
pub(crate) struct Address {
    socket: Option<WorkerSocket>,
    port: u16,
    family: Family,
    /// The socket that was found last.
    listener: Mutex<Listener>,
}

impl Address {
    pub(super) fn new(port: u16, family: Family, listener: Listener, socket: Option<WorkerSocket>) -> Self {
        Self { socket, port, family, listener: Mutex::new(listener) }
    }

    /// Connects, within the limit, to the process and to nobody else. Nothing is written before that is certain.
    pub(super) async fn connect(&self, limit: Duration) -> io::Result<Stream> {
        if let Some(socket) = &self.socket
            && let Ok(Some(stream)) = timeout(limit, socket.connect()).await
        {
            return Ok(Either::Right(stream));
        }
        let connect = timeout(limit, TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        let stream = connect.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // A socket that has listened before and listens now is the one that was reached.
        if self.listener().is_open() || self.is_listening().await {
            stream.set_nodelay(true)?;
            return Ok(Either::Left(stream));
        }
        let port = self.port;
        Err(io::Error::other(format!("somebody else has taken its port {port}, and is sent nothing")))
    }

    /// Looks whether the process listens, or another one that it has started.
    pub(super) async fn is_listening(&self) -> bool {
        let (port, family) = (self.port, self.family);
        let found = tokio::task::spawn_blocking(move || listening(port, family)).await;
        let Ok(Listening::Worker(listener)) = found else { return false };
        *self.listener() = listener;
        true
    }

    fn listener(&self) -> MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
