//! What an application starts with: arguments, environment, launch profile and the files of its content root.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::Level;

use crate::launch_settings::choice::LaunchChoice;
use crate::surroundings::Surroundings;
use crate::{
    Configuration, ConfigurationBuilder, ConfigurationMonitor, Error, HostEnvironment, HostOptions, urls,
};

/// What the code says about the host; it wins over everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostOverrides {
    pub(crate) environment: Option<String>,
    pub(crate) application_name: Option<String>,
    pub(crate) content_root: Option<PathBuf>,
    pub(crate) values: Vec<(String, String)>,
}

/// The result: the configuration, and what follows from it for the host.
#[derive(Debug, Default)]
pub(crate) struct Startup {
    /// As it was at the start; what may change is taken from the monitor.
    pub(crate) configuration: Configuration,
    pub(crate) monitor: ConfigurationMonitor,
    pub(crate) environment: HostEnvironment,
    /// What to tell once there is a subscriber.
    pub(crate) messages: Vec<(Level, String)>,
}

impl Startup {
    pub(crate) fn make(surroundings: &Surroundings, overrides: &HostOverrides) -> Result<Self, Error> {
        let choice = LaunchChoice::make(
            surroundings.arguments.iter().cloned(),
            |name| surroundings.variable(name),
            &surroundings.program,
        )?;
        let variables = choice.over(surroundings.variables.iter().cloned());
        // The host's own settings, which say where the files are, come from variables and arguments only.
        let prefixed = |builder: ConfigurationBuilder| {
            builder
                .environment_variables(Some("ASPNETCORE_"), variables.clone())
                .environment_variables(Some("DOTNET_"), variables.clone())
        };
        let host = prefixed(Configuration::builder()).command_line(choice.arguments.clone()).build()?;
        let environment = environment(&host, overrides, surroundings);
        let root = &environment.content_root;
        if !root.is_dir() && host.get("contentRoot").is_some() {
            let message = format!("the content root {} is not a folder", root.display());
            return Err(
                Error::new(message).with_source(host.invalid("contentRoot", "expected a folder that exists"))
            );
        }
        let files = Configuration::builder()
            .json_file(root.join("appsettings.json"), true)
            .json_file(root.join(format!("appsettings.{}.json", environment.name)), true);
        let layers = prefixed(files)
            .environment_variables(None, variables.clone())
            .command_line(choice.arguments)
            .values(overrides.values.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let monitor = ConfigurationMonitor::new(layers)?;
        Ok(Self { configuration: monitor.current(), monitor, environment, messages: choice.messages })
    }
}

fn environment(
    host: &Configuration,
    overrides: &HostOverrides,
    surroundings: &Surroundings,
) -> HostEnvironment {
    let given = |key: &str| host.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
    let default = HostEnvironment::around(surroundings);
    let application_name = overrides.application_name.clone().or_else(|| given("applicationName"));
    let content_root = overrides.content_root.clone().or_else(|| given("contentRoot").map(PathBuf::from));
    HostEnvironment {
        name: overrides.environment.clone().or_else(|| given("environment")).unwrap_or(default.name),
        application_name: application_name.unwrap_or(default.application_name),
        content_root: content_root
            .map_or(default.content_root, |root| surroundings.current_folder.join(root)),
    }
}

/// The host's options out of the configuration.
pub(crate) fn host_options(
    configuration: &Configuration,
    environment: &HostEnvironment,
    messages: &mut Vec<(Level, String)>,
) -> Result<HostOptions, Error> {
    let defaults = HostOptions::default();
    let seconds = |key: &str, default: Duration| match configuration.get_parsed::<u32>(key) {
        Ok(seconds) => Ok(seconds.map_or(default, |seconds| Duration::from_secs(seconds.into()))),
        Err(_) => Err(configuration.invalid(key, "expected a whole number of seconds")),
    };
    Ok(HostOptions {
        urls: urls::from(configuration, messages)?,
        prefer_hosting_urls: configuration.get_bool("preferHostingUrls")?.unwrap_or_default(),
        shutdown_delay: seconds("shutdownDelaySeconds", defaults.shutdown_delay)?,
        shutdown_timeout: seconds("shutdownTimeoutSeconds", defaults.shutdown_timeout)?,
        shutdown_grace: seconds("shutdownGraceSeconds", defaults.shutdown_grace)?,
        suppress_status_messages: configuration.get_bool("suppressStatusMessages")?.unwrap_or_default(),
        environment: environment.clone(),
    })
}

/// Joins a configured path to the content root.
pub(crate) fn rooted(environment: &HostEnvironment, path: impl AsRef<Path>) -> PathBuf {
    environment.content_root.join(path)
}

impl Startup {
    /// Whether the files are to be watched: unless the configuration says otherwise, or there is no place for them.
    pub(crate) fn reloads_on_change(&self) -> Result<bool, Error> {
        let wanted = self.configuration.get_bool("hostBuilder:reloadConfigOnChange")?.unwrap_or(true);
        Ok(wanted && self.environment.content_root.is_dir())
    }

    /// Tells what has been found out before there was a subscriber.
    pub(crate) fn report(&self) {
        report(&self.messages);
    }
}

pub(crate) fn report(messages: &[(Level, String)]) {
    for (level, message) in messages {
        match *level {
            Level::ERROR => tracing::error!("{message}"),
            Level::WARN => tracing::warn!("{message}"),
            Level::INFO => tracing::info!("{message}"),
            _ => tracing::debug!("{message}"),
        }
    }
}
