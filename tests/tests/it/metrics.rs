//! Metrics: instruments and attributes, against tables; a scrape, and an export to a collector.

mod connections;
mod hosted;
mod requests;
mod sample;

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

/// A meter provider, and what it has collected.
pub(crate) struct Collected {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// One set of attributes of an instrument.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) unit: String,
    /// `histogram`, `counter` or `up-down counter`.
    pub(crate) kind: &'static str,
    pub(crate) bounds: Vec<f64>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The value of a counter.
    pub(crate) value: i64,
    /// The measurements of a histogram.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) sum: f64,
}

impl Collected {
    pub(crate) fn start() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        Self { provider: SdkMeterProvider::builder().with_reader(reader).build(), exporter }
    }

    /// Has what asks for the meter of the process come here.
    pub(crate) fn install(&self) {
        opentelemetry::global::set_meter_provider(self.provider.clone());
    }

    pub(crate) fn meter(&self) -> Meter {
        self.provider.meter("tests")
    }

    /// What there is now.
    pub(crate) fn collect(&self) -> Vec<Series> {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let finished = self.exporter.get_finished_metrics().unwrap();
        let scopes = finished.iter().flat_map(|resource| resource.scope_metrics());
        scopes.flat_map(|scope| scope.metrics()).flat_map(series).collect()
    }

    /// All of one instrument.
    pub(crate) fn of(&self, name: &str) -> Vec<Series> {
        self.collect().into_iter().filter(|series| series.name == name).collect()
    }
}

fn attributes<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> BTreeMap<String, String> {
    attributes.map(|attribute| (attribute.key.to_string(), attribute.value.to_string())).collect()
}

fn series(metric: &Metric) -> Vec<Series> {
    let empty = |kind| Series {
        name: metric.name().to_owned(),
        unit: metric.unit().to_owned(),
        kind,
        bounds: Vec::new(),
        attributes: BTreeMap::new(),
        value: 0,
        count: 0,
        sum: 0.0,
    };
    match metric.data() {
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| Series {
                bounds: point.bounds().collect(),
                attributes: attributes(point.attributes()),
                count: point.count(),
                sum: point.sum(),
                ..empty("histogram")
            })
            .collect(),
        AggregatedMetrics::I64(MetricData::Sum(sum)) => {
            assert!(!sum.is_monotonic(), "{metric:?}");
            let points = sum.data_points().map(|point| (attributes(point.attributes()), point.value()));
            points
                .map(|(attributes, value)| Series { attributes, value, ..empty("up-down counter") })
                .collect()
        }
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            assert!(sum.is_monotonic(), "{metric:?}");
            let points =
                sum.data_points().map(|point| (attributes(point.attributes()), point.value() as i64));
            points.map(|(attributes, value)| Series { attributes, value, ..empty("counter") }).collect()
        }
        _ => panic!("{metric:?} is none of those"),
    }
}

/// The attributes of a series.
fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Of all series of an instrument what stands in the documentation: name, kind, unit, and the keys of its attributes.
fn described(series: &[Series]) -> BTreeMap<&str, (&'static str, &str, BTreeSet<&str>)> {
    let mut described = BTreeMap::new();
    for series in series {
        let (_, _, keys) =
            described.entry(&*series.name).or_insert((series.kind, &*series.unit, BTreeSet::new()));
        keys.extend(series.attributes.keys().map(String::as_str));
    }
    described
}
