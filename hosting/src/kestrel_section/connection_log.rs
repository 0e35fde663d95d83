//! The keys of the log of bytes.

use serde::Deserialize;
use server_kestrel::{ConnectionLog, ConnectionLoggingLayer};

use super::limits::present;

/// That the bytes of an endpoint's connections are shown; `{}` for the defaults.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a section: {} switches it on with its defaults; leave the key out to leave it off"
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(super) struct ConnectionLogSection {
    /// Whether the bytes are shown as they are on the wire, and not as HTTP sees them behind TLS. Default is false.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    below_tls: Option<bool>,
    /// The bytes of one read or write that are shown. Default is 4096.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", extend("default" = 4096)))]
    max_bytes: Option<u32>,
    /// The bytes of one connection that are shown. Default is 1048576.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", extend("default" = 1_048_576)))]
    max_bytes_per_connection: Option<u32>,
}

impl ConnectionLogSection {
    pub(super) fn log(&self) -> ConnectionLog {
        let defaults = ConnectionLoggingLayer::default();
        let bytes = |bytes: Option<u32>, default| bytes.map_or(default, |bytes| bytes as usize);
        ConnectionLog {
            below_tls: self.below_tls.unwrap_or_default(),
            limits: ConnectionLoggingLayer {
                max_bytes: bytes(self.max_bytes, defaults.max_bytes),
                max_bytes_per_connection: bytes(
                    self.max_bytes_per_connection,
                    defaults.max_bytes_per_connection,
                ),
            },
        }
    }
}
