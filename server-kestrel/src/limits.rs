use std::error::Error;
use std::fmt;
use std::time::Duration;

use server_abstractions::{MinDataRate, StartError};

use crate::scanner::HeadLimits;

/// The limits on connections and requests.
///
/// Times are looked at once a second, so that each ends within a second after it has passed. The time of a TLS handshake
/// is [`HttpsOptions::handshake_timeout`](crate::HttpsOptions::handshake_timeout).
///
/// A limit is obeyed or refused: a value that the server cannot hold fails the start with an error that names it.
#[doc(alias = "KestrelServerLimits")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may be idle: before its first byte, and between requests. Then it is closed without a
    /// response. Default is 130 seconds.
    pub keep_alive_timeout: Duration,
    /// How long the head of a request may take from its first byte on. Then the answer is 408. Default is
    /// 30 seconds.
    pub request_headers_timeout: Duration,
    /// The bytes that the first line of an HTTP/1.1 request may have, its end included. Above it the answer is 414.
    /// Over HTTP/2 it is the sum of method, scheme, authority and path, and the stream is reset. Default is 8,192.
    pub max_request_line_size: u32,
    /// The bytes that the header fields of a request may have; trailers count as well. Above it the answer is 431.
    /// Default is 32,768.
    pub max_request_headers_total_size: u32,
    /// The header fields that a request may have; trailers count as well. Above it the answer is 431. Default is
    /// 100.
    pub max_request_header_count: u32,
    /// The bytes that a request body may have, unless the app says otherwise for a request; `None` is unlimited.
    /// Reading more fails, and the answer is 413 if none has begun. Default is 30,000,000.
    pub max_request_body_size: Option<u64>,
    /// The bytes of a request that may wait for the app; then the peer is not read from. `None` leaves it to the
    /// engine, which takes no more than 64 KiB at once over HTTP/1.1, and to the windows over HTTP/2. Not less than
    /// the request line and the header fields may have. Default is 1 MiB.
    pub max_request_buffer_size: Option<u64>,
    /// The bytes of a response that may wait for the peer; then the app's body is not asked for more. `None` is
    /// unlimited. At least 8,192. Default is 65,536.
    pub max_response_buffer_size: Option<u64>,
    /// How slowly a request body may come in while the app waits for it, unless the app says otherwise for a request;
    /// `None` is as slowly as it likes. Then reading fails, and the answer is 408 if none has begun; over HTTP/2 the
    /// connection is ended with all of its requests. The grace period is more than a second.
    /// Default is 240 bytes in a second, after a grace period of 5 seconds.
    pub min_request_body_data_rate: Option<MinDataRate>,
    /// How slowly the peer may take a response, unless the app says otherwise for a request; `None` is as slowly as
    /// it likes. Then the connection is ended. Default is 240 bytes in a second, after a grace period of 5 seconds.
    ///
    /// What the system takes from the server tells of the peer in large steps only. So the bytes that wait give the peer
    /// their time at this rate, if that is more than the grace period: 64 KiB of them at the most, 273 seconds by default.
    /// With 13,000 bytes in a second it is five.
    pub min_response_data_rate: Option<MinDataRate>,
    /// The connections of all endpoints at the same time, upgraded ones not counted; `None` is unlimited. One more is closed
    /// at once. Default is `None`.
    pub max_concurrent_connections: Option<u64>,
    /// The upgraded connections of all endpoints at the same time; `None` is unlimited. Above it an upgrade fails. Default is `None`.
    pub max_concurrent_upgraded_connections: Option<u64>,
    /// The connections of one remote address at the same time, upgraded ones among them; `None` is unlimited. One more
    /// is closed at once. The IPv6 addresses of one network of 64 bits count as one.
    /// Default is `None`.
    pub max_connections_per_address: Option<u64>,
    /// How long a connection may live before it is closed after the request under way, give or take a tenth, so that
    /// connections of one moment do not come back in one moment. Upgraded connections live on. `None` is for ever.
    /// Default is `None`.
    pub max_connection_age: Option<Duration>,
    /// The requests that one connection may bring before it is closed after the last of them; `None` is unlimited.
    /// Default is `None`.
    pub max_requests_per_connection: Option<u64>,
    /// What concerns HTTP/2 alone.
    pub http2: Http2Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            keep_alive_timeout: Duration::from_secs(130),
            request_headers_timeout: Duration::from_secs(30),
            max_request_line_size: 8192,
            max_request_headers_total_size: 32_768,
            max_request_header_count: 100,
            max_request_body_size: Some(30_000_000),
            max_request_buffer_size: Some(1024 * 1024),
            max_response_buffer_size: Some(64 * 1024),
            min_request_body_data_rate: Some(MinDataRate::default()),
            min_response_data_rate: Some(MinDataRate::default()),
            max_concurrent_connections: None,
            max_concurrent_upgraded_connections: None,
            max_connections_per_address: None,
            max_connection_age: None,
            max_requests_per_connection: None,
            http2: Http2Limits::default(),
        }
    }
}

