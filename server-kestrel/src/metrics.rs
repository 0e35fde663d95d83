//! What happens on connections, as metrics of OpenTelemetry.

mod attributes;

use std::fmt;

use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};
use opentelemetry::{KeyValue, Value};
use server_abstractions::{ConnectionEndFeature, ConnectionEvent, ConnectionObserver, HistogramBounds};

use attributes::{ConnectionAttributes, protocol_version, tls_version};

/// Which buckets the histograms of [`KestrelMetrics`] have.
#[derive(Clone, Debug, PartialEq)]
pub struct KestrelMetricsOptions {
    /// Those of `kestrel.connection.duration`, in seconds. Default is
    /// [`long_seconds`](HistogramBounds::long_seconds).
    pub connection_duration_bounds: HistogramBounds,
    /// Those of `kestrel.tls_handshake.duration`, in seconds. Default is
    /// [`short_seconds`](HistogramBounds::short_seconds).
    pub tls_handshake_duration_bounds: HistogramBounds,
}

impl Default for KestrelMetricsOptions {
    fn default() -> Self {
        Self {
            connection_duration_bounds: HistogramBounds::long_seconds(),
            tls_handshake_duration_bounds: HistogramBounds::short_seconds(),
        }
    }
}

/// Metrics of the connections of a server, to be given to [`Kestrel::observer`](crate::Kestrel::observer).
///
/// ```
/// use std::sync::Arc;
/// use server_kestrel::{Kestrel, KestrelMetrics, KestrelMetricsOptions, KestrelOptions};
///
/// let meter = opentelemetry::global::meter("server_kestrel");
/// let metrics = KestrelMetrics::new(&meter, &KestrelMetricsOptions::default());
/// let server = Kestrel::new(KestrelOptions::default()).observer(Arc::new(metrics));
/// # drop(server);
/// ```
///
/// | instrument | kind | unit | what it tells | attributes besides the common ones |
/// |---|---|---|---|---|
/// | `kestrel.active_connections` | up-down counter | `{connection}` | connections that are served | |
/// | `kestrel.connection.duration` | histogram | `s` | how long connections last | `error.type`, `network.protocol.name`, `network.protocol.version`, `tls.protocol.version` |
/// | `kestrel.rejected_connections` | counter | `{connection}` | connections for which there was no place | |
/// | `kestrel.queued_connections` | up-down counter | `{connection}` | connections that were accepted and wait for their task | |
/// | `kestrel.upgraded_connections` | up-down counter | `{connection}` | connections that have become something else than HTTP/1.1 | |
/// | `kestrel.tls_handshake.duration` | histogram | `s` | how long handshakes take | `error.type`, `tls.protocol.version` |
/// | `kestrel.active_tls_handshakes` | up-down counter | `{handshake}` | handshakes under way | |
///
/// Common are `server.address`, `server.port`, `network.type` (`ipv4`, `ipv6`) and `network.transport` (`tcp`, `unix`, `pipe`) of the
/// socket, also behind the PROXY protocol. A Unix socket has no port and no type. The values of `error.type` are those of
/// [`EndReason`](crate::EndReason); without it a connection ended as it should. There is no `kestrel.queued_requests`: a
/// request over HTTP/2 reaches the application as soon as its head is read, so that none waits.
///
/// A counter is there from its first count on, and not with 0 before that: the address is that of the connection's own socket, so that of
/// an endpoint at every address of the machine nobody knows the attributes before there is a connection. A query for
/// `kestrel.rejected_connections` takes what is missing for 0 (`or vector(0)` in PromQL).
#[doc(alias = "Microsoft.AspNetCore.Server.Kestrel")]
pub struct KestrelMetrics {
    active_connections: UpDownCounter<i64>,
    connection_duration: Histogram<f64>,
    rejected_connections: Counter<u64>,
    queued_connections: UpDownCounter<i64>,
    upgraded_connections: UpDownCounter<i64>,
    tls_handshake_duration: Histogram<f64>,
    active_tls_handshakes: UpDownCounter<i64>,
}

