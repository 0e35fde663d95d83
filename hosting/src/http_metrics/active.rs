//! How many requests are under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::attributes::{Kind, METHODS, SCHEMES};

/// The requests under way, by scheme and method.
///
/// They are counted here and read when metrics are collected, so that no request has the SDK of OpenTelemetry find the
/// attributes twice.
#[derive(Default)]
pub(super) struct ActiveRequests {
    counts: [[AtomicI64; METHODS.len()]; SCHEMES.len()],
    /// A bit for each count that has ever been other than zero.
    seen: AtomicU64,
}

const _: () = assert!(METHODS.len() * SCHEMES.len() <= 64, "the bits must suffice");

impl ActiveRequests {
    /// Has the numbers collected. The meter keeps them, as it does instruments.
    pub(super) fn report(active: &Arc<Self>, meter: &Meter) {
        let active = Arc::clone(active);
        let attributes: Vec<_> = Kind::all().map(|kind| (kind, kind.attributes())).collect();
        let _kept_by_the_meter = meter
            .i64_observable_up_down_counter("http.server.active_requests")
            .with_unit("{request}")
            .with_description("Number of active HTTP server requests.")
            .with_callback(move |observer| {
                let seen = active.seen.load(Ordering::Relaxed);
                for (kind, attributes) in &attributes {
                    if seen & bit(*kind) != 0 {
                        observer.observe(active.count(*kind).load(Ordering::Relaxed), attributes);
                    }
                }
            })
            .build();
    }

    fn count(&self, kind: Kind) -> &AtomicI64 {
        &self.counts[kind.scheme()][kind.method()]
    }

    pub(super) fn begin(&self, kind: Kind) {
        self.count(kind).fetch_add(1, Ordering::Relaxed);
        if self.seen.load(Ordering::Relaxed) & bit(kind) == 0 {
            self.seen.fetch_or(bit(kind), Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self, kind: Kind) {
        self.count(kind).fetch_sub(1, Ordering::Relaxed);
    }
}

fn bit(kind: Kind) -> u64 {
    1 << (kind.scheme() * METHODS.len() + kind.method())
}

impl Kind {
    fn attributes(self) -> [KeyValue; 2] {
        [self.scheme_attribute(), self.method_attribute()]
    }
}
