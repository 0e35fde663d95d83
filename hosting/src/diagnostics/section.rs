//! The section `Diagnostics` of the configuration.

use serde::Deserialize;

use super::DiagnosticsOptions;
use crate::{Configuration, ConfigurationError, HostEnvironment};

const ROOT: &str = "Diagnostics";

/// A page that shows what the server does. A key that is not understood is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct DiagnosticsSection {
    /// Whether there is the page. Outside of the environment `Development` it needs `Endpoint` or `AllowRemote` as well:
    /// proxies on the same machine connect by loopback, and not all of them say what they are. Default is false.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    enabled: Option<bool>,
    /// The path of the page. Default is `/_diagnostics`.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = "^/([A-Za-z0-9/._~-]*[A-Za-z0-9._~-])$"), extend("default" = "/_diagnostics", "patternErrorMessage" = "expected a path such as /_diagnostics")))]
    path: Option<String>,
    /// Whether everyone sees it who can reach it, and not only who is on this machine. Default is false.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    allow_remote: Option<bool>,
    /// The name of the endpoint of `Kestrel:Endpoints` through which it is seen; requests of others go to the application.
    /// Default is any.
    endpoint: Option<String>,
}

/// The options, if the page is wanted.
pub(super) fn options(
    configuration: &Configuration,
    environment: &HostEnvironment,
) -> Result<Option<DiagnosticsOptions>, ConfigurationError> {
    let section = configuration.bind::<DiagnosticsSection>(ROOT)?;
    let defaults = DiagnosticsOptions::default();
    let options = DiagnosticsOptions {
        path: section.path.unwrap_or(defaults.path),
        allow_remote: section.allow_remote.unwrap_or(defaults.allow_remote),
        endpoint: section.endpoint.filter(|name| !name.is_empty()),
    };
    options.check().map_err(|reason| configuration.invalid(&format!("{ROOT}:Path"), reason))?;
    let is_enabled = section.enabled.unwrap_or_default();
    if let Some(name) = options.endpoint.as_ref().filter(|_| is_enabled)
        && !configuration.section("Kestrel:Endpoints").children().any(|endpoint| endpoint.key() == name)
    {
        let reason = "there is no endpoint of this name in Kestrel:Endpoints, so nobody could see the page";
        return Err(configuration.invalid(&format!("{ROOT}:Endpoint"), reason));
    }
    if is_enabled && !environment.is_development() && options.endpoint.is_none() && !options.allow_remote {
        let reason = format!(
            "a proxy on this machine that does not say what it is would show the page to everyone; name the endpoint in {ROOT}:Endpoint through which operators see it and no proxy leads to, or set {ROOT}:AllowRemote, or leave the page to the environment Development"
        );
        return Err(configuration.invalid(&format!("{ROOT}:Enabled"), reason));
    }
    Ok(is_enabled.then_some(options))
}
