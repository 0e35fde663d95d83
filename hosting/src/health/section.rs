//! The section `Health` of the configuration.

use std::time::Duration;

use serde::Deserialize;
use server_abstractions::App;
use tokio_util::sync::CancellationToken;
use tower_layer::Layer;

use super::options::check_path;
use super::{HealthChecks, HealthLayer, HealthOptions};
use crate::kestrel_section::required_duration;
use crate::startup::Startup;
use crate::{ApplicationLifetime, Configuration, Error};

const ROOT: &str = "Health";

/// Whether the application lives and is ready, for orchestrators and load balancers. A key that is not understood is refused
/// with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct HealthSection {
    /// Whether probes are answered. Default is false, and true if the application has health checks.
    enabled: Option<bool>,
    /// The path that tells whether the process lives. Default is `/healthz/live`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^/[^?#\\s]*$"), extend("default" = "/healthz/live", "patternErrorMessage" = "expected a path such as /healthz/live")))]
    live_path: Option<String>,
    /// The path that tells whether requests may be sent: 200, or 503 from the moment when a stop is announced, and when a check
    /// fails. Default is `/healthz/ready`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^/[^?#\\s]*$"), extend("default" = "/healthz/ready", "patternErrorMessage" = "expected a path such as /healthz/ready")))]
    ready_path: Option<String>,
    /// How long a check may take that has no timeout of its own, as `hh:mm:ss` or seconds. Default is 5 seconds.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("exclusiveMinimum" = 0, "default" = "00:00:05")))]
    timeout: Option<Duration>,
    /// Whether answers tell the errors of checks that fail, and how long checks take. Else the text is the status alone, and JSON
    /// has the names of the checks with their status; the log names what fails with its error all the same. Default is true in
    /// the environment Development, and false elsewhere.
    details: Option<bool>,
}

/// Puts the layer around the application if code or configuration ask for it.
pub(crate) fn surround(
    app: App,
    startup: &Startup,
    checks: Option<HealthChecks>,
    lifetime: &ApplicationLifetime,
) -> Result<App, Error> {
    let is_development = startup.environment.is_development();
    Ok(match layer(&startup.configuration, is_development, checks, lifetime.announced())? {
        Some(layer) => App::new(layer.layer(app)),
        None => app,
    })
}

fn layer(
    configuration: &Configuration,
    is_development: bool,
    checks: Option<HealthChecks>,
    announced: &CancellationToken,
) -> Result<Option<HealthLayer>, Error> {
    let section = configuration.bind::<HealthSection>(ROOT)?;
    let defaults = HealthOptions::default();
    let options = HealthOptions {
        live_path: section.live_path.unwrap_or(defaults.live_path),
        ready_path: section.ready_path.unwrap_or(defaults.ready_path),
        timeout: section.timeout.unwrap_or(defaults.timeout),
        details: section.details.unwrap_or(is_development),
    };
    for (key, path) in [("LivePath", &options.live_path), ("ReadyPath", &options.ready_path)] {
        check_path(path).map_err(|reason| configuration.invalid(&format!("{ROOT}:{key}"), reason))?;
    }
    if options.live_path == options.ready_path {
        let key = if configuration.get("Health:ReadyPath").is_some() { "ReadyPath" } else { "LivePath" };
        let reason = "LivePath and ReadyPath are the same; give each a path of its own";
        return Err(configuration.invalid(&format!("{ROOT}:{key}"), reason).into());
    }
    if options.timeout.is_zero() {
        let reason = "expected more than no time";
        return Err(configuration.invalid(&format!("{ROOT}:Timeout"), reason).into());
    }
    if !section.enabled.unwrap_or(checks.is_some()) {
        return Ok(None);
    }
    HealthLayer::new(options, &checks.unwrap_or_default(), announced.clone()).map(Some)
}
