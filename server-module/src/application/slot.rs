//! A place for one process of an application.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::time::Instant;

use super::Application;
use crate::backend::{Backend, start};
use crate::status::WorkerStatus;

/// Why there is no process.
#[derive(Clone, Debug)]
pub(super) enum Unavailable {
    /// The application is about to end.
    Stopping,
    /// It could not be started; with the reason.
    Failed(Arc<str>),
}

pub(super) type Outcome = Result<Arc<Backend>, Unavailable>;
type Outcomes = watch::Receiver<Option<Outcome>>;

/// A place, and who is in it.
#[derive(Debug, Default)]
pub(super) struct Slot {
    place: Mutex<Place>,
    starts: AtomicU64,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Empty,
    /// Whoever comes meanwhile waits for the outcome.
    Starting(Outcomes),
    Ready(Arc<Backend>),
}

impl Slot {
    /// The process, which is started if there is none. The start goes on if nobody waits for it any more.
    pub(super) async fn backend(&self, application: &Arc<Application>, number: usize) -> Outcome {
        let outcome = match &mut *self.place() {
            Place::Ready(backend) if !backend.is_over() => return Ok(Arc::clone(backend)),
            Place::Starting(outcome) => outcome.clone(),
            place => {
                application.may_start()?;
                let (sender, outcome) = watch::channel(None);
                *place = Place::Starting(outcome.clone());
                application.runtime.spawn(fill(Arc::clone(application), number, sender, outcome.clone()));
                outcome
            }
        };
        known(outcome).await
    }

    /// Ends the process, if there is one.
    pub(super) async fn end(&self, application: &Application, reason: &'static str) {
        let place = std::mem::take(&mut *self.place());
        let backend = match place {
            Place::Empty => return,
            Place::Ready(backend) => backend,
            Place::Starting(outcome) => match known(outcome).await {
                Ok(backend) => backend,
                Err(_) => return,
            },
        };
        end(application, &backend, reason).await;
    }

    /// Puts a new process in the place of the one that is there, and ends that.
    pub(super) async fn replace(
        &self,
        application: &Arc<Application>,
        number: usize,
        reason: &'static str,
    ) -> Result<(), String> {
        let old = match &*self.place() {
            Place::Ready(old) if !old.is_over() => Arc::clone(old),
            _ => return Ok(()),
        };
        let new =
            new_backend(application, number, &self.starts).await.map_err(|reason| reason.to_string())?;
        let before = std::mem::replace(&mut *self.place(), Place::Ready(new));
        if let Place::Ready(before) = before
            && !Arc::ptr_eq(&before, &old)
        {
            end(application, &before, reason).await;
        }
        end(application, &old, reason).await;
        Ok(())
    }

    /// Empties the place if it has this process.
    fn leave(&self, backend: &Arc<Backend>) {
        let mut place = self.place();
        if matches!(&*place, Place::Ready(present) if Arc::ptr_eq(present, backend)) {
            *place = Place::Empty;
        }
    }

    pub(super) fn ready(&self) -> Option<Arc<Backend>> {
        match &*self.place() {
            Place::Ready(backend) => Some(Arc::clone(backend)),
            _ => None,
        }
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(*self.place(), Place::Starting(_))
    }

    pub(super) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self) -> Option<WorkerStatus> {
        self.ready().map(|backend| backend.status())
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn known(mut outcome: Outcomes) -> Outcome {
    let known = outcome.wait_for(Option::is_some).await;
    known.ok().and_then(|known| (*known).clone()).unwrap_or(Err(Unavailable::Stopping))
}

/// Starts a process for a place, and tells whoever waits. If somebody has emptied the place meanwhile, it is his to end it.
async fn fill(
    application: Arc<Application>,
    number: usize,
    sender: watch::Sender<Option<Outcome>>,
    own: Outcomes,
) {
    let slot = &application.slots[number];
    let outcome = new_backend(&application, number, &slot.starts).await.map_err(Unavailable::Failed);
    {
        let mut place = slot.place();
        if matches!(&*place, Place::Starting(current) if current.same_channel(&own)) {
            *place = match &outcome {
                Ok(backend) => Place::Ready(Arc::clone(backend)),
                Err(_) => Place::Empty,
            };
        }
    }
    sender.send_replace(Some(outcome));
}

/// Starts a process and watches it from then on.
async fn new_backend(
    application: &Arc<Application>,
    number: usize,
    starts: &AtomicU64,
) -> Result<Arc<Backend>, Arc<str>> {
    let name = &application.options.name;
    let begun = Instant::now();
    match start(&application.launch(), application.https_port).await {
        Ok(backend) => {
            starts.fetch_add(1, Ordering::Relaxed);
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
        Err(failure) => {
            application.failures.add();
            let reason: Arc<str> = failure.to_string().into();
            application.note_exit(format!("not started: {reason}"));
            tracing::error!(application = name, %reason, "the application could not be started");
            Err(reason)
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

async fn end(application: &Application, backend: &Backend, reason: &'static str) {
    let options = &application.options;
    tracing::info!(application = options.name, pid = backend.pid(), reason, "a process is told to end");
    let exit = backend.stop(options.path_prefix.as_str(), options.settings.shutdown_time_limit).await;
    application.note_exit(format!("{exit}, {reason}"));
    tracing::info!(application = options.name, pid = backend.pid(), %exit, "a process has ended");
}