/// The limits of HTTP/2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// The concurrent streams of one connection; one more is refused with `REFUSED_STREAM`. Default is 100.
    pub max_streams_per_connection: u32,
    /// The bytes of the table for header compression that the peer may use. Default is 4,096.
    pub header_table_size: u32,
    /// The bytes of a frame's content that the peer may send, from 16,384 to 16,777,215. Default is 16,384.
    pub max_frame_size: u32,
    /// The bytes that may come in for all streams of a connection before the app reads them, from 65,535 to
    /// 2,147,483,647. Default is 1 MiB.
    pub initial_connection_window_size: u32,
    /// The bytes that may come in for a stream before the app reads them, from 65,535 to 2,147,483,647. Default is
    /// 768 KiB.
    pub initial_stream_window_size: u32,
    /// How often a PING is sent; at least a second. `None` is never. Default is `None`.
    pub keep_alive_ping_delay: Option<Duration>,
    /// How long the answer to a PING may take before the connection is closed; at least a second. Default is
    /// 20 seconds.
    pub keep_alive_ping_timeout: Duration,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            max_streams_per_connection: 100,
            header_table_size: 4096,
            max_frame_size: 16_384,
            initial_connection_window_size: 1024 * 1024,
            initial_stream_window_size: 768 * 1024,
            keep_alive_ping_delay: None,
            keep_alive_ping_timeout: Duration::from_secs(20),
        }
    }
}

/// Bytes of the smallest buffer that the HTTP/1.1 engine takes.
const MIN_BUFFER: u64 = 8192;
const MIN_PING_TIME: Duration = Duration::from_secs(1);
const WINDOWS: std::ops::RangeInclusive<u64> = 65_535..=0x7fff_ffff;

impl Limits {
    pub(crate) fn head(&self) -> HeadLimits {
        HeadLimits {
            line: self.max_request_line_size as usize,
            fields: self.max_request_headers_total_size as usize,
            count: self.max_request_header_count as usize,
        }
    }

    /// The bytes of a head that the HTTP/1.1 engine must take. The scanner refuses what is larger, with a status that
    /// tells why.
    pub(crate) fn max_request_head_size(&self) -> usize {
        self.max_request_line_size as usize + self.max_request_headers_total_size as usize + 1024
    }

    /// The bytes of a header list that the HTTP/2 engine must take, where each field counts 32 bytes more (RFC 9113,
    /// section 6.5.2) and the line is a part of it.
    pub(crate) fn max_http2_header_list_size(&self) -> u32 {
        const PSEUDO_FIELDS: u32 = 5;
        let fields = self.max_request_header_count.saturating_add(PSEUDO_FIELDS);
        self.max_request_headers_total_size
            .saturating_add(self.max_request_line_size)
            .saturating_add(fields.saturating_mul(32))
    }

    /// The bytes of a response that the HTTP/2 engine may keep for a stream.
    pub(crate) fn max_http2_send_buffer_size(&self) -> usize {
        let most = u64::from(u32::MAX);
        usize::try_from(self.max_response_buffer_size.unwrap_or(most).min(most)).unwrap_or(usize::MAX)
    }

    /// The engine has one number for the head, for what it reads and for what it writes.
    pub(crate) fn max_engine_buffer_size(&self) -> usize {
        let limits = [self.max_request_buffer_size, self.max_response_buffer_size];
        let least = limits.into_iter().flatten().min().unwrap_or(u64::MAX);
        usize::try_from(least).unwrap_or(usize::MAX).max(self.max_request_head_size())
    }

