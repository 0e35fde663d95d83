//! `Kestrel:Limits`.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use server_abstractions::MinDataRate;
use server_kestrel::{Http2Limits, Limits};

use crate::configuration::duration;

/// What connections and requests may take.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct LimitsSection {
    /// How long a connection may be idle before it is closed, as `hh:mm:ss` or seconds. Default is 130 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("exclusiveMinimum" = 0, "default" = "00:02:10")))]
    keep_alive_timeout: Option<Duration>,
    /// How long the head of a request may take from its first byte on, as `hh:mm:ss` or seconds; then the answer is
    /// 408. Default is 30 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("exclusiveMinimum" = 0, "default" = "00:00:30")))]
    request_headers_timeout: Option<Duration>,
    /// The bytes that the first line of a request may have; above it the answer is 414. Default is 8192.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 8192)))]
    max_request_line_size: Option<u32>,
    /// The bytes that the header fields of a request may have; above it the answer is 431. Default is 32768.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 32768)))]
    max_request_headers_total_size: Option<u32>,
    /// The header fields that a request may have; above it the answer is 431. Default is 100.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1, max = 32768), extend("default" = 100)))]
    max_request_header_count: Option<u32>,
    /// The bytes that the body of a request may have; above it the answer is 413. `null` is unlimited. Default is
    /// 30000000.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", extend("default" = 30_000_000)))]
    max_request_body_size: Option<Option<u64>>,
    /// The bytes of a request that may wait for the application, not less than line and fields may have. `null` leaves
    /// it to the engine. Default is 1048576.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1), extend("default" = 1_048_576)))]
    max_request_buffer_size: Option<Option<u64>>,
    /// The bytes of a response that may wait for the client, at least 8192. `null` is unlimited. Default is 65536.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 8192), extend("default" = 65536)))]
    max_response_buffer_size: Option<Option<u64>>,
    /// How slowly the body of a request may come in; below it the answer is 408. `null` is as slowly as it likes.
    /// Default is 240 bytes in a second, after 5 seconds of grace.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<MinDataRateSection>", extend("default" = { "BytesPerSecond": 240, "GracePeriod": "00:00:05" })))]
    min_request_body_data_rate: Option<Option<MinDataRateSection>>,
    /// How slowly a client may take a response; below it the connection is ended. `null` is as slowly as it likes.
    /// Default is 240 bytes in a second, after 5 seconds of grace.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<MinDataRateSection>", extend("default" = { "BytesPerSecond": 240, "GracePeriod": "00:00:05" })))]
    min_response_data_rate: Option<Option<MinDataRateSection>>,
    /// The connections of all endpoints at the same time, upgraded ones not counted; one more is closed at once. `null` is
    /// unlimited. Default is `null`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1), extend("default" = null)))]
    max_concurrent_connections: Option<Option<u64>>,
    /// The upgraded connections at the same time, such as those of WebSockets; above it an upgrade fails. `null` is
    /// unlimited. Default is `null`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", extend("default" = null)))]
    max_concurrent_upgraded_connections: Option<Option<u64>>,
    /// The connections of one remote address at the same time; one more is closed at once. `null` is unlimited. Default
    /// is `null`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1), extend("default" = null)))]
    max_connections_per_address: Option<Option<u64>>,
    /// How long a connection may live before it is closed after the request under way, give or take a tenth, as
    /// `hh:mm:ss` or seconds; at least a second. `null` is for ever. Default is `null`.
    #[serde(deserialize_with = "present_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Duration>", extend("minimum" = 1, "default" = null)))]
    max_connection_age: Option<Option<Duration>>,
    /// The requests that one connection may bring before it is closed after the last of them. `null` is unlimited.
    /// Default is `null`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1), extend("default" = null)))]
    max_requests_per_connection: Option<Option<u64>>,
    /// What concerns HTTP/2 alone. Default is what each key says.
    http2: Http2Section,
}

