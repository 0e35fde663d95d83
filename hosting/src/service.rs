use std::fmt;

use server_abstractions::{BoxError, BoxFuture};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::{ApplicationLifetime, Error};

/// Work that starts before the server and stops after it: queues, timers, caches.
///
/// Services are started in the order of their registration, each one when the one before has started, and stopped in
/// the reverse order. For a task that simply runs there is [`background`].
#[doc(alias = "IHostedService")]
pub trait HostedService: Send {
    /// The name, for events.
    fn name(&self) -> &str {
        std::any::type_name::<Self>()
    }

    /// Starts. The application does not start before this is done.
    ///
    /// # Errors
    /// An error ends the start of the application.
    fn start<'a>(&'a mut self, lifetime: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>>;

    /// Stops. At the deadline of the application's stop the future is dropped; when that has passed, it has a second, and all
    /// services together have five.
    ///
    /// # Errors
    /// An error is reported; the others are stopped all the same.
    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>>;
}

/// A service from an async function that runs until its token fires.
///
/// When the function fails, the application stops, and [`Host::run`](crate::Host::run) ends with the error. When it is still running at the deadline of the stop, or a second
/// after its token has fired later than that, it is dropped.
///
/// ```
/// use std::time::Duration;
/// let service = hosting::background("clock", async |stopping| {
///     while stopping.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
///         println!("tick");
///     }
///     Ok(())
/// });
/// # let _ = service;
/// ```
pub fn background<F, Fut>(name: impl Into<String>, run: F) -> BackgroundService<F>
where
    F: FnOnce(CancellationToken) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    BackgroundService { name: name.into(), run: Some(run), task: None }
}

/// The service of [`background`].
pub struct BackgroundService<F> {
    name: String,
    run: Option<F>,
    task: Option<Task>,
}

struct Task {
    stopping: CancellationToken,
    handle: AbortOnDropHandle<()>,
}

impl<F, Fut> HostedService for BackgroundService<F>
where
    F: FnOnce(CancellationToken) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn start<'a>(&'a mut self, lifetime: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        if let Some(run) = self.run.take() {
            let stopping = lifetime.stopping().child_token();
            let (name, lifetime, token) = (self.name.clone(), lifetime.clone(), stopping.clone());
            let handle = tokio::spawn(async move {
                // A task of its own, so that a panic is seen as a failure.
                let task = AbortOnDropHandle::new(tokio::spawn(run(token)));
                let result = task.await.map_err(BoxError::from).flatten();
                if let Err(error) = result {
                    tracing::error!(
                        service = name,
                        error,
                        "a background service failed; the application stops"
                    );
                    let message = format!("the service '{name}' failed");
                    lifetime.fail(Error::new(message).with_source(error));
                }
            });
            self.task = Some(Task { stopping, handle: AbortOnDropHandle::new(handle) });
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            if let Some(task) = &mut self.task {
                task.stopping.cancel();
                (&mut task.handle).await?;
            }
            Ok(())
        })
    }
}

impl<F> fmt::Debug for BackgroundService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundService").field("name", &self.name).finish_non_exhaustive()
    }
}
