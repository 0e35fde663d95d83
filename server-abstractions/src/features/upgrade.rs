use std::fmt;
use std::io;

use crate::{BoxFuture, Io};

/// Resolves to the raw connection once the response that accepts the upgrade has been sent.
///
/// Await it in a task of its own: the response is sent only when the handler has returned it.
pub type Upgrade = BoxFuture<'static, io::Result<Box<dyn Io>>>;

/// Takes the connection over for another protocol (RFC 9110, section 7.8); HTTP/1.1 only.
///
/// The handler takes the [`Upgrade`], spawns a task that awaits it, and returns a response with status 101, the
/// `Connection: Upgrade` field and the `Upgrade` field of its protocol.
#[doc(alias = "IHttpUpgradeFeature")]
pub trait HttpUpgradeFeature: Send + Sync {
    /// Whether the client asked for an upgrade and the request has no body.
    fn is_upgradable_request(&self) -> bool;

    /// Takes the upgrade, once.
    ///
    /// # Errors
    /// When the request cannot be upgraded, or was taken already.
    #[doc(alias = "UpgradeAsync")]
    fn upgrade(&self) -> Result<Upgrade, UpgradeError>;
}

/// Accepts an extended CONNECT (RFC 8441): a byte stream inside one HTTP/2 stream, as WebSockets use it.
///
/// The handler takes the stream, spawns a task that awaits it, and returns a response with a 2xx status.
#[doc(alias = "IHttpExtendedConnectFeature")]
pub trait HttpExtendedConnectFeature: Send + Sync {
    /// Whether the request is an extended CONNECT.
    fn is_extended_connect(&self) -> bool;

    /// The value of `:protocol`, such as `websocket`.
    fn protocol(&self) -> Option<&str>;

    /// Takes the stream, once.
    ///
    /// # Errors
    /// When the request is no extended CONNECT, or was taken already.
    #[doc(alias = "AcceptAsync")]
    fn accept(&self) -> Result<Upgrade, UpgradeError>;
}

/// Why an upgrade was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UpgradeError {
    /// The client did not ask for one, or the protocol has none.
    NotUpgradable,
    /// Somebody has taken it already.
    AlreadyTaken,
    /// The server has as many upgraded connections as it may have.
    TooMany,
}

impl fmt::Display for UpgradeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUpgradable => "the request cannot be upgraded: the client did not ask for it",
            Self::AlreadyTaken => "the connection was taken over already",
            Self::TooMany => "the server has as many upgraded connections as it may have",
        })
    }
}

impl std::error::Error for UpgradeError {}
