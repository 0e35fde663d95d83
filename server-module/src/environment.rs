//! The environment of a process that the module starts.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

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

/// The seconds that an application takes for its stop.
pub(crate) const STOP_TIMEOUT: &str = "ASPNETCORE_SHUTDOWNTIMEOUTSECONDS";

/// How many they are, so that what the application stops last has its time before the limit, when it is killed. None: there is
/// no room for that.
pub(crate) fn stop_timeout(limit: Duration) -> Option<u64> {
    let seconds = limit.as_secs();
    seconds.checked_sub((seconds / 4).clamp(1, 5)).filter(|timeout| *timeout > 0)
}

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
    if configured(STOP_TIMEOUT).is_none()
        && let Some(timeout) = stop_timeout(options.settings.shutdown_time_limit)
    {
        set(&mut variables, STOP_TIMEOUT, &timeout.to_string());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_over_before_the_limit() {
        let timeouts = [0, 1, 2, 4, 10, 30, 600].map(|limit| stop_timeout(Duration::from_secs(limit)));
        assert_eq!(timeouts, [None, None, Some(1), Some(3), Some(8), Some(25), Some(595)]);
    }
}
