use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::checks::Check;
use super::report::{Entry, Report};

/// The checks of one probe.
pub(super) struct Rounds {
    checks: Vec<Arc<Check>>,
    timeout: Duration,
}

impl Rounds {
    pub(super) fn new(checks: Vec<Arc<Check>>, timeout: Duration) -> Self {
        Self { checks, timeout }
    }

    /// What the checks say, which run side by side.
    pub(super) async fn report(&self) -> Report {
        let runs: Vec<_> = self.checks.iter().map(|check| check.join(self.timeout)).collect();
        let mut entries = Vec::with_capacity(runs.len());
        for mut run in runs {
            // It is lost if the runtime has ended its task.
            let done = run.wait_for(Option::is_some).await.ok().and_then(|done| done.clone());
            let Some(done) = done else { return Report::unhealthy("the checks were given up") };
            entries.push(done.entry);
        }
        Report::new(entries)
    }
}

impl fmt::Debug for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rounds").field("checks", &self.checks.len()).finish_non_exhaustive()
    }
}

/// The run of a check that was begun last. Whoever asks while it is under way, or within a second after that, gets what it says,
/// so that however many probes ask, no check runs more often.
#[derive(Default)]
pub(super) struct LastRun(Mutex<Option<Run>>);

/// `None` as long as it is under way.
type Run = watch::Receiver<Option<Done>>;

#[derive(Clone)]
pub(super) struct Done {
    entry: Entry,
    at: Instant,
}

/// How long what a check has said is good for whoever asks next.
const KEPT: Duration = Duration::from_secs(1);

impl LastRun {
    /// The run under way, or a new one, which goes on if nobody waits for it any more.
    pub(super) fn join<F>(&self, begin: impl FnOnce() -> F) -> Run
    where
        F: Future<Output = Entry> + Send + 'static,
    {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = last.as_ref().filter(|run| is_good(run)) {
            return run.clone();
        }
        let (sender, run) = watch::channel(None);
        *last = Some(run.clone());
        let running = begin();
        // It ends by the timeout of the check.
        tokio::spawn(async move {
            let entry = running.await;
            sender.send_replace(Some(Done { entry, at: Instant::now() }));
        });
        run
    }
}

/// Whether it is under way, or has ended just now.
fn is_good(run: &Run) -> bool {
    match &*run.borrow() {
        Some(done) => done.at.elapsed() < KEPT,
        // Without a sender its task is gone.
        None => run.has_changed().is_ok(),
    }
}
