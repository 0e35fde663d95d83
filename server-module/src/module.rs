//! The module as a whole.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use hosting::server_kestrel::Kestrel;
use hosting::{
    App, ApplicationLifetime, BoxError, BoxFuture, CancellationToken, Endpoint, Host, HostOptions,
    HostedService, StartError, Threads,
};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::application::{Application, Kept};
use crate::control::{self, Control, SocketFile};
use crate::front::Front;
use crate::reload::Reload;
use crate::sockets_only::SocketsOnly;
use crate::status::Managed;
use crate::stdout;
use crate::worker::{self, Identity};
use crate::{ApplicationOptions, HostingModel, InProcess, ModuleOptions};

/// How much longer than its applications the module may take to stop.
const MARGIN: Duration = Duration::from_secs(10);

/// How long applications have to begin their stop before their processes are ended at once.
const POLITENESS: Duration = Duration::from_millis(100);
/// How long they have to take note that their processes have ended.
const MARGIN_AT_ONCE: Duration = Duration::from_millis(500);

/// Serves the applications until a signal comes: Ctrl+C, SIGTERM or SIGQUIT; or the command to stop.
/// SIGHUP recycles every application, with its settings as they are then. A second Ctrl+C ends the process at once, with exit
/// code 130, and with it all that it has started.
///
/// Events and what workers print go to the standard output by way of a queue of a mebibyte. If nobody reads there, nothing of
/// the module waits for it: what does not fit is lost, and its bytes are told once somebody reads again.
///
/// # Errors
/// An endpoint cannot be listened on, or two applications have a host and a path in common.
///
/// The process becomes one that takes over what its descendants leave behind (`PR_SET_CHILD_SUBREAPER`), and ends it when a
/// guard cannot do that any more. A process that it has started otherwise is ended then as well, if it has a session of its own.
///
/// # Cancel safety
/// Dropping the future closes the endpoints at once and begins the stop of the applications, which goes on as long as the runtime
/// does. When that ends, so do they.
pub async fn run(options: ModuleOptions) -> Result<(), BoxError> {
    options.log_levels.clone().install_into(|| stdout::Events);
    tokio::task::spawn_blocking(worker::keep_all).await?;
    let result = serve(options).await;
    // The last events are on their way in a thread of their own.
    let _ = tokio::task::spawn_blocking(stdout::flush).await;
    result
}

async fn serve(options: ModuleOptions) -> Result<(), BoxError> {
    for note in &options.notes {
        tracing::info!("{note}");
    }
    let https_port = options.kestrel.endpoints.iter().find_map(https_port);
    let mut in_process = Vec::new();
    let mut applications = Vec::new();
    for application in &options.applications {
        match application.settings.hosting_model {
            HostingModel::OutOfProcess => {
                check_identity(application)?;
                let again = options.reader_of(application).map(|read| Box::new(read) as _);
                applications.push(Some(Application::new(application.clone(), again, https_port)));
            }
            HostingModel::InProcess => {
                let bound = InProcess::bind(&options, application)?;
                in_process.push(match options.reader_of(application) {
                    Some(read) => bound.refresh_by(read),
                    None => bound,
                });
                applications.push(None);
            }
        }
    }
    let behind: Vec<_> = applications.iter().flatten().cloned().collect();
    let managed = behind.iter().cloned().map(|application| Arc::new(Kept(application)) as Arc<dyn Managed>);
    let managed: control::Applications =
        managed.chain(in_process.iter().cloned().map(|application| Arc::new(application) as _)).collect();
    #[cfg(feature = "metrics")]
    crate::metrics::report(&managed);
    let mut host = host(&options, applications, &in_process)?.service(Reload::new(managed.clone()));
    let control = options.control_socket.map(|path| Control::new(path, managed.clone()));
    let file = control.as_ref().map(Control::file);
    host = host.before_second_interrupt(move || end_at_once(&managed, file.as_ref()));
    if let Some(control) = control {
        host = host.service(control);
    }
    host.service(Applications::new(behind, in_process)).run().await?;
    Ok(())
}

/// Ends all processes and removes the files of sockets, without any politeness. It blocks, on a thread of the runtime's for that.
fn end_at_once(managed: &control::Applications, control: Option<&SocketFile>) {
    // A stop closes sockets first, and takes no end of a worker for a failure.
    let managed = Arc::clone(managed);
    let stops = async move { drop(join_all(managed.iter().map(|application| application.stop())).await) };
    let runtime = Handle::current();
    let mut stops = runtime.spawn(stops);
    let _ = runtime.block_on(async { timeout(POLITENESS, &mut stops).await });
    worker::end_all();
    let _ = runtime.block_on(async { timeout(MARGIN_AT_ONCE, stops).await });
    if let Some(control) = control {
        control.remove();
    }
    stdout::flush();
}

