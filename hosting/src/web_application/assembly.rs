//! How the parts of an application are put together.

use std::sync::Arc;

use server_abstractions::{Address, App, ConnectionObserver, Server};
use server_kestrel::{Kestrel, KestrelOptions};
use tokio::sync::watch;

use super::{WebApplication, WebApplicationBuilder};
use crate::access_log::HostedAccessLog;
use crate::diagnostics::HostedDiagnostics;
use crate::health::section as health_section;
use crate::kestrel_source::{Finish, KestrelSource};
use crate::metrics_section::HostedMetrics;
use crate::reload::{reading, watching};
use crate::startup::{Startup, host_options};
use crate::traces::hosted::HostedTraces;
use crate::{
    ApplicationBuilder, Error, Host, RequestTraceLayer, certificates, connect_info, logging, misspelt, proxy,
    start_keys,
};

impl WebApplicationBuilder {
    /// `finish` has the last word on the options of Kestrel.
    pub(super) fn assemble(self, app: App, finish: Finish) -> Result<WebApplication, Error> {
        let Self { server, kestrel, observers, pipeline, mut services, lifetime, .. } = self;
        let mut startup = self.startup?;
        let mut host = host_options(&startup.configuration, &startup.environment, &mut startup.messages)?;
        if let Some(urls) = self.urls {
            host.urls = Address::parse_list(&urls)
                .map_err(|error| Error::new("the urls of the code cannot be used").with_source(error))?;
        }
        self.host.into_iter().for_each(|change| change(&mut host));
        let operations = Operations::configured(&mut startup, self.traces)?;
        let server = match server {
            Some(_)
                if !(kestrel.is_empty() && observers.is_empty())
                    || startup.configuration.section("Kestrel").exists() =>
            {
                return Err(Error::new(
                    "the application has a server of its own, which the options, the observers and the section of Kestrel do not reach; remove them",
                ));
            }
            Some(server) => {
                operations.diagnostics.tell(server.features(), None, &startup);
                server
            }
            None => {
                let mut code = KestrelOptions::default();
                kestrel.into_iter().for_each(|change| change(&mut code));
                let source = KestrelSource::new(code, &startup, &host, finish);
                let (server, options) = operations.kestrel(source, observers, &mut startup)?;
                services.insert(0, Box::new(certificates::watching(options)));
                server
            }
        };
        let log_levels = logging::configured(&startup.configuration)?;
        startup.messages.extend(misspelt::warnings(&startup.configuration));
        misspelt::watch(&startup.monitor);
        start_keys::watch(&startup.monitor);
        if startup.reloads_on_change()? {
            services.insert(0, Box::new(watching(startup.monitor.clone())));
        }
        let builder = ApplicationBuilder::new().with_server_features(server.features().clone());
        let app = operations.access_log.note(connect_info::add(app));
        let app = pipeline.into_iter().fold(builder, |builder, steps| steps(builder)).build(app);
        let app = operations.traces.trace(app);
        let app = health_section::surround(app, &startup, self.health, &lifetime)?;
        let app = operations.surround(proxy::surround(app, &mut startup, &lifetime)?);
        services.splice(0..0, operations.access_log.service());
        let host =
            Host::new(server, app).options(host).with_parts(services, lifetime, reading(&startup.monitor));
        Ok(WebApplication { host, startup, log_levels })
    }
}

/// What tells operators what the application does.
struct Operations {
    access_log: HostedAccessLog,
    diagnostics: HostedDiagnostics,
    metrics: HostedMetrics,
    traces: HostedTraces,
}

impl Operations {
    fn configured(startup: &mut Startup, traces: Option<RequestTraceLayer>) -> Result<Self, Error> {
        Ok(Self {
            diagnostics: HostedDiagnostics::configured(startup)?,
            access_log: HostedAccessLog::configured(startup)?,
            metrics: HostedMetrics::configured(&startup.configuration)?,
            traces: HostedTraces::configured(&startup.configuration, traces)?,
        })
    }

    /// Kestrel with those that watch its connections.
    fn kestrel(
        &self,
        source: KestrelSource,
        observers: Vec<Arc<dyn ConnectionObserver>>,
        startup: &mut Startup,
    ) -> Result<(Box<dyn Server>, watch::Receiver<KestrelOptions>), Error> {
        let options = source.follow(&startup.monitor, &mut startup.messages)?;
        let kestrel = self.diagnostics.watch(Kestrel::reloading(options.clone()), &options, startup);
        let observers =
            observers.into_iter().chain(self.access_log.observer()).chain(self.metrics.observer());
        Ok((Box::new(observers.fold(kestrel, Kestrel::observer)), options))
    }

    /// Around all that may change a request or answer it. The page of diagnostics has ids and lines in the log like the rest.
    fn surround(&self, app: App) -> App {
        let app = self.diagnostics.surround(self.metrics.surround(app));
        self.access_log.surround(self.traces.identify(app))
    }
}