/// What concerns HTTP/2 alone.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
struct Http2Section {
    /// The concurrent streams of one connection; one more is refused. Default is 100.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 1), extend("default" = 100)))]
    max_streams_per_connection: Option<u32>,
    /// The bytes of the table for header compression that the client may use. Default is 4096.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", extend("default" = 4096)))]
    header_table_size: Option<u32>,
    /// The bytes of a frame's content that the client may send, from 16384 to 16777215. Default is 16384.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 16384, max = 16_777_215), extend("default" = 16384)))]
    max_frame_size: Option<u32>,
    /// The bytes that may wait for the application on all streams of a connection, from 65535 to 2147483647. Default is
    /// 1048576.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 65535, max = 2_147_483_647), extend("default" = 1_048_576)))]
    initial_connection_window_size: Option<u32>,
    /// The bytes that may wait for the application on one stream, from 65535 to 2147483647. Default is 786432.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 65535, max = 2_147_483_647), extend("default" = 786_432)))]
    initial_stream_window_size: Option<u32>,
    /// How often a PING is sent, as `hh:mm:ss` or seconds; at least a second. `null` is never. Default is `null`.
    #[serde(deserialize_with = "present_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<Duration>", extend("minimum" = 1, "default" = null)))]
    keep_alive_ping_delay: Option<Option<Duration>>,
    /// How long the answer to a PING may take, as `hh:mm:ss` or seconds; at least a second. Default is 20 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("minimum" = 1, "default" = "00:00:20")))]
    keep_alive_ping_timeout: Option<Duration>,
}

/// How slowly something may go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
struct MinDataRateSection {
    /// The bytes in a second. It must be there.
    bytes_per_second: NonZeroU32,
    /// How long it may be slower at the beginning, as `hh:mm:ss` or seconds; more than a second. Default is 5 seconds.
    #[serde(deserialize_with = "duration::deserialize", default = "default_grace_period")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("exclusiveMinimum" = 1, "default" = "00:00:05")))]
    grace_period: Duration,
}

fn default_grace_period() -> Duration {
    MinDataRate::default().grace_period
}

impl From<MinDataRateSection> for MinDataRate {
    fn from(section: MinDataRateSection) -> Self {
        Self { bytes_per_second: section.bytes_per_second, grace_period: section.grace_period }
    }
}

/// Tells `null` from a key that is absent; what cannot be `null` is refused then.
pub(crate) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Of a limit that cannot be lifted.
pub(crate) fn required_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}

fn present_duration<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<Duration>>, D::Error> {
    duration::optional::deserialize(deserializer).map(Some)
}

pub(super) fn set<T>(option: &mut T, value: Option<impl Into<T>>) {
    if let Some(value) = value {
        *option = value.into();
    }
}

/// The key of a field: `Http2:MaxFrameSize` for `http2.max_frame_size`.
pub(super) fn key(field: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    let name = |name: &str| name.split('_').map(word).collect::<String>();
    field.split('.').map(name).collect::<Vec<_>>().join(":")
}

impl LimitsSection {
    /// Puts what the section says on top of the limits of the code.
    pub(super) fn apply(self, limits: &mut Limits) {
        let rate = |rate: Option<Option<MinDataRateSection>>| rate.map(|rate| rate.map(MinDataRate::from));
        set(&mut limits.keep_alive_timeout, self.keep_alive_timeout);
        set(&mut limits.request_headers_timeout, self.request_headers_timeout);
        set(&mut limits.max_request_line_size, self.max_request_line_size);
        set(&mut limits.max_request_headers_total_size, self.max_request_headers_total_size);
        set(&mut limits.max_request_header_count, self.max_request_header_count);
        set(&mut limits.max_request_body_size, self.max_request_body_size);
        set(&mut limits.max_request_buffer_size, self.max_request_buffer_size);
        set(&mut limits.max_response_buffer_size, self.max_response_buffer_size);
        set(&mut limits.min_request_body_data_rate, rate(self.min_request_body_data_rate));
        set(&mut limits.min_response_data_rate, rate(self.min_response_data_rate));
        set(&mut limits.max_concurrent_connections, self.max_concurrent_connections);
        set(&mut limits.max_concurrent_upgraded_connections, self.max_concurrent_upgraded_connections);
        set(&mut limits.max_connections_per_address, self.max_connections_per_address);
        set(&mut limits.max_connection_age, self.max_connection_age);
        set(&mut limits.max_requests_per_connection, self.max_requests_per_connection);
        self.http2.apply(&mut limits.http2);
    }
}

impl Http2Section {
    fn apply(self, limits: &mut Http2Limits) {
        set(&mut limits.max_streams_per_connection, self.max_streams_per_connection);
        set(&mut limits.header_table_size, self.header_table_size);
        set(&mut limits.max_frame_size, self.max_frame_size);
        set(&mut limits.initial_connection_window_size, self.initial_connection_window_size);
        set(&mut limits.initial_stream_window_size, self.initial_stream_window_size);
        set(&mut limits.keep_alive_ping_delay, self.keep_alive_ping_delay);
        set(&mut limits.keep_alive_ping_timeout, self.keep_alive_ping_timeout);
    }
}
