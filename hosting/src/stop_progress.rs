//! How far a stop has come, for the supervisor and the log.

use std::sync::Arc;
use std::time::Duration;

use server_abstractions::{FeatureCollection, ServerDrainFeature};
use tokio::time::{Instant, interval_at};

use crate::notify;

/// How often a supervisor is told.
const PERIOD: Duration = Duration::from_secs(1);

/// What a server that stops still has to do, if it tells that.
pub(crate) struct StopProgress(Option<Arc<dyn ServerDrainFeature>>);

impl StopProgress {
    pub(crate) fn of(server: &FeatureCollection) -> Self {
        Self(server.get())
    }

    fn requests_left(&self) -> Option<u64> {
        self.0.as_ref().map(|server| server.requests_left())
    }

    /// For the log, when the stop waits no longer.
    pub(crate) fn what_is_aborted(&self) -> String {
        match self.requests_left() {
            None => "what was under way is aborted".to_owned(),
            Some(1) => "1 request is aborted".to_owned(),
            Some(requests) => format!("{requests} requests are aborted"),
        }
    }

    /// Waits for the stop, and tells a supervisor about once a second how many requests are left.
    pub(crate) async fn told_until<T>(&self, stop: impl Future<Output = T>) -> T {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = interval_at(Instant::now() + PERIOD, PERIOD);
        let mut last = None;
        loop {
            tokio::select! {
                biased;
                stopped = &mut stop => return stopped,
                _ = ticks.tick() => {}
            }
            let left = self.requests_left();
            if let Some(requests) = left.filter(|_| left != last) {
                notify::still_stopping(requests);
            }
            last = left;
        }
    }
}
