//! The module as a whole.

use std::sync::Arc;

use hosting::Threads;
use hosting::server_kestrel::Kestrel;
use hosting::{
    ApplicationLifetime, BoxError, BoxFuture, CancellationToken, Host, HostOptions, HostedService,
};

use crate::application::{Application, Kept};
use crate::control::Control;
use crate::front::Front;
use crate::status::Managed;
use crate::{HostingModel, ModuleOptions};

/// How much longer than its applications the module may take to stop.
const MARGIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Serves the applications until a signal comes: Ctrl+C, SIGTERM or SIGQUIT.
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
    let applications: Vec<_> = options
        .applications
        .iter()
        .map(|application| {
            let is_behind = application.settings.hosting_model == HostingModel::OutOfProcess;
            is_behind.then(|| Application::new(application.clone(), https_port))
        })
        .collect();
    let slowest = options.applications.iter().map(|application| application.settings.shutdown_time_limit);
    let shutdown_timeout = slowest.max().unwrap_or_default() + MARGIN;
    let kept: Vec<_> = applications.iter().flatten().cloned().collect();
    let managed =
        kept.iter().cloned().map(|application| Arc::new(Kept(application)) as Arc<dyn Managed>).collect();
    let front = Front::new(&options, applications)?;
    let mut kestrel = options.kestrel;
    // What the module does itself for a request never blocks.
    kestrel.threads = Threads::PerCore(None);
    // The application says itself what it is.
    kestrel.add_server_header = false;
    let mut host = Host::new(Kestrel::new(kestrel), move |request| front.clone().answer(request))
        .options(HostOptions { shutdown_timeout, ..HostOptions::default() });
    if let Some(path) = options.control_socket {
        host = host.service(Control::new(path, managed));
    }
    host.service(Applications { kept, stopping: CancellationToken::new() }).run().await?;
    Ok(())
}

fn https_port(endpoint: &hosting::Endpoint) -> Option<u16> {
    let address = endpoint.address()?;
    address.is_https().then(|| address.port()).flatten()
}

/// The applications as a service beside the server: they are ended after it.
struct Applications {
    kept: Vec<Arc<Application>>,
    stopping: CancellationToken,
}

impl HostedService for Applications {
    fn name(&self) -> &'static str {
        "applications"
    }

    fn start<'a>(&'a mut self, _: &'a ApplicationLifetime) -> BoxFuture<'a, Result<(), BoxError>> {
        for application in &self.kept {
            tokio::spawn(Arc::clone(application).keep(self.stopping.clone()));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn stop(&mut self) -> BoxFuture<'_, Result<(), BoxError>> {
        self.stopping.cancel();
        Box::pin(async {
            let kept: Vec<_> = self.kept.iter().cloned().map(Kept).collect();
            futures_util::future::join_all(kept.iter().map(Managed::stop)).await;
            Ok(())
        })
    }
}
