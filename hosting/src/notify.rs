//! What a supervisor is told: that the application has started, and that it stops (`NOTIFY_SOCKET`, as systemd and the
//! module have it). Without that variable nothing is told, and there is none off Unix.

/// The application accepts requests.
pub(crate) fn ready() {
    tell("READY=1\n");
}

/// The application begins to stop.
pub(crate) fn stopping() {
    tell("STOPPING=1\n");
}

fn tell(state: &str) {
    #[cfg(unix)]
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
        && let Err(error) = unix::send(&socket, state)
    {
        let socket = socket.display();
        tracing::warn!(%socket, %error, "the supervisor could not be told the state of the application (NOTIFY_SOCKET)");
    }
    #[cfg(not(unix))]
    let _ = state;
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    /// How long a supervisor that does not listen may hold the application up.
    const LIMIT: Duration = Duration::from_secs(1);

    /// A name with `@` in front of it is abstract.
    pub(super) fn send(name: &OsStr, state: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(LIMIT))?;
        match name.as_encoded_bytes().strip_prefix(b"@") {
            Some(name) => connect_abstract(&socket, name)?,
            None => socket.connect(name)?,
        }
        socket.send(state.as_bytes()).map(drop)
    }

    #[cfg(target_os = "linux")]
    fn connect_abstract(socket: &UnixDatagram, name: &[u8]) -> io::Result<()> {
        use std::os::linux::net::SocketAddrExt;
        socket.connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn connect_abstract(_: &UnixDatagram, _: &[u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "abstract Unix sockets exist on Linux only"))
    }
}
