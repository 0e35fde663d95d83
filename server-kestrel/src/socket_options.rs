//! What the system is told about the sockets of an endpoint.

use std::time::Duration;

use server_abstractions::AddressTarget;
use socket2::{SockRef, TcpKeepalive};

use crate::LimitError;
use crate::limits::{refused, within};

/// The sockets of an endpoint.
///
/// An option that the kind of address has no use for is refused, unless it has its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "SocketTransportOptions")]
pub struct SocketOptions {
    /// The connections that the system completes before they are accepted. Default is 512; from 1 to 2,147,483,647, of
    /// which the system takes no more than it has an upper bound for (on Linux `net.core.somaxconn`). The queue of an
    /// inherited socket is left as it is, unless something else than the default is said.
    pub backlog: u32,
    /// Whether other processes of the same user may listen on the same address (`SO_REUSEPORT`), if they say so as
    /// well: the system spreads new connections over all. Those that wait in the queue of one that ends are lost.
    /// Default is false: a second instance is told that the address is in use. For TCP.
    pub reuse_port: bool,
    /// Whether small pieces are sent at once, in place of being held back until the peer has acknowledged earlier ones
    /// (`TCP_NODELAY`). Default is true. For TCP.
    pub no_delay: bool,
    /// Whether the system asks silent peers if they are still there (`SO_KEEPALIVE`), and drops the connections of those
    /// that do not answer. Default is none: it does not. For TCP.
    ///
    /// The limits of the server do not need it; it keeps the state of routers and load balancers alive, which forget
    /// connections that are silent for long, such as those of WebSocket.
    pub keep_alive: Option<TcpKeepAlive>,
    /// The permissions of the file of a Unix socket, such as `0o660`; at most `0o777`. Default is none: what the umask
    /// leaves. For Unix sockets that have a file.
    pub unix_mode: Option<u32>,
}

/// When the system asks a silent peer whether it is still there. Whole seconds, from 1 to 32,767.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpKeepAlive {
    /// How long a connection is silent before the first question. Default is 60 seconds.
    #[doc(alias = "TCP_KEEPIDLE")]
    pub time: Duration,
    /// How long after a question that was not answered the next one follows. Default is 10 seconds.
    #[doc(alias = "TCP_KEEPINTVL")]
    pub interval: Duration,
    /// The questions without an answer after which the connection is dropped. Default is 6; from 1 to 127.
    #[doc(alias = "TCP_KEEPCNT")]
    pub retries: u32,
}

impl Default for SocketOptions {
    fn default() -> Self {
        Self { backlog: 512, reuse_port: false, no_delay: true, keep_alive: None, unix_mode: None }
    }
}

impl Default for TcpKeepAlive {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), interval: Duration::from_secs(10), retries: 6 }
    }
}

/// What a socket is, as far as its options tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SocketKind {
    Tcp,
    /// A Unix socket with a file.
    Unix,
    /// A Unix socket with a name.
    Abstract,
    /// One that was handed in: which one shows only when it is listened on.
    Inherited,
    /// No socket of ours.
    Custom,
}

impl SocketKind {
    /// Of an address; `None` for what cannot be listened on.
    fn of(target: &AddressTarget) -> Option<Self> {
        match target {
            AddressTarget::Ip(_) | AddressTarget::Any { .. } | AddressTarget::Localhost { .. } => {
                Some(Self::Tcp)
            }
            AddressTarget::Unix(_) => Some(Self::Unix),
            AddressTarget::Abstract(_) => Some(Self::Abstract),
            _ => None,
        }
    }

    fn may_be_tcp(self) -> bool {
        matches!(self, Self::Tcp | Self::Inherited)
    }
}

impl SocketOptions {
    /// These, without what sockets of that address have no use for: the defaults of many become those of one.
    #[must_use]
    pub fn for_target(self, target: &AddressTarget) -> Self {
        let default = Self::default();
        match SocketKind::of(target) {
            Some(SocketKind::Tcp) => Self { unix_mode: None, ..self },
            Some(SocketKind::Unix) => Self { backlog: self.backlog, unix_mode: self.unix_mode, ..default },
            _ => Self { backlog: self.backlog, ..default },
        }
    }

    /// Whether sockets of that address can be as the options say.
    ///
    /// # Errors
    /// The first option that cannot be held, by its name below [`Endpoint`](crate::Endpoint), such as
    /// `socket_options.backlog`.
    pub fn check(&self, target: &AddressTarget) -> Result<(), LimitError> {
        // What cannot be listened on is refused by whoever tries.
        SocketKind::of(target).map_or(Ok(()), |kind| self.check_kind(kind))
    }

