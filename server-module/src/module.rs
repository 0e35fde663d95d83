//! The module as a whole.

use std::sync::Arc;
use std::time::Duration;

use hosting::server_kestrel::Kestrel;
use hosting::{
    ApplicationLifetime, BoxError, BoxFuture, CancellationToken, Endpoint, Host, HostOptions, HostedService,
    Threads,
};

use crate::application::{Application, Kept};
use crate::control::Control;
use crate::front::Front;
use crate::sockets_only::SocketsOnly;
use crate::status::Managed;
use crate::{HostingModel, InProcess, ModuleOptions};

/// How much longer than its applications the module may take to stop.
const MARGIN: Duration = Duration::from_secs(10);

/// Serves the applications until a signal comes: Ctrl+C, SIGTERM or SIGQUIT; or the command to stop.
///
/// # Errors
/// An endpoint cannot be listened on, or two applications have a host and a path in common.
///
/// # Cancel safety
/// Dropping the future ends the processes of the applications.
pub async fn run(options: ModuleOptions) -> Result<(), BoxError> {
    options.log_levels.clone().install();
    for note in &options.notes {
        tracing::info!("{note}");
    }
    let https_port = options.kestrel.endpoints.iter().find_map(https_port);
    let mut in_process = Vec::new();
    let mut applications = Vec::new();
    for application in &options.applications {
        match application.settings.hosting_model {
            HostingModel::OutOfProcess => {
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
    let managed =
        managed.chain(in_process.iter().cloned().map(|application| Arc::new(application) as _)).collect();
    let mut host = host(&options, applications, &in_process)?;
    if let Some(path) = options.control_socket {
        host = host.service(Control::new(path, managed));
    }
    for application in in_process {
        host = host.service(application);
    }
    host.service(Applications { behind, stopping: CancellationToken::new() }).run().await?;
    Ok(())
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
    Ok(Host::new(Kestrel::new(kestrel), app).options(host_options))
}

fn https_port(endpoint: &Endpoint) -> Option<u16> {
    let address = endpoint.address()?;
    address.is_https().then(|| address.port()).flatten()
}

/// The applications out of process as a service beside the server: they are ended after it.
struct Applications {
    behind: Vec<Arc<Application>>,
    stopping: CancellationToken,
}

impl HostedService for Applications {
    fn name(&self) -> &'static str {
        "applications"
    }

    fn start<'a>(&'a mut self, _: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        for application in &self.behind {
            tokio::spawn(Arc::clone(application).keep(self.stopping.clone()));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        self.stopping.cancel();
        Box::pin(async {
            let kept: Vec<_> = self.behind.iter().cloned().map(Kept).collect();
            futures_util::future::join_all(kept.iter().map(Managed::stop)).await;
            Ok(())
        })
    }
}