/// Whether its processes can belong to whom they shall.
fn check_identity(application: &ApplicationOptions) -> Result<(), StartError> {
    let identity = Identity::of_worker(application.user.as_deref(), application.group.as_deref());
    identity.map(drop).map_err(|error| {
        StartError::configuration(format!("the application {} cannot be started", application.name))
            .with_source(error)
    })
}

/// The host with the server of the applications out of process, if there are any.
fn host(
    options: &ModuleOptions,
    applications: Vec<Option<Arc<Application>>>,
    in_process: &[InProcess],
) -> Result<Host, BoxError> {
    let slowest = options.applications.iter().map(|application| application.settings.shutdown_time_limit);
    let shutdown_timeout = slowest.max().unwrap_or_default() + MARGIN;
    let host_options = HostOptions { shutdown_timeout, ..HostOptions::default() };
    let addresses: Vec<_> = in_process.iter().flat_map(InProcess::addresses).cloned().collect();
    let has_front = applications.iter().any(Option::is_some);
    let front = Front::new(options, applications)?;
    let app = move |request| front.clone().answer(request);
    if !has_front {
        return Ok(Host::new(SocketsOnly::new(addresses), app).options(host_options));
    }
    for address in addresses {
        tracing::info!("Now listening on: {address}, for an application in process");
    }
    let mut kestrel = options.kestrel.clone();
    kestrel.endpoints.retain(|endpoint| {
        let name = endpoint.name.as_deref();
        !options.applications.iter().any(|application| {
            application.settings.hosting_model == HostingModel::InProcess && application.is_at(name)
        })
    });
    // What the module does itself for a request never blocks.
    kestrel.threads = Threads::PerCore(None);
    // The application says itself what it is.
    kestrel.add_server_header = false;
    let (server, app) = (Kestrel::new(kestrel), App::new(app));
    #[cfg(feature = "metrics")]
    let (server, app) = crate::metrics::measure(server, app);
    Ok(Host::new(server, app).options(host_options))
}

fn https_port(endpoint: &Endpoint) -> Option<u16> {
    let address = endpoint.address()?;
    address.is_https().then(|| address.port()).flatten()
}

/// The applications as a service beside the server. They begin their stop when it does: a stream that is forwarded ends by the end
/// of its application's, and the server waits for that.
struct Applications {
    behind: Vec<Arc<Application>>,
    in_process: Vec<InProcess>,
    runtime: Handle,
    stopping: CancellationToken,
    /// What begins the stop.
    beginning: Option<AbortOnDropHandle<()>>,
}

impl Applications {
    fn new(behind: Vec<Arc<Application>>, in_process: Vec<InProcess>) -> Self {
        let runtime = Handle::current();
        Self { behind, in_process, runtime, stopping: CancellationToken::new(), beginning: None }
    }
}

/// Without a stop before, it begins here and goes on by itself.
impl Drop for Applications {
    fn drop(&mut self) {
        self.stopping.cancel();
        for application in &self.behind {
            application.start_no_more();
            application.begin_stop();
        }
        for application in self.in_process.drain(..) {
            self.runtime.spawn(async move { application.stop().await });
        }
    }
}

/// How long after the beginning of the stop requests may come to an application, which the server has taken before.
const TAKEN: Duration = Duration::from_millis(500);

impl HostedService for Applications {
    fn name(&self) -> &'static str {
        "applications"
    }

    fn start<'a>(&'a mut self, lifetime: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        for application in &self.behind {
            tokio::spawn(Arc::clone(application).keep_offline(self.stopping.clone()));
            tokio::spawn(Arc::clone(application).keep_fresh(self.stopping.clone()));
        }
        self.in_process.iter().for_each(InProcess::start);
        let (behind, in_process) = (self.behind.clone(), self.in_process.clone());
        let stopping = lifetime.stopping().clone();
        let beginning = tokio::spawn(async move {
            stopping.cancelled().await;
            behind.iter().for_each(|application| application.start_no_more());
            let ends = async {
                sleep(TAKEN).await;
                behind.iter().for_each(Application::begin_stop);
            };
            join(join_all(in_process.iter().map(InProcess::stop)), ends).await;
        });
        self.beginning = Some(AbortOnDropHandle::new(beginning));
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        self.stopping.cancel();
        Box::pin(async {
            let behind: Vec<_> = self.behind.iter().cloned().map(Kept).collect();
            let behind = join_all(behind.iter().map(Managed::stop));
            join(behind, join_all(self.in_process.iter().map(InProcess::stop))).await;
            Ok(())
        })
    }
}