    /// Whether the server can hold these limits; it refuses to start with others.
    ///
    /// # Errors
    /// The first limit that it cannot hold.
    pub fn check(&self) -> Result<(), LimitError> {
        let http2 = &self.http2;
        at_least("max_request_line_size", self.max_request_line_size.into(), 1)?;
        at_least("max_request_headers_total_size", self.max_request_headers_total_size.into(), 1)?;
        at_least("max_request_header_count", self.max_request_header_count.into(), 1)?;
        within("max_request_header_count", self.max_request_header_count.into(), 1..=32_768)?;
        for (name, head) in [
            ("max_request_line_size", self.max_request_line_size),
            ("max_request_headers_total_size", self.max_request_headers_total_size),
        ] {
            let head = u64::from(head);
            if let Some(size) = self.max_request_buffer_size.filter(|size| *size < head) {
                let wanted = format_args!("at least {name}, which is {head}");
                return Err(refused("max_request_buffer_size", format_args!("{size}"), wanted));
            }
        }
        at_least(
            "max_response_buffer_size",
            self.max_response_buffer_size.unwrap_or(MIN_BUFFER),
            MIN_BUFFER,
        )?;
        at_least("max_concurrent_connections", self.max_concurrent_connections.unwrap_or(1), 1)?;
        at_least("max_connections_per_address", self.max_connections_per_address.unwrap_or(1), 1)?;
        at_least("max_requests_per_connection", self.max_requests_per_connection.unwrap_or(1), 1)?;
        at_least("http2.max_streams_per_connection", http2.max_streams_per_connection.into(), 1)?;
        within("http2.max_frame_size", http2.max_frame_size.into(), 16_384..=0x00ff_ffff)?;
        let windows = (http2.initial_connection_window_size, http2.initial_stream_window_size);
        within("http2.initial_connection_window_size", windows.0.into(), WINDOWS)?;
        within("http2.initial_stream_window_size", windows.1.into(), WINDOWS)?;
        let grace = |rate: Option<MinDataRate>| rate.map_or(Duration::MAX, |rate| rate.grace_period);
        // Time is looked at once a second.
        let more_than_a_second = Duration::from_millis(1001);
        let times = [
            (
                "min_request_body_data_rate.grace_period",
                grace(self.min_request_body_data_rate),
                more_than_a_second,
            ),
            ("min_response_data_rate.grace_period", grace(self.min_response_data_rate), more_than_a_second),
            ("keep_alive_timeout", self.keep_alive_timeout, Duration::from_millis(1)),
            ("request_headers_timeout", self.request_headers_timeout, Duration::from_millis(1)),
            ("max_connection_age", self.max_connection_age.unwrap_or(MIN_PING_TIME), MIN_PING_TIME),
            (
                "http2.keep_alive_ping_delay",
                http2.keep_alive_ping_delay.unwrap_or(MIN_PING_TIME),
                MIN_PING_TIME,
            ),
            ("http2.keep_alive_ping_timeout", http2.keep_alive_ping_timeout, MIN_PING_TIME),
        ];
        for (name, value, least) in times {
            if value < least {
                return Err(refused(name, format_args!("{value:?}"), format_args!("at least {least:?}")));
            }
        }
        Ok(())
    }
}

fn at_least(name: &'static str, value: u64, least: u64) -> Result<(), LimitError> {
    within(name, value, least..=u64::MAX)
}

pub(crate) fn within(
    name: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), LimitError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    if most == u64::MAX {
        return Err(refused(name, format_args!("{value}"), format_args!("at least {least}")));
    }
    Err(refused(name, format_args!("{value}"), format_args!("from {least} to {most}")))
}

pub(crate) fn refused(
    name: &'static str,
    value: fmt::Arguments<'_>,
    wanted: fmt::Arguments<'_>,
) -> LimitError {
    LimitError { name, value: value.to_string(), wanted: wanted.to_string() }
}

/// A limit, or an option of TLS sessions or sockets, that the server cannot hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitError {
    name: &'static str,
    value: String,
    wanted: String,
}

impl LimitError {
    /// The field of [`Limits`], of [`HttpsOptions`](crate::HttpsOptions) or of [`Endpoint`](crate::Endpoint); fields of other
    /// structs follow after a dot, as in `http2.max_frame_size`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it must be, such as `at least 1`.
    pub fn wanted(&self) -> &str {
        &self.wanted
    }
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; it must be {}", self.name, self.value, self.wanted)
    }
}

impl Error for LimitError {}

impl From<LimitError> for StartError {
    fn from(error: LimitError) -> Self {
        Self::configuration(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_hold() {
        assert!(Limits::default().check().is_ok());
    }

    #[test]
    fn what_cannot_be_held_is_refused_by_name() {
        type Change = fn(&mut Limits);
        let changes: [(&str, Change); 8] = [
            ("max_request_line_size is 0", |limits| limits.max_request_line_size = 0),
            (
                "max_request_buffer_size is 8192; it must be at least max_request_headers_total_size, which is 32768",
                |limits| {
                    limits.max_request_buffer_size = Some(8192);
                },
            ),
            ("max_response_buffer_size is 0", |limits| limits.max_response_buffer_size = Some(0)),
            ("max_concurrent_connections is 0", |limits| limits.max_concurrent_connections = Some(0)),
            ("http2.max_frame_size is 1", |limits| limits.http2.max_frame_size = 1),
            ("from 65535 to 2147483647", |limits| limits.http2.initial_stream_window_size = 1),
            ("keep_alive_timeout is 0ns", |limits| limits.keep_alive_timeout = Duration::ZERO),
            ("keep_alive_ping_delay is 1ms", |limits| {
                limits.http2.keep_alive_ping_delay = Some(Duration::from_millis(1));
            }),
        ];
        for (expected, change) in changes {
            let mut limits = Limits::default();
            change(&mut limits);
            let error = limits.check().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
