//! The page of a `WebApplication`.

use server_abstractions::{App, FeatureCollection};
use server_kestrel::{Kestrel, KestrelOptions};
use tokio::sync::watch;
use tower_layer::Layer;
use tracing::Level;

use super::facts::Facts;
use super::{Diagnostics, section};
use crate::Error;
use crate::startup::Startup;

/// The page that the configuration asks for, if it does.
pub(crate) struct HostedDiagnostics(Option<Diagnostics>);

impl HostedDiagnostics {
    pub(crate) fn configured(startup: &mut Startup) -> Result<Self, Error> {
        let Some(options) = section::options(&startup.configuration, &startup.environment)? else {
            return Ok(Self(None));
        };
        let path = &options.path;
        if options.allow_remote {
            let message = format!(
                "Diagnostics:AllowRemote is true: everyone who can reach the application sees its connections, requests and configuration keys at {path}"
            );
            startup.messages.push((Level::WARN, message));
        }
        Ok(Self(Some(Diagnostics::new(options)?)))
    }

    /// Has the page told of the server's connections and options.
    pub(crate) fn watch(
        &self,
        server: Kestrel,
        options: &watch::Receiver<KestrelOptions>,
        startup: &Startup,
    ) -> Kestrel {
        let Some(diagnostics) = &self.0 else { return server };
        self.tell(server_abstractions::Server::features(&server), Some(options.clone()), startup);
        server.observer(diagnostics.observer())
    }

    /// Has it told of a server of the application's own.
    pub(crate) fn tell(
        &self,
        server: &FeatureCollection,
        options: Option<watch::Receiver<KestrelOptions>>,
        startup: &Startup,
    ) {
        let Some(diagnostics) = &self.0 else { return };
        let facts = Facts {
            environment: startup.environment.clone(),
            monitor: startup.monitor.clone(),
            options,
            server: server.clone(),
        };
        // An application is assembled once.
        let _ = diagnostics.0.facts.set(facts);
    }

    /// Around all that changes what is known of the client, inside of the log and the ids of requests.
    pub(crate) fn surround(&self, app: App) -> App {
        match &self.0 {
            Some(diagnostics) => App::new(diagnostics.layer().layer(app)),
            None => app,
        }
    }
}