    pub(crate) fn check_kind(&self, kind: SocketKind) -> Result<(), LimitError> {
        within("socket_options.backlog", self.backlog.into(), 1..=0x7fff_ffff)?;
        let unless = |name, value: std::fmt::Arguments<'_>, is_fine, wanted: &str| {
            if is_fine { Ok(()) } else { Err(refused(name, value, format_args!("{wanted}"))) }
        };
        if kind == SocketKind::Custom {
            let is_default = self.backlog == Self::default().backlog;
            let wanted = "left out: the listener is no socket of the server";
            unless("socket_options.backlog", format_args!("{}", self.backlog), is_default, wanted)?;
        }
        let is_tcp = kind.may_be_tcp();
        let wanted = "left out: it is an option of TCP, which the address is not";
        unless("socket_options.reuse_port", format_args!("true"), is_tcp || !self.reuse_port, wanted)?;
        unless("socket_options.no_delay", format_args!("false"), is_tcp || self.no_delay, wanted)?;
        if let Some(keep_alive) = &self.keep_alive {
            unless("socket_options.keep_alive", format_args!("set"), is_tcp, wanted)?;
            keep_alive.check()?;
        }
        let Some(mode) = self.unix_mode else { return Ok(()) };
        let has_file = matches!(kind, SocketKind::Unix | SocketKind::Inherited);
        let wanted = "left out: it is an option of Unix sockets that have a file";
        unless("socket_options.unix_mode", format_args!("{mode:04o}"), has_file, wanted)?;
        unless("socket_options.unix_mode", format_args!("{mode:04o}"), mode <= 0o777, "from 0000 to 0777")
    }
}

impl TcpKeepAlive {
    fn check(&self) -> Result<(), LimitError> {
        for (name, time) in [
            ("socket_options.keep_alive.time", self.time),
            ("socket_options.keep_alive.interval", self.interval),
        ] {
            if time.subsec_nanos() != 0 || !(1..=32_767).contains(&time.as_secs()) {
                let wanted = format_args!("whole seconds, from 1 to 32767");
                return Err(refused(name, format_args!("{time:?}"), wanted));
            }
        }
        within("socket_options.keep_alive.retries", self.retries.into(), 1..=127)
    }

    /// Has the system ask.
    pub(crate) fn apply(&self, socket: &SockRef<'_>) -> std::io::Result<()> {
        let keep_alive =
            TcpKeepalive::new().with_time(self.time).with_interval(self.interval).with_retries(self.retries);
        socket.set_tcp_keepalive(&keep_alive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_held_is_refused_by_name() {
        let keep_alive = TcpKeepAlive::default();
        let with = |keep_alive| SocketOptions { keep_alive: Some(keep_alive), ..SocketOptions::default() };
        let default = SocketOptions::default();
        let (tcp, unix, name) = ("http://127.0.0.1:1", "http://unix:/s", "http://unix:@s");
        for (options, url, expected) in [
            (SocketOptions { backlog: 0, ..default }, tcp, "backlog is 0; it must be from 1 to 2147483647"),
            (SocketOptions { backlog: 1 << 31, ..default }, unix, "backlog is 2147483648"),
            (
                SocketOptions { unix_mode: Some(0o660), ..default },
                tcp,
                "unix_mode is 0660; it must be left out",
            ),
            (SocketOptions { unix_mode: Some(0o660), ..default }, name, "unix_mode is 0660"),
            (SocketOptions { unix_mode: Some(0o1000), ..default }, unix, "from 0000 to 0777"),
            (SocketOptions { reuse_port: true, ..default }, unix, "reuse_port is true"),
            (SocketOptions { no_delay: false, ..default }, name, "no_delay is false"),
            (with(keep_alive), unix, "keep_alive is set; it must be left out"),
            (with(TcpKeepAlive { retries: 0, ..keep_alive }), tcp, "keep_alive.retries is 0"),
            (with(TcpKeepAlive { time: Duration::ZERO, ..keep_alive }), tcp, "keep_alive.time is 0ns"),
            (with(TcpKeepAlive { time: Duration::MAX, ..keep_alive }), tcp, "from 1 to 32767"),
            (
                with(TcpKeepAlive { interval: Duration::from_millis(1500), ..keep_alive }),
                tcp,
                "keep_alive.interval is 1.5s; it must be whole seconds",
            ),
        ] {
            let address: server_abstractions::Address = url.parse().expect("an address");
            let error = options.check(address.target()).expect_err(expected).to_string();
            assert!(error.starts_with("socket_options.") && error.contains(expected), "{error}");
            // As a default it is only for those that it is for.
            let own = options.for_target(address.target());
            assert!(own.check(address.target()).is_ok() || own == options, "{own:?}");
        }
    }
}
