//! Without the cargo feature `metrics`: what needs it is refused.

use std::sync::Arc;

use server_abstractions::{App, ConnectionObserver};

use super::{ROOT, Settings, settings};
use crate::{Configuration, Error};

/// There are none.
pub(crate) struct HostedMetrics(());

impl HostedMetrics {
    pub(crate) fn configured(configuration: &Configuration) -> Result<Self, Error> {
        match settings(configuration)? {
            Some(Settings { is_enabled: true, .. }) => {
                Err(configuration.invalid(ROOT, "it needs the cargo feature metrics of hosting").into())
            }
            _ => Ok(Self(())),
        }
    }

    #[expect(clippy::unused_self, reason = "with the feature there is one")]
    pub(crate) fn observer(&self) -> Option<Arc<dyn ConnectionObserver>> {
        None
    }

    #[expect(clippy::unused_self, reason = "with the feature there are some")]
    pub(crate) fn surround(&self, app: App) -> App {
        app
    }
}
