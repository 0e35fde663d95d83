//! Without the cargo feature `proxy-integration`: what needs it is refused.

use server_abstractions::App;

use crate::startup::Startup;
use crate::web_application::HostChange;
use crate::{ApplicationLifetime, Configuration, Error};

/// No module can have started the application.
pub(crate) fn addresses(configuration: &Configuration) -> Result<Option<HostChange>, Error> {
    let variables = ["ASPNETCORE_PORT", "ASPNETCORE_APPL_PATH", "ASPNETCORE_TOKEN"];
    let is_given = |name: &&str| configuration.get(name).is_some_and(|value| !value.is_empty());
    if variables.iter().all(is_given) { Err(refuse(configuration, variables[0])) } else { Ok(None) }
}

/// Nothing is put around the application.
pub(crate) fn surround(app: App, startup: &mut Startup, _: &ApplicationLifetime) -> Result<App, Error> {
    let configuration = &startup.configuration;
    if configuration.get_bool("ForwardedHeaders_Enabled")?.unwrap_or_default() {
        return Err(refuse(configuration, "ForwardedHeaders_Enabled"));
    }
    let hosts = configuration.section("AllowedHosts");
    let is_any = hosts.value().unwrap_or_default().split(';').all(|host| matches!(host.trim(), "" | "*"));
    if hosts.children().next().is_some() || !is_any {
        return Err(refuse(configuration, "AllowedHosts"));
    }
    Ok(app)
}

fn refuse(configuration: &Configuration, key: &str) -> Error {
    configuration.invalid(key, "it needs the cargo feature proxy-integration of hosting").into()
}
