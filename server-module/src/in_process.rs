//! The in-process model: the application is the worker process and serves the module's own sockets.

mod failures;
mod life;
mod listening;
mod looks;
mod notify;
mod offline;
mod program;
mod queue;
mod supervisor;
mod view;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use hosting::{Address, ApplicationLifetime, BoxError, BoxFuture, HostedService, StartError};
use tokio::sync::{mpsc, oneshot};

use self::listening::Listening;
use self::program::Program;
use self::supervisor::Supervisor;
use self::view::View;
use crate::status::Managed;
use crate::{ApplicationOptions, ApplicationStatus, ModuleOptions, SettingsError};

/// An application in process. The module binds its endpoints and waits for the first connection, without accepting it. Then
/// it starts the worker, which inherits the sockets (`LISTEN_FDS`) and serves them itself, with TLS and all: no request
/// passes through the module. Clones are the same application.
///
/// * **A worker that ends by itself** is started again at once. The sockets stay open meanwhile, so clients wait. One that
///   has ended with the code 0, after it was ready, is started by the next connection.
/// * **Failures** are counted in a minute that begins with the first of them; above `rapidFailsPerMinute` nothing is started
///   until it is over. Clients wait in the queues of the sockets for that time, up to what their `Backlog` holds.
/// * **Ready** is a worker when it says `READY=1` to the socket in `NOTIFY_SOCKET`, as everything under `hosting` does; only
///   the worker itself is heard, no process that it has started. A program that has never said so is taken for ready when
///   it is the only one and the connection that has waited is taken, else when it has lived for a second. Once one of its
///   workers has said so, the others are waited for. A worker that is
///   not ready within `startupTimeLimit` is ended, which is a failure.
/// * **[Recycling](Self::recycle)** starts the new worker first, and tells the old one to end when the new one is ready. With
///   `shutdownTimeLimit` of two seconds and more the old one ends gently: it takes no new connections, and each of its
///   own ends with its next answer, for five seconds or half of the limit. What is left at the limit is ended.
/// * **How the endpoints are served** the worker is told by the variable `ASPNETCORE_MODULE_ENDPOINTS`, which `hosting`
///   reads: endpoints, certificates and limits as they stand in the section `Module`, passwords among them. They stand in
///   the place of addresses of its own. The limit of bodies is `MaxAllowedContentLength`. A program without `hosting` serves
///   sockets of the protocol of systemd as it likes.
///
/// What a worker prints goes where that of the module goes, unless `StdoutLogEnabled` has it written to a file. The file
/// `app_offline.htm` has no effect, which is a warning.
///
/// All processes of a worker end with it, and with the module, however that ends.
#[derive(Clone)]
pub struct InProcess {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    addresses: Vec<Address>,
    view: Arc<Mutex<View>>,
    commands: mpsc::Sender<Command>,
    /// Until it is started.
    supervisor: Mutex<Option<Supervisor>>,
}

/// What the supervisor is told.
#[derive(Debug)]
enum Command {
    Recycle(oneshot::Sender<Result<(), String>>),
    Stop(oneshot::Sender<()>),
}

/// How many commands may wait to be heard.
const COMMANDS: usize = 16;

/// Reads the options of the application anew.
type Refresh = Arc<dyn Fn() -> Result<ApplicationOptions, SettingsError> + Send + Sync>;

impl InProcess {
    /// Binds the endpoints of an application of the module.
    ///
    /// # Errors
    /// An endpoint cannot be listened on, or the user or the group of the application is not known.
    pub fn bind(module: &ModuleOptions, application: &ApplicationOptions) -> Result<Self, StartError> {
        let bound = Listening::bind(module, application)?;
        let addresses = bound.addresses().cloned().collect();
        let sockets = Arc::new(bound.descriptors()?);
        let program = Program::new(application.clone(), &module.given, sockets).map_err(|error| {
            StartError::configuration(format!("the application {} cannot be started", application.name))
                .with_source(error)
        })?;
        let view = Arc::new(Mutex::new(View::new(program.startup_limit())));
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let supervisor = Supervisor::new(program, module.given.clone(), bound, receiver, Arc::clone(&view));
        let supervisor = Mutex::new(Some(supervisor));
        let inner = Inner { name: application.name.clone(), addresses, view, commands, supervisor };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Reads the options anew before each recycling that is asked for or follows a change of a file. Endpoints stay as they are.
    /// If that fails, the recycling does.
    #[must_use]
    pub fn refresh_by(
        self,
        read: impl Fn() -> Result<ApplicationOptions, SettingsError> + Send + Sync + 'static,
    ) -> Self {
        if let Some(supervisor) = &mut *self.supervisor() {
            supervisor.refresh_by(Arc::new(read));
        }
        self
    }

    /// Waits for connections from now on, in a task of its own. More than once is the same as once.
    ///
    /// # Panics
    /// Outside of a runtime of tokio.
    pub fn start(&self) {
        if let Some(supervisor) = self.supervisor().take() {
            tokio::spawn(supervisor.run());
        }
    }

    fn supervisor(&self) -> std::sync::MutexGuard<'_, Option<Supervisor>> {
        self.inner.supervisor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is reached.
    pub fn addresses(&self) -> &[Address] {
        &self.inner.addresses
    }

    /// How it is.
    pub fn status(&self) -> ApplicationStatus {
        let view = self.inner.view.lock().unwrap_or_else(PoisonError::into_inner).clone();
        view.status(&self.inner.name)
    }

    /// Replaces its workers by new ones, one after the other; done when the last new one is ready, for each of which it is
    /// waited for `startupTimeLimit`. Without workers nothing is started, unless it has failed too often: then it is started
    /// again.
    ///
    /// # Errors
    /// A new worker did not become ready, so that the old one stays, if there is one; or the options cannot be read; or it is
    /// stopped.
    ///
    /// # Cancel safety
    /// The recycling goes on when the future is dropped.
    pub async fn recycle(&self) -> Result<(), String> {
        if self.supervisor().is_some() {
            return Ok(());
        }
        let (reply, done) = oneshot::channel();
        let stopped = || format!("the application {} is stopped", self.inner.name);
        self.inner.commands.send(Command::Recycle(reply)).await.map_err(|_| stopped())?;
        done.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Closes the sockets and ends the workers: politely first, at `shutdownTimeLimit` at once. Done when nothing of them is
    /// left.
    ///
    /// # Cancel safety
    /// The stop goes on when the future is dropped.
    pub async fn stop(&self) {
        // One that was never started closes its sockets by being dropped.
        if self.supervisor().take().is_some() {
            return;
        }
        let (reply, done) = oneshot::channel();
        if self.inner.commands.send(Command::Stop(reply)).await.is_ok() {
            let _ = done.await;
        }
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl Managed for InProcess {
    fn status(&self) -> ApplicationStatus {
        Self::status(self)
    }

    fn recycle(&self) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(Self::recycle(self))
    }

    fn stop(&self) -> BoxFuture<'_, ()> {
        Box::pin(Self::stop(self))
    }
}

/// Its start arms it; its stop ends the workers.
impl HostedService for InProcess {
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn start<'a>(&'a mut self, _: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        Self::start(self);
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        Box::pin(async {
            Self::stop(self).await;
            Ok(())
        })
    }
}
