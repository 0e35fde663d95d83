//! What the module does, as metrics of OpenTelemetry.

use std::sync::Arc;

use hosting::server_kestrel::{Kestrel, KestrelMetrics, KestrelMetricsOptions};
use hosting::{App, HttpMetricsLayer, HttpMetricsOptions};
use opentelemetry::metrics::Meter;
use opentelemetry::{KeyValue, global};
use tower_layer::Layer;

use crate::status::{ApplicationStatus, Managed, WorkerState, WorkerStatus};

/// Has requests and connections of the module's own server measured.
pub(crate) fn measure(kestrel: Kestrel, app: App) -> (Kestrel, App) {
    let connections =
        KestrelMetrics::new(&global::meter("server_kestrel"), &KestrelMetricsOptions::default());
    let requests = HttpMetricsLayer::new(&global::meter("hosting"), &HttpMetricsOptions::default());
    (kestrel.observer(Arc::new(connections)), App::new(requests.layer(app)))
}

/// What is told of an application when metrics are collected; the same that the command `status` tells.
pub(crate) fn report(managed: &[Arc<dyn Managed>]) {
    report_to(&global::meter("server_module"), managed);
}

fn report_to(meter: &Meter, managed: &[Arc<dyn Managed>]) {
    let statuses = |managed: &[Arc<dyn Managed>]| {
        let managed = managed.to_vec();
        move || managed.iter().map(|one| one.status()).collect::<Vec<_>>()
    };
    let of = |status: &ApplicationStatus| {
        [
            KeyValue::new("server_module.application", status.name.clone()),
            KeyValue::new("server_module.hosting_model", status.hosting_model),
        ]
    };
    let up_down = |name, unit, about, value: fn(&ApplicationStatus) -> i64| {
        let statuses = statuses(managed);
        let _kept_by_the_meter = meter
            .i64_observable_up_down_counter(name)
            .with_unit(unit)
            .with_description(about)
            .with_callback(move |observer| {
                statuses().iter().for_each(|status| observer.observe(value(status), &of(status)));
            })
            .build();
    };
    let counter = |name, unit, about, value: fn(&ApplicationStatus) -> u64| {
        let statuses = statuses(managed);
        let _kept_by_the_meter = meter
            .u64_observable_counter(name)
            .with_unit(unit)
            .with_description(about)
            .with_callback(move |observer| {
                statuses().iter().for_each(|status| observer.observe(value(status), &of(status)));
            })
            .build();
    };
    up_down("server_module.workers", "{process}", "Processes of an application that are ready.", |status| {
        let is_ready = |worker: &&WorkerStatus| worker.state == WorkerState::Running;
        i64::try_from(status.workers.iter().filter(is_ready).count()).unwrap_or(i64::MAX)
    });
    up_down("server_module.memory", "By", "Memory of the processes of an application.", |status| {
        let bytes = status.workers.iter().map(|worker| worker.memory_bytes).sum::<u64>();
        i64::try_from(bytes).unwrap_or(i64::MAX)
    });
    counter(
        "server_module.starts",
        "{process}",
        "Processes of an application that were started.",
        |status| status.starts,
    );
    counter(
        "server_module.failures",
        "{failure}",
        "Processes of an application that ended by themselves or could not be started.",
        |status| status.failures,
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hosting::BoxFuture;
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};

    use super::*;
    use crate::status::ApplicationState;

    struct Shop;

    impl Managed for Shop {
        fn status(&self) -> ApplicationStatus {
            let worker = |state, memory_bytes| WorkerStatus {
                pid: 1,
                state,
                port: None,
                uptime: Duration::ZERO,
                requests: None,
                memory_bytes,
            };
            ApplicationStatus {
                name: "shop".to_owned(),
                hosting_model: "inProcess",
                state: ApplicationState::Running,
                workers: vec![
                    worker(WorkerState::Starting, 300),
                    worker(WorkerState::Running, 1000),
                    worker(WorkerState::Running, 1700),
                ],
                starts: 5,
                failures: 3,
                last_exit: None,
                startup_time_limit: Duration::from_secs(120),
            }
        }

        fn recycle(&self) -> BoxFuture<'_, Result<(), String>> {
            Box::pin(std::future::ready(Ok(())))
        }

        fn stop(&self) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    fn pairs<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Vec<String> {
        let mut pairs: Vec<_> = attributes.map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        pairs.sort();
        pairs
    }

    #[test]
    fn the_instruments_tell_what_the_status_tells() {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        report_to(&provider.meter("tests"), &[Arc::new(Shop)]);
        provider.force_flush().unwrap();
        let finished = exporter.get_finished_metrics().unwrap();
        let metrics = finished.iter().flat_map(|resource| resource.scope_metrics());
        let mut told: Vec<_> = metrics
            .flat_map(|scope| scope.metrics())
            .map(|metric| {
                let (value, attributes) = match metric.data() {
                    AggregatedMetrics::I64(MetricData::Sum(sum)) if !sum.is_monotonic() => {
                        let point = sum.data_points().next().unwrap();
                        (point.value(), pairs(point.attributes()))
                    }
                    AggregatedMetrics::U64(MetricData::Sum(sum)) if sum.is_monotonic() => {
                        let point = sum.data_points().next().unwrap();
                        (point.value() as i64, pairs(point.attributes()))
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!(
                    attributes,
                    ["server_module.application=shop", "server_module.hosting_model=inProcess"]
                );
                (metric.name().to_owned(), metric.unit().to_owned(), value)
            })
            .collect();
        told.sort();
        let expected = [
            ("server_module.failures", "{failure}", 3),
            ("server_module.memory", "By", 3000),
            ("server_module.starts", "{process}", 5),
            ("server_module.workers", "{process}", 2),
        ];
        assert_eq!(told, expected.map(|(name, unit, value)| (name.to_owned(), unit.to_owned(), value)));
    }
}
