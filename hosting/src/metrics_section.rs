//! The section `Metrics` of the configuration.

#[cfg(not(feature = "metrics"))]
mod absent;
#[cfg(feature = "metrics")]
mod hosted;

#[cfg(not(feature = "metrics"))]
pub(crate) use absent::HostedMetrics;
#[cfg(feature = "metrics")]
pub(crate) use hosted::HostedMetrics;

use serde::Deserialize;
use server_abstractions::HistogramBounds;

use crate::kestrel_section::present;
use crate::{Configuration, ConfigurationError};

/// The path of the section.
const ROOT: &str = "Metrics";

/// Metrics of requests and connections, through the API of OpenTelemetry. A key that is not understood is refused with its
/// place.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a section: {} switches metrics on with their defaults; leave the key out to leave them off"
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct MetricsSection {
    /// Whether metrics are recorded. Default is true if the section is there.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = true)))]
    enabled: Option<bool>,
    /// The upper bounds of the buckets of `http.server.request.duration`, in seconds, each larger than the one before. Default is
    /// 14 bounds from 0.005 to 10.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Bound>", length(min = 1, max = 200)))]
    request_duration_bounds: Option<Vec<Bound>>,
    /// The upper bounds of the buckets of `kestrel.connection.duration`, in seconds, each larger than the one before. Default
    /// is 14 bounds from 0.01 to 300.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Bound>", length(min = 1, max = 200)))]
    connection_duration_bounds: Option<Vec<Bound>>,
    /// The upper bounds of the buckets of `kestrel.tls_handshake.duration`, in seconds, each larger than the one before. Default
    /// is 14 bounds from 0.005 to 10.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Vec<Bound>", length(min = 1, max = 200)))]
    tls_handshake_duration_bounds: Option<Vec<Bound>>,
}

/// A number of seconds above 0.
#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Bound(#[cfg_attr(feature = "schema", schemars(extend("exclusiveMinimum" = 0)))] f64);

/// What the section says, checked.
#[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "without metrics it is only checked"))]
struct Settings {
    is_enabled: bool,
    request_duration: HistogramBounds,
    connection_duration: HistogramBounds,
    tls_handshake_duration: HistogramBounds,
}

/// `None`: there is no section.
fn settings(configuration: &Configuration) -> Result<Option<Settings>, ConfigurationError> {
    let section = configuration.section(ROOT);
    if !section.exists() {
        return Ok(None);
    }
    let section = section.bind::<MetricsSection>()?;
    let bounds = |key: &str, given: Option<Vec<Bound>>, default: fn() -> HistogramBounds| {
        let Some(given) = given else { return Ok(default()) };
        let given: Vec<_> = given.into_iter().map(|bound| bound.0).collect();
        HistogramBounds::new(given).map_err(|error| {
            let place = error.index().map_or_else(String::new, |index| format!(":{index}"));
            configuration.invalid(&format!("{ROOT}:{key}{place}"), error)
        })
    };
    Ok(Some(Settings {
        is_enabled: section.enabled.unwrap_or(true),
        request_duration: bounds(
            "RequestDurationBounds",
            section.request_duration_bounds,
            HistogramBounds::short_seconds,
        )?,
        connection_duration: bounds(
            "ConnectionDurationBounds",
            section.connection_duration_bounds,
            HistogramBounds::long_seconds,
        )?,
        tls_handshake_duration: bounds(
            "TlsHandshakeDurationBounds",
            section.tls_handshake_duration_bounds,
            HistogramBounds::short_seconds,
        )?,
    }))
}
