//! What a supervisor is told, as systemd and the module have it (sd_notify): that the application has started, reads its
//! configuration again, or stops. Without the variable `NOTIFY_SOCKET` nothing is told, and there is none off Unix.

use std::fmt;
use std::time::Duration;

use server_abstractions::Address;

/// The application accepts requests, for the first time or after it has read its configuration again.
pub(crate) fn ready(addresses: &[Address]) {
    tell(format_args!("READY=1\nSTATUS={}\n", listening(addresses)));
}

/// The application reads its configuration again; [`ready`] comes after it.
pub(crate) fn reloading() {
    // Type=notify-reload wants to know when, so that it does not take an earlier READY for the answer.
    #[cfg(unix)]
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    #[cfg(unix)]
    tell(format_args!(
        "RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=Reading the configuration again\n",
        since.tv_sec * 1_000_000 + since.tv_nsec / 1000
    ));
}

/// The application is about to stop; it still takes requests for this long.
pub(crate) fn stopping_after(delay: Duration) {
    tell(format_args!("STOPPING=1\nSTATUS=Stopping in {delay:?}; requests are still taken\n"));
}

/// The application stops.
pub(crate) fn stopping(timeout: Duration) {
    tell(format_args!("STOPPING=1\nSTATUS=Stopping; what is under way is finished, within {timeout:?}\n"));
}

/// The application has not stopped yet: so many requests are left.
pub(crate) fn still_stopping(requests: u64) {
    let plural = if requests == 1 { "" } else { "s" };
    tell(format_args!("STATUS=Stopping; {requests} request{plural} left\n"));
}

/// The application is alive; a supervisor that does not hear it for its time ends it.
pub(crate) fn alive() {
    tell(format_args!("WATCHDOG=1\n"));
}

/// Whether there is somebody who listens.
pub(crate) fn is_heard() -> bool {
    cfg!(unix) && std::env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// The longest status; a message has to fit into what its receiver has for it.
const LONGEST_STATUS: usize = 1000;

/// One line, whatever the addresses are.
fn listening(addresses: &[Address]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() {
        return "Running".to_owned();
    }
    let mut status = format!("Listening on {}", addresses.join(", ")).replace(['\n', '\r'], " ");
    if let Some((end, _)) = status.char_indices().nth(LONGEST_STATUS) {
        status.truncate(end);
        status.push_str("...");
    }
    status
}

fn tell(state: fmt::Arguments<'_>) {
    #[cfg(unix)]
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())
        && let Err(error) = unix::send(&socket, &state.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_one_line_of_a_bounded_length() {
        assert_eq!(listening(&[]), "Running");
        let one: Address = "http://127.0.0.1:5000".parse().unwrap();
        assert_eq!(listening(std::slice::from_ref(&one)), "Listening on http://127.0.0.1:5000");
        let many = listening(&vec![one; 1000]);
        assert!(many.len() < LONGEST_STATUS + 4 && many.ends_with("..."), "{many}");
        let odd = Address::new(false, server_abstractions::AddressTarget::Abstract("a\nREADY=0".to_owned()));
        assert!(!listening(&[odd]).contains('\n'));
    }
}
