//! What is known of a request when its line is written.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderMap;

use super::kept::Kept;

/// The facts of its beginning; what is `None` is not known.
#[derive(Debug, Default)]
pub(super) struct Beginning<'a> {
    pub(super) method: Option<&'a [u8]>,
    /// As it was sent; the query is redacted if that is wanted.
    pub(super) target: Option<&'a [u8]>,
    pub(super) path: Option<&'a [u8]>,
    pub(super) query: Option<&'a [u8]>,
    pub(super) version: Option<&'static str>,
    /// What the client calls the server, if there is no field `Host`.
    pub(super) authority: Option<&'a str>,
    pub(super) headers: Option<&'a HeaderMap>,
}

/// The facts of its end.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    pub(super) client: Option<SocketAddr>,
    pub(super) server: Option<SocketAddr>,
    pub(super) user: Option<&'a str>,
    pub(super) status: Option<u16>,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) duration: Option<Duration>,
    pub(super) request_id: Option<&'a str>,
    pub(super) connection_id: Option<&'a str>,
    pub(super) trace: Option<[u8; 16]>,
    pub(super) tls: Option<&'static str>,
    pub(super) error: Option<&'a str>,
}

/// The parts of a line that are ready already.
#[derive(Debug, Default)]
pub(super) struct Ready {
    pub(super) of_request: Kept,
    pub(super) of_response: Kept,
}
