use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use server_abstractions::{BoxError, BoxFuture};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::HealthStatus;
use super::report::Entry;
use super::rounds::{Done, LastRun};
use crate::Error;

/// Named questions whose answers say whether the application is well.
///
/// ```
/// use std::time::Duration;
///
/// use hosting::{HealthCheckOptions, HealthChecks, HealthStatus};
///
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// let checks = HealthChecks::new()
///     // Without its database the application is not ready.
///     .check("database", async || Ok(ping().await?))
///     // Without its cache it is slow, and ready.
///     .check_with(
///         "cache",
///         HealthCheckOptions {
///             failure_status: HealthStatus::Degraded,
///             timeout: Some(Duration::from_millis(500)),
///             ..HealthCheckOptions::default()
///         },
///         async || Err("not reachable".into()),
///     );
/// # let _ = checks;
/// ```
///
/// All checks of a probe run side by side, each in a task of its own. Who asks meanwhile waits for the same run, and who asks within a
/// second after it gets what it said, so that no number of probes, of either kind, has a check run more often. One that fails, panics or takes longer
/// than its timeout is named by an event when that begins and when it is over, and in the answer if that has
/// [details](crate::HealthOptions::details). As long as a check has not ended, it is not begun anew, also if it blocks its
/// thread.
#[doc(alias = "IHealthCheck")]
#[doc(alias = "AddHealthChecks")]
#[doc(alias = "IHealthChecksBuilder")]
#[derive(Clone, Default)]
pub struct HealthChecks {
    checks: Vec<Arc<Check>>,
}

/// What a check is for.
#[doc(alias = "HealthCheckRegistration")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheckOptions {
    /// Whether the process counts as dead when it fails, and so is started anew: for what a new start mends. Default is
    /// false.
    pub live: bool,
    /// Whether the application gets no requests when it fails. Default is true.
    pub ready: bool,
    /// How long it may take. Default is [`HealthOptions::timeout`](crate::HealthOptions::timeout).
    pub timeout: Option<Duration>,
    /// What the application is when it fails: [`Unhealthy`](HealthStatus::Unhealthy), or
    /// [`Degraded`](HealthStatus::Degraded), with which it is ready. Default is unhealthy.
    #[doc(alias = "FailureStatus")]
    pub failure_status: HealthStatus,
}

impl Default for HealthCheckOptions {
    fn default() -> Self {
        Self { live: false, ready: true, timeout: None, failure_status: HealthStatus::Unhealthy }
    }
}

impl HealthChecks {
    /// No checks: then an application that answers is well.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check of the readiness.
    #[must_use]
    #[doc(alias = "AddCheck")]
    pub fn check<F, Fut>(self, name: impl Into<String>, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.check_with(name, HealthCheckOptions::default(), check)
    }

    /// Adds a check.
    #[must_use]
    #[doc(alias = "AddCheck")]
    pub fn check_with<F, Fut>(
        mut self,
        name: impl Into<String>,
        options: HealthCheckOptions,
        check: F,
    ) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.checks.push(Arc::new(Check {
            name: name.into(),
            options,
            run: Box::new(move || Box::pin(check())),
            last: LastRun::default(),
            running: Arc::default(),
            has_failed: AtomicBool::new(false),
        }));
        self
    }

    /// Whether a layer can be made of them.
    pub(super) fn verify(&self) -> Result<(), Error> {
        let refused = |check: &Check, reason| {
            Err(Error::new(format!("the health check {:?} cannot be used: {reason}", check.name)))
        };
        for (number, check) in self.checks.iter().enumerate() {
            let options = &check.options;
            if self.checks[..number].iter().any(|other| other.name == check.name) {
                return refused(check, "there is another one of this name");
            }
            if !options.live && !options.ready {
                return refused(check, "it is for no probe; set `live` or `ready`");
            }
            if options.timeout.is_some_and(|timeout| timeout.is_zero()) {
                return refused(check, "its timeout is no time at all");
            }
            if options.failure_status == HealthStatus::Healthy {
                return refused(check, "`failure_status` is Healthy, so that it could never fail");
            }
        }
        Ok(())
    }

    /// Those that are for a probe.
    pub(super) fn of(&self, is_wanted: impl Fn(&HealthCheckOptions) -> bool) -> Vec<Arc<Check>> {
        self.checks.iter().filter(|check| is_wanted(&check.options)).cloned().collect()
    }
}

impl fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.checks.iter().map(|check| (&check.name, &check.options))).finish()
    }
}

type Run = Box<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

pub(super) struct Check {
    name: String,
    options: HealthCheckOptions,
    run: Run,
    last: LastRun,
    /// Held by the run that is under way, whether or not somebody still waits for it.
    running: Arc<Mutex<()>>,
    /// Whether it has failed the last time.
    has_failed: AtomicBool,
}

impl Check {
    /// What it says now or has said just now; it has so long unless it has a timeout of its own.
    pub(super) fn join(self: &Arc<Self>, default_timeout: Duration) -> watch::Receiver<Option<Done>> {
        self.last.join(|| Arc::clone(self).run(default_timeout))
    }

    async fn run(self: Arc<Self>, default_timeout: Duration) -> Entry {
        let begun = Instant::now();
        let result = Arc::clone(&self).outcome(self.options.timeout.unwrap_or(default_timeout)).await;
        self.tell(result.as_ref().err());
        let status = if result.is_ok() { HealthStatus::Healthy } else { self.options.failure_status };
        Entry { name: self.name.clone(), status, took: begun.elapsed(), error: result.err() }
    }

    async fn outcome(self: Arc<Self>, limit: Duration) -> Result<(), String> {
        let Ok(running) = Arc::clone(&self.running).try_lock_owned() else {
            return Err("its last run has not ended yet".to_owned());
        };
        // A task of its own, so that a panic and a blocked thread are its alone.
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let _running = running;
            (self.run)().await
        }));
        match timeout(limit, task).await {
            Ok(Ok(result)) => result.map_err(|error| with_causes(&*error)),
            Ok(Err(error)) => Err(match error.try_into_panic() {
                Ok(panic) => format!("it panicked: {}", panic_text(&*panic)),
                Err(error) => error.to_string(),
            }),
            Err(_) => Err(format!("it did not answer within {limit:?}")),
        }
    }

    /// An event when it begins to fail, and when it is well again.
    fn tell(&self, error: Option<&String>) {
        let had_failed = self.has_failed.swap(error.is_some(), Ordering::AcqRel);
        match error {
            Some(error) if !had_failed => tracing::warn!(
                check = self.name,
                error,
                status = self.options.failure_status.as_str(),
                "a health check fails"
            ),
            None if had_failed => tracing::info!(check = self.name, "a health check is well again"),
            _ => {}
        }
    }
}

/// The longest text of an error that is shown.
const LONGEST_ERROR: usize = 1000;

fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause.filter(|_| text.len() < LONGEST_ERROR) {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    if let Some((end, _)) = text.char_indices().nth(LONGEST_ERROR) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a text")
}
