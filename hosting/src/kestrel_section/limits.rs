//! `Kestrel:Limits`.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use server_abstractions::MinDataRate;
use server_kestrel::{Http2Limits, Limits};

use crate::configuration::duration;

/// A key that is absent leaves the option of the code; `null` is `None`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitsSection {
    #[serde(deserialize_with = "required_duration")]
    keep_alive_timeout: Option<Duration>,
    #[serde(deserialize_with = "required_duration")]
    request_headers_timeout: Option<Duration>,
    #[serde(deserialize_with = "present")]
    max_request_line_size: Option<u32>,
    #[serde(deserialize_with = "present")]
    max_request_headers_total_size: Option<u32>,
    #[serde(deserialize_with = "present")]
    max_request_header_count: Option<u32>,
    #[serde(deserialize_with = "present")]
    max_request_body_size: Option<Option<u64>>,
    #[serde(deserialize_with = "present")]
    max_request_buffer_size: Option<Option<u64>>,
    #[serde(deserialize_with = "present")]
    max_response_buffer_size: Option<Option<u64>>,
    #[serde(deserialize_with = "present")]
    min_request_body_data_rate: Option<Option<MinDataRateSection>>,
    #[serde(deserialize_with = "present")]
    min_response_data_rate: Option<Option<MinDataRateSection>>,
    #[serde(deserialize_with = "present")]
    max_concurrent_connections: Option<Option<u64>>,
    #[serde(deserialize_with = "present")]
    max_concurrent_upgraded_connections: Option<Option<u64>>,
    #[serde(deserialize_with = "present")]
    max_connections_per_address: Option<Option<u64>>,
    #[serde(deserialize_with = "present_duration")]
    max_connection_age: Option<Option<Duration>>,
    #[serde(deserialize_with = "present")]
    max_requests_per_connection: Option<Option<u64>>,
    http2: Http2Section,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Http2Section {
    #[serde(deserialize_with = "present")]
    max_streams_per_connection: Option<u32>,
    #[serde(deserialize_with = "present")]
    header_table_size: Option<u32>,
    #[serde(deserialize_with = "present")]
    max_frame_size: Option<u32>,
    #[serde(deserialize_with = "present")]
    initial_connection_window_size: Option<u32>,
    #[serde(deserialize_with = "present")]
    initial_stream_window_size: Option<u32>,
    #[serde(deserialize_with = "present_duration")]
    keep_alive_ping_delay: Option<Option<Duration>>,
    #[serde(deserialize_with = "required_duration")]
    keep_alive_ping_timeout: Option<Duration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MinDataRateSection {
    bytes_per_second: NonZeroU32,
    #[serde(with = "duration", default = "default_grace_period")]
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
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Of a limit that cannot be lifted.
pub(super) fn required_duration<'de, D: Deserializer<'de>>(
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