impl KestrelMetrics {
    /// Makes the instruments with this meter. One for a server is enough: two would count everything twice.
    pub fn new(meter: &Meter, options: &KestrelMetricsOptions) -> Self {
        let counter = |name, unit, about| {
            meter.i64_up_down_counter(name).with_unit(unit).with_description(about).build()
        };
        let duration = |name, bounds: &HistogramBounds, about| {
            let boundaries = bounds.as_slice().to_vec();
            let histogram = meter.f64_histogram(name).with_unit("s").with_boundaries(boundaries);
            histogram.with_description(about).build()
        };
        Self {
            active_connections: counter(
                "kestrel.active_connections",
                "{connection}",
                "Number of connections that are served.",
            ),
            connection_duration: duration(
                "kestrel.connection.duration",
                &options.connection_duration_bounds,
                "The duration of connections.",
            ),
            rejected_connections: meter
                .u64_counter("kestrel.rejected_connections")
                .with_unit("{connection}")
                .with_description("Number of connections that were closed since there was no place for them.")
                .build(),
            queued_connections: counter(
                "kestrel.queued_connections",
                "{connection}",
                "Number of connections that were accepted and are not served yet.",
            ),
            upgraded_connections: counter(
                "kestrel.upgraded_connections",
                "{connection}",
                "Number of connections that were upgraded, such as to WebSockets.",
            ),
            tls_handshake_duration: duration(
                "kestrel.tls_handshake.duration",
                &options.tls_handshake_duration_bounds,
                "The duration of TLS handshakes.",
            ),
            active_tls_handshakes: counter(
                "kestrel.active_tls_handshakes",
                "{handshake}",
                "Number of TLS handshakes under way.",
            ),
        }
    }
}

impl ConnectionObserver for KestrelMetrics {
    fn observe(&self, event: &ConnectionEvent<'_>) {
        let common = || ConnectionAttributes::of(event.features());
        match *event {
            ConnectionEvent::Accepted { .. } => self.queued_connections.add(1, &common()),
            ConnectionEvent::Started { .. } => {
                let common = common();
                self.queued_connections.add(-1, &common);
                self.active_connections.add(1, &common);
            }
            ConnectionEvent::Rejected { .. } => self.rejected_connections.add(1, &common()),
            ConnectionEvent::TlsHandshakeStarted { .. } => self.active_tls_handshakes.add(1, &common()),
            ConnectionEvent::TlsHandshakeEnded { features, duration, error_type } => {
                let common = common();
                self.active_tls_handshakes.add(-1, &common);
                let tls = tls_version(features).map(|version| ("tls.protocol.version", version));
                let attributes = with(&common, [tls, error_type.map(|reason| ("error.type", reason))]);
                self.tls_handshake_duration.record(duration.as_secs_f64(), &attributes);
            }
            ConnectionEvent::Upgraded { .. } => self.upgraded_connections.add(1, &common()),
            ConnectionEvent::UpgradeEnded { .. } => self.upgraded_connections.add(-1, &common()),
            ConnectionEvent::Ended { features, duration, version } => {
                let common = common();
                self.active_connections.add(-1, &common);
                let end = features.get::<dyn ConnectionEndFeature>().and_then(|end| end.error_type());
                let attributes = with(
                    &common,
                    [
                        version.map(|_| ("network.protocol.name", "http")),
                        version.map(|version| ("network.protocol.version", protocol_version(version))),
                        tls_version(features).map(|version| ("tls.protocol.version", version)),
                        end.map(|reason| ("error.type", reason)),
                    ],
                );
                self.connection_duration.record(duration.as_secs_f64(), &attributes);
            }
            _ => {}
        }
    }
}

/// The common attributes and those that there are of the others.
fn with<const N: usize>(
    common: &[KeyValue],
    more: [Option<(&'static str, &'static str)>; N],
) -> Vec<KeyValue> {
    let more = more.into_iter().flatten().map(|(key, value)| KeyValue::new(key, Value::from(value)));
    common.iter().cloned().chain(more).collect()
}

impl fmt::Debug for KestrelMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KestrelMetrics").finish_non_exhaustive()
    }
}
