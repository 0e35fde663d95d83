//! Metrics of requests.

mod active;
mod attributes;
mod common;
mod layer;
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};
use server_abstractions::HistogramBounds;

pub use layer::{HttpMetricsFuture, HttpMetricsLayer, WithHttpMetrics};

use active::ActiveRequests;
use common::CommonAttributes;

/// Which buckets the histogram of an [`HttpMetricsLayer`] has.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpMetricsOptions {
    /// Those of `http.server.request.duration`, in seconds. Default is
    /// [`short_seconds`](HistogramBounds::short_seconds).
    pub request_duration_bounds: HistogramBounds,
}

impl Default for HttpMetricsOptions {
    fn default() -> Self {
        Self { request_duration_bounds: HistogramBounds::short_seconds() }
    }
}

/// What an application says about the metrics of a request: put into the extensions of its response.
#[derive(Clone, Debug, Default, PartialEq)]
#[doc(alias = "IHttpMetricsTagsFeature")]
pub struct HttpMetricsTags {
    /// Attributes of `http.server.request.duration` beside its own. One whose key the layer sets itself is left out. Default is none.
    pub tags: Vec<KeyValue>,
    /// Whether the duration of this request is not recorded. Default is false.
    pub is_disabled: bool,
}

/// The instruments.
struct Instruments {
    duration: Histogram<f64>,
    active: Arc<ActiveRequests>,
    common: CommonAttributes,
}

impl Instruments {
    fn new(meter: &Meter, options: &HttpMetricsOptions) -> Self {
        let active = Arc::<ActiveRequests>::default();
        ActiveRequests::report(&active, meter);
        let duration = meter
            .f64_histogram("http.server.request.duration")
            .with_unit("s")
            .with_description("Duration of HTTP server requests.")
            .with_boundaries(options.request_duration_bounds.as_slice().to_vec())
            .build();
        Self { duration, active, common: CommonAttributes::default() }
    }

    fn record(&self, duration: Duration, attributes: &[KeyValue]) {
        self.duration.record(duration.as_secs_f64(), attributes);
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").finish_non_exhaustive()
    }
}
