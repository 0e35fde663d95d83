//! The metrics of a `WebApplication`.

use std::sync::Arc;

use opentelemetry::global;
use server_abstractions::{App, ConnectionObserver};
use server_kestrel::{KestrelMetrics, KestrelMetricsOptions};
use tower_layer::Layer;

use super::{Settings, settings};
use crate::{Configuration, Error, HttpMetricsLayer, HttpMetricsOptions};

/// What records, if the configuration wants it.
pub(crate) struct HostedMetrics(Option<Settings>);

impl HostedMetrics {
    pub(crate) fn configured(configuration: &Configuration) -> Result<Self, Error> {
        Ok(Self(settings(configuration)?.filter(|settings| settings.is_enabled)))
    }

    /// For the connections.
    pub(crate) fn observer(&self) -> Option<Arc<dyn ConnectionObserver>> {
        let settings = self.0.as_ref()?;
        let options = KestrelMetricsOptions {
            connection_duration_bounds: settings.connection_duration.clone(),
            tls_handshake_duration_bounds: settings.tls_handshake_duration.clone(),
        };
        Some(Arc::new(KestrelMetrics::new(&global::meter("server_kestrel"), &options)))
    }

    /// For the requests, outermost, so that it measures what every other layer answers too.
    pub(crate) fn surround(&self, app: App) -> App {
        let Some(settings) = &self.0 else { return app };
        let options = HttpMetricsOptions { request_duration_bounds: settings.request_duration.clone() };
        App::new(HttpMetricsLayer::new(&global::meter("hosting"), &options).layer(app))
    }
}
