//! A place for one process of an application.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Application;
use crate::backend::{Backend, StartFailure, start};
use crate::status::WorkerStatus;

mod replace;

/// Why there is no process.
#[derive(Clone, Debug)]
pub(super) enum Unavailable {
    /// The application is about to end.
    Stopping,
    /// Its start was given up. Another look tells why.
    GivenUp,
    /// It could not be started; with the reason.
    Failed(Arc<str>),
}

pub(super) type Outcome = Result<Arc<Backend>, Unavailable>;
type Outcomes = watch::Receiver<Option<Outcome>>;

/// A place, and who is in it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    state: Mutex<State>,
    /// Held by whoever replaces the process.
    replacing: tokio::sync::Mutex<()>,
    starts: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    place: Place,
    /// Gives up the starts for this place that are under way. It fires under the lock, so that whoever has started a process
    /// knows under the lock whether it is wanted.
    round: CancellationToken,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Empty,
    Starting(Start),
    Ready(Arc<Backend>),
}

/// Whoever comes meanwhile waits for the outcome.
#[derive(Debug)]
struct Start {
    outcome: Outcomes,
    /// Fires when the process is not wanted any more.
    given_up: CancellationToken,
}

impl Slot {
    /// The process, which is started if there is none. The start goes on if nobody waits for it any more.
    pub(super) async fn backend(&self, application: &Arc<Application>, number: usize) -> Outcome {
        let outcome = {
            let mut state = self.state();
            match &state.place {
                Place::Ready(backend) if !backend.is_over() => return Ok(Arc::clone(backend)),
                Place::Starting(start) => start.outcome.clone(),
                _ => {
                    application.may_start()?;
                    state.begin(application, number, None)
                }
            }
        };
        known(outcome).await
    }

    /// Ends the process, if there is one, and what is about to become one.
    pub(super) async fn end(&self, application: &Application, reason: &'static str) {
        let place = {
            let mut state = self.state();
            std::mem::take(&mut state.round).cancel();
            std::mem::take(&mut state.place)
        };
        match place {
            Place::Empty => {}
            Place::Ready(backend) => end(application, &backend, reason).await,
            // Who has started it ends it as well.
            Place::Starting(start) => drop(known(start.outcome).await),
        }
    }

    /// Gives up what is about to become a process, now and from now on.
    pub(super) fn give_up_starts(&self) {
        let mut state = self.state();
        state.round.cancel();
        if let Place::Starting(_) = state.place {
            state.place = Place::Empty;
        }
    }

    /// Empties the place if it has this process.
    fn leave(&self, backend: &Arc<Backend>) {
        let mut state = self.state();
        if state.has(backend) {
            state.place = Place::Empty;
        }
    }

    /// The process, if it can be sent something.
    pub(super) fn running(&self) -> Option<Arc<Backend>> {
        self.ready().filter(|backend| !backend.is_over())
    }

    pub(super) fn ready(&self) -> Option<Arc<Backend>> {
        match &self.state().place {
            Place::Ready(backend) => Some(Arc::clone(backend)),
            _ => None,
        }
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state().place, Place::Starting(_))
    }

    pub(super) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> Option<WorkerStatus> {
        self.ready().map(|backend| backend.status())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Has a process started, after the end of another one if that is in the way.
    fn begin(
        &mut self,
        application: &Arc<Application>,
        number: usize,
        before: Option<(Arc<Backend>, &'static str)>,
    ) -> Outcomes {
        let (sender, outcome) = watch::channel(None);
        let given_up = self.round.child_token();
        self.place = Place::Starting(Start { outcome: outcome.clone(), given_up: given_up.clone() });
        let owner = Arc::clone(application);
        application.spawn(async move {
            if let Some((before, reason)) = before {
                end(&owner, &before, reason).await;
            }
            sender.send_replace(Some(fill(&owner, number, &given_up).await));
        });
        outcome
    }

    fn has(&self, backend: &Arc<Backend>) -> bool {
        matches!(&self.place, Place::Ready(present) if Arc::ptr_eq(present, backend))
    }
}

async fn known(mut outcome: Outcomes) -> Outcome {
    let known = outcome.wait_for(Option::is_some).await;
    known.ok().and_then(|known| (*known).clone()).unwrap_or(Err(Unavailable::Stopping))
}

/// Starts a process for a place. If it is not wanted any more when it has started, it is ended here: nobody else knows it.
async fn fill(application: &Arc<Application>, number: usize, given_up: &CancellationToken) -> Outcome {
    let slot = &application.slots[number];
    let outcome = new_backend(application, number, given_up).await;
    {
        let mut state = slot.state();
        if !given_up.is_cancelled() {
            state.place = match &outcome {
                Ok(backend) => Place::Ready(Arc::clone(backend)),
                Err(_) => Place::Empty,
            };
            return outcome;
        }
    }
    if let Ok(backend) = outcome {
        end(application, &backend, NOT_WANTED).await;
    }
    Err(Unavailable::GivenUp)
}

/// Why a process is ended that has just started.
const NOT_WANTED: &str = "it is not wanted any more";

/// Starts a process and watches it from then on.
async fn new_backend(application: &Arc<Application>, number: usize, given_up: &CancellationToken) -> Outcome {
    let name = &application.options.name;
    let begun = Instant::now();
    let show = |process| application.others.starting(process);
    match start(&application.launch(), application.https_port, given_up, show).await {
        Ok(backend) => {
            application.slots[number].starts.fetch_add(1, Ordering::Relaxed);
            let milliseconds = begun.elapsed().as_millis();
            tracing::info!(
                application = name,
                pid = backend.pid(),
                port = backend.port(),
                milliseconds,
                "a process was started"
            );
            let backend = Arc::new(backend);
            application.runtime.spawn(watch_over(Arc::clone(application), number, Arc::clone(&backend)));
            Ok(backend)
        }
        Err(StartFailure::GivenUp) => {
            tracing::info!(application = name, "a start was given up");
            Err(Unavailable::GivenUp)
        }
        Err(failure) => {
            application.failures.add();
            let reason: Arc<str> = failure.to_string().into();
            application.note_exit(format!("not started: {reason}"));
            tracing::error!(application = name, %reason, "the application could not be started");
            Err(Unavailable::Failed(reason))
        }
    }
}

/// Takes note of a process that ends by itself. The next request starts another one.
async fn watch_over(application: Arc<Application>, number: usize, backend: Arc<Backend>) {
    let exit = backend.ended().await;
    if backend.is_closed() {
        return;
    }
    application.slots[number].leave(&backend);
    application.failures.add();
    application.note_exit(format!("{exit}, by itself"));
    tracing::warn!(
        application = application.options.name, pid = backend.pid(), %exit,
        "a process has ended by itself; the next request starts another one"
    );
}

async fn end(application: &Application, backend: &Arc<Backend>, reason: &'static str) {
    let options = &application.options;
    let _shown = application.others.ending(backend);
    tracing::info!(application = options.name, pid = backend.pid(), reason, "a process is told to end");
    let exit = backend.stop(options.path_prefix.as_str(), options.settings.shutdown_time_limit).await;
    application.note_exit(format!("{exit}, {reason}"));
    tracing::info!(application = options.name, pid = backend.pid(), %exit, "a process has ended");
}
