//! The traces and request ids of a `WebApplication`.

use server_abstractions::App;
use tower_layer::Layer;

use super::{RequestTraceLayer, section};
use crate::request_id::section as request_ids;
use crate::{Configuration, Error, RequestIdLayer};

/// What code and configuration say about traces and ids.
pub(crate) struct HostedTraces {
    traces: Option<RequestTraceLayer>,
    ids: Option<RequestIdLayer>,
}

impl HostedTraces {
    pub(crate) fn configured(
        configuration: &Configuration,
        code: Option<RequestTraceLayer>,
    ) -> Result<Self, Error> {
        let traces = section::layer(configuration, code)?;
        Ok(Self { traces, ids: request_ids::layer(configuration)? })
    }

    /// Around the application, behind the layers for proxies, so that a span knows the client.
    pub(crate) fn trace(&self, app: App) -> App {
        match &self.traces {
            Some(layer) => App::new(layer.layer(app)),
            None => app,
        }
    }

    /// Around all, so that every answer has an id.
    pub(crate) fn identify(&self, app: App) -> App {
        match &self.ids {
            Some(layer) => App::new(layer.layer(app)),
            None => app,
        }
    }
}
