//! An application out of process: its processes, started when there is a request for them.

mod failures;
mod keep;
mod offline;
mod processes;
mod slot;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use hosting::server_abstractions::HttpMaxRequestBodySizeFeature;
use hosting::{Body, BoxFuture, Request, RequestFeatures, Response};

use crate::forward::{Exchange, no_connection};
use crate::status::{ApplicationState, ApplicationStatus, Managed};
use crate::{ApplicationOptions, SettingsError, pages};

use failures::Failures;
use offline::Offline;
use processes::Processes;
use slot::{Slot, Unavailable};

/// Why processes end when the module does.
const STOP: &str = "the module stops";

/// Reads the options anew.
pub(crate) type Again = Box<dyn Fn() -> Result<ApplicationOptions, SettingsError> + Send + Sync>;

/// An application and its processes.
pub(crate) struct Application {
    /// What holds for requests and for the application as a whole, as long as the module runs.
    options: ApplicationOptions,
    /// What new processes are started with.
    launch: Mutex<Arc<ApplicationOptions>>,
    again: Option<Again>,
    /// The port at which clients reach the module over https.
    https_port: Option<u16>,
    /// Where processes are started and watched, whatever becomes of the thread that a request came on.
    runtime: Handle,
    /// Starts and replacements that are under way.
    under_way: TaskTracker,
    slots: Box<[Slot]>,
    /// Processes that are in none of these.
    others: Processes,
    /// Which slot has had the last request.
    next: AtomicUsize,
    failures: Failures,
    offline: Arc<Offline>,
    is_stopping: AtomicBool,
    last_exit: Mutex<Option<String>>,
}

impl Application {
    pub(crate) fn new(
        options: ApplicationOptions,
        again: Option<Again>,
        https_port: Option<u16>,
    ) -> Arc<Self> {
        let count = options.settings.processes_per_application.max(1);
        Arc::new(Self {
            slots: (0..count).map(|_| Slot::default()).collect(),
            others: Processes::default(),
            https_port,
            runtime: Handle::current(),
            under_way: TaskTracker::new(),
            next: AtomicUsize::new(0),
            failures: Failures::new(options.settings.rapid_fails_per_minute).of(&options.name),
            offline: Arc::new(Offline::new(&options)),
            is_stopping: AtomicBool::new(false),
            last_exit: Mutex::default(),
            launch: Mutex::new(Arc::new(options.clone())),
            again,
            options,
        })
    }

