//! The environment of a process that the module starts.

use std::ffi::{OsStr, OsString};

use crate::ApplicationOptions;
use crate::command::lookup;

/// What the module tells a process behind it.
#[derive(Debug)]
pub(crate) struct OutOfProcess<'a> {
    pub(crate) port: u16,
    /// The address of the Unix socket that the module would rather forward to.
    pub(crate) socket: Option<&'a str>,
    pub(crate) token: &'a str,
    /// The port at which clients reach the module over https.
    pub(crate) https_port: Option<u16>,
}

/// Variables that speak of the module's own process.
const OWN: [&str; 6] =
    ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// What an application of .NET loads, so that it understands the module; others pass it over.
const HOSTING_STARTUP: &str = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";

/// Whether a variable is a key of the section `Module`, in each way that such a key can be written. It may be a secret of
/// another application.
pub(crate) fn is_setting_of_the_module(name: &OsStr) -> bool {
    name.to_string_lossy().replace("__", ":").to_ascii_lowercase().starts_with("module:")
}

/// The environment of the module with the application's over it. What is for the module alone is left out.
pub(crate) fn base(options: &ApplicationOptions) -> Vec<(OsString, OsString)> {
    let is_own = |name: &OsStr| OWN.iter().any(|own| name == *own) || is_setting_of_the_module(name);
    let mut variables: Vec<_> = std::env::vars_os().filter(|(name, _)| !is_own(name)).collect();
    for (name, value) in &options.settings.environment_variables {
        set(&mut variables, name, value);
    }
    variables
}

/// The environment of a process that the module forwards requests to.
pub(crate) fn out_of_process(
    options: &ApplicationOptions,
    told: &OutOfProcess<'_>,
) -> Vec<(OsString, OsString)> {
    let mut variables = base(options);
    let configured = |name| lookup(&options.settings.environment_variables, name);
    let path = options.path_prefix.as_str();
    set(&mut variables, "ASPNETCORE_PORT", &told.port.to_string());
    set(&mut variables, "ASPNETCORE_MODULE_SOCKET", told.socket.unwrap_or_default());
    set(&mut variables, "ASPNETCORE_TOKEN", told.token);
    set(&mut variables, "ASPNETCORE_APPL_PATH", if path.is_empty() { "/" } else { path });
    set(&mut variables, "ASPNETCORE_IIS_HTTPAUTH", "anonymous;");
    set(&mut variables, "ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED", "true");
    set(&mut variables, "ASPNETCORE_IIS_PHYSICAL_PATH", &options.folder.to_string_lossy());
    if configured("ASPNETCORE_ANCM_HTTPS_PORT").is_none() {
        let port = told.https_port.map(|port| port.to_string()).unwrap_or_default();
        set(&mut variables, "ASPNETCORE_ANCM_HTTPS_PORT", &port);
    }
    if configured(HOSTING_STARTUP).is_none() {
        let before = std::env::var(HOSTING_STARTUP).unwrap_or_default();
        let assemblies = format!("{before};Microsoft.AspNetCore.Server.IISIntegration");
        set(&mut variables, HOSTING_STARTUP, &assemblies);
    }
    variables
}

fn set(variables: &mut Vec<(OsString, OsString)>, name: &str, value: &str) {
    variables.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    variables.push((name.into(), value.into()));
}