    /// Answers a request, and starts a process for it if there is none. What is rare is boxed, for the same reason as in
    /// [`Front::answer`](crate::front::Front::answer).
    pub(crate) async fn answer(self: Arc<Self>, request: &mut Request<Body>) -> Response<Body> {
        if !request.body().is_at_hand()
            && let Some(limit) = request.features().get::<dyn HttpMaxRequestBodySizeFeature>()
        {
            // Nobody has read the body, so the limit can be set.
            let _ = limit.set_max_request_body_size(Some(self.options.max_allowed_content_length.into()));
        }
        // A process may end between the look at it and the request to it; another one is started then.
        let mut failure = None;
        for _ in 0..3 {
            if let Some(page) = self.offline.page() {
                return pages::offline(page);
            }
            let slot = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
            let backend = match self.slots[slot].running() {
                Some(backend) => Ok(backend),
                None => Box::pin(self.slots[slot].backend(&self, slot)).await,
            };
            let backend = match backend {
                Ok(backend) => backend,
                Err(Unavailable::Stopping) => return pages::stopping(),
                Err(Unavailable::GivenUp) => continue,
                Err(Unavailable::Failed(reason)) => return self.start_failure(&reason),
            };
            let Some(in_flight) = backend.enter() else { continue };
            match backend.connection().await {
                Ok(upstream) => {
                    return Exchange { backend, in_flight }.run(&self.options, upstream, request).await;
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or_else(pages::stopping, |error| no_connection(&self.options, &error))
    }

    fn start_failure(&self, reason: &str) -> Response<Body> {
        if self.options.settings.disable_start_up_error_page {
            return pages::bad_gateway();
        }
        pages::start_failure(self.shows_details().then_some(reason))
    }

    /// Whether whoever asks is a developer.
    fn shows_details(&self) -> bool {
        let variables = &self.options.settings.environment_variables;
        let value = |name: &str| {
            std::env::var(name).ok().or_else(|| crate::command::lookup(variables, name).map(str::to_owned))
        };
        let is_on = |value: String| value == "1" || value.eq_ignore_ascii_case("true");
        let is_development = |value: String| value.eq_ignore_ascii_case("Development");
        value("ASPNETCORE_DETAILEDERRORS").is_some_and(is_on)
            || ["ASPNETCORE_ENVIRONMENT", "DOTNET_ENVIRONMENT"]
                .into_iter()
                .filter_map(value)
                .any(is_development)
    }

    /// What a new process is started with.
    fn launch(&self) -> Arc<ApplicationOptions> {
        Arc::clone(&self.launch.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the options again for the processes that are started from now on.
    fn refresh(&self) -> Result<(), String> {
        let Some(again) = &self.again else { return Ok(()) };
        let options = again().map_err(|error| format!("its settings cannot be used: {error}"))?;
        *self.launch.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(options);
        Ok(())
    }

    /// Whether a process may be started.
    fn may_start(&self) -> Result<(), Unavailable> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(Unavailable::Stopping);
        }
        if self.failures.are_too_many() {
            let limit = self.options.settings.rapid_fails_per_minute;
            tracing::debug!(
                application = self.options.name,
                limit,
                "nothing is started: it has failed too often"
            );
            let reason = format!(
                "it has failed more than {limit} times within a minute (rapidFailsPerMinute) and is not started until that is over"
            );
            return Err(Unavailable::Failed(reason.into()));
        }
        Ok(())
    }

    /// Runs whatever becomes of whoever has asked for it; a stop waits for it.
    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.under_way.spawn_on(future, &self.runtime)
    }

    /// Starts no process from now on, and gives up the starts that are under way. Processes that are there go on.
    pub(crate) fn start_no_more(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.slots.iter().for_each(Slot::give_up_starts);
    }

    /// Has all processes end. [`Managed::stop`] waits for that.
    pub(crate) fn begin_stop(self: &Arc<Self>) {
        let application = Arc::clone(self);
        self.spawn(async move { application.end_all(STOP).await });
    }

    /// Replaces all processes by new ones, with settings that are read anew, and forgets what has failed before.
    async fn recycle(self: Arc<Self>) -> Result<(), String> {
        let application = Arc::clone(&self);
        let refreshed = tokio::task::spawn_blocking(move || application.refresh()).await;
        refreshed.map_err(|error| error.to_string())??;
        // Whoever asks for it has changed something.
        self.failures.forget();
        for (number, slot) in self.slots.iter().enumerate() {
            slot.replace(&self, number, "recycled").await?;
        }
        Ok(())
    }

    async fn end_all(&self, reason: &'static str) {
        let ends = self.slots.iter().map(|slot| slot.end(self, reason));
        futures_util::future::join_all(ends).await;
    }

    fn note_exit(&self, exit: String) {
        *self.last_exit.lock().unwrap_or_else(PoisonError::into_inner) = Some(exit);
    }

    fn state(&self) -> ApplicationState {
        if self.is_stopping.load(Ordering::Acquire) {
            ApplicationState::Stopping
        } else if self.offline.is_on() {
            ApplicationState::Offline
        } else if self.slots.iter().any(|slot| slot.ready().is_some()) {
            ApplicationState::Running
        } else if self.slots.iter().any(Slot::is_starting) {
            ApplicationState::Starting
        } else if self.failures.are_too_many() {
            ApplicationState::Disabled
        } else {
            ApplicationState::Idle
        }
    }
}

/// An application as the module keeps it.
pub(crate) struct Kept(pub(crate) Arc<Application>);

impl Managed for Kept {
    fn status(&self) -> ApplicationStatus {
        let application = &self.0;
        let slots = &application.slots;
        ApplicationStatus {
            name: application.options.name.clone(),
            hosting_model: "outOfProcess",
            state: application.state(),
            workers: slots.iter().filter_map(Slot::status).chain(application.others.status()).collect(),
            starts: slots.iter().map(Slot::starts).sum(),
            failures: application.failures.total(),
            startup_time_limit: application.launch().settings.startup_time_limit,
            last_exit: application.last_exit.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn recycle(&self) -> BoxFuture<'_, Result<(), String>> {
        // It goes on when nobody waits for it any more: half done, it would leave a process that nobody ends.
        let recycling = self.0.spawn(Arc::clone(&self.0).recycle());
        Box::pin(async { recycling.await.map_err(|error| error.to_string())? })
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        self.0.start_no_more();
        Box::pin(async {
            self.0.end_all(STOP).await;
            self.0.under_way.close();
            self.0.under_way.wait().await;
        })
    }
}
