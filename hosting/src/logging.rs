//! The default subscriber for `tracing`.

use std::io::IsTerminal;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

#[cfg(feature = "kestrel")]
use crate::ConfigurationMonitor;
use crate::{Configuration, ConfigurationError};

/// The target of the lines about start and stop.
pub(crate) const LIFETIME: &str = "hosting::lifetime";

/// Changes what the default subscriber shows.
pub(crate) type FilterHandle = reload::Handle<Targets, Registry>;

/// What the default subscriber shows: the section `Logging:LogLevel` of a configuration.
///
/// [`WebApplication`](crate::WebApplication) reads it by itself; this is for programs with a [`Host`](crate::Host) and a
/// configuration of their own. Default is no section, which shows `Information` and above.
#[doc(alias = "ILoggingBuilder")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogLevels(Option<Targets>);

impl LogLevels {
    /// Reads the section: levels (`Trace`, `Debug`, `Information`, `Warning`, `Error`, `Critical`, `None`) by target, of
    /// which `Default` is all others.
    ///
    /// # Errors
    /// There is one error for each entry that is no level; it names the key and its place.
    pub fn of(configuration: &Configuration) -> Result<Self, Vec<ConfigurationError>> {
        let section = configuration.section("Logging:LogLevel");
        if !section.exists() {
            return Ok(Self(None));
        }
        if section.value().is_some_and(|text| !text.is_empty()) {
            return Err(vec![
                configuration.invalid(section.path(), "expected a section with levels by target"),
            ]);
        }
        let (mut targets, mut errors) = (Targets::new().with_default(LevelFilter::INFO), Vec::new());
        for entry in section.children() {
            let Some(level) = level(entry.value().unwrap_or_default()) else {
                let reason = "expected one of Trace, Debug, Information, Warning, Error, Critical, None";
                errors.push(configuration.invalid(entry.path(), reason));
                continue;
            };
            targets = if entry.key().eq_ignore_ascii_case("Default") {
                targets.with_default(level)
            } else {
                targets.with_target(entry.key(), level)
            };
        }
        if errors.is_empty() { Ok(Self(Some(targets))) } else { Err(errors) }
    }

    /// Installs the default subscriber, which writes to the standard output, unless the program has installed one. The
    /// variable `RUST_LOG` goes before the section.
    pub fn install(self) {
        install_default(self.0);
    }
}

/// Installs a subscriber that writes to the standard output, unless the program has installed one.
///
/// What is shown follows `RUST_LOG` (`info`, `server_kestrel=debug,info`), then the configured filter, then `info`. The
/// handle changes the filter, unless it is that of `RUST_LOG`.
pub(crate) fn install_default(configured: Option<Targets>) -> Option<FilterHandle> {
    if tracing::dispatcher::has_been_set() {
        return None;
    }
    let from_environment = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let parsed = from_environment.map(|filter| filter.parse::<Targets>().map_err(|error| (filter, error)));
    let (parsed, refused) = match parsed {
        Some(Ok(targets)) => (Some(targets), None),
        Some(Err(refused)) => (None, Some(refused)),
        None => (None, None),
    };
    let is_fixed = parsed.is_some();
    let (filter, handle) = reload::Layer::new(parsed.or(configured).unwrap_or_else(default_filter));
    let use_color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = tracing_subscriber::registry()
        .with(filter)
        .with(tracing_subscriber::fmt::layer().with_ansi(use_color));
    // It fails if another thread was faster with one of its own, which is then the one to use.
    let is_installed = tracing::subscriber::set_global_default(subscriber).is_ok();
    if let Some((filter, error)) = refused {
        tracing::warn!(filter, %error, "RUST_LOG cannot be used; write it like info,server_kestrel=debug");
    }
    (is_installed && !is_fixed).then_some(handle)
}

fn default_filter() -> Targets {
    Targets::new().with_default(LevelFilter::INFO)
}

/// Has the subscriber show what the newest configuration says.
#[cfg(feature = "kestrel")]
pub(crate) fn follow(monitor: &ConfigurationMonitor, handle: FilterHandle) {
    let mut last = None;
    monitor.follow(move |configuration| {
        let section = configuration.section("Logging:LogLevel");
        if last.as_ref().is_some_and(|last| section.has_same_values(last)) {
            return true;
        }
        last = Some(section);
        match filter(configuration) {
            Ok(filter) => handle.reload(filter.unwrap_or_else(default_filter)).is_ok(),
            Err(error) => {
                tracing::error!(%error, "the section Logging has changed and cannot be used; its last state stays in force");
                true
            }
        }
    });
}

/// The filter in the section; `None` if there is no such section. Of several faults the first is told.
#[cfg(feature = "kestrel")]
pub(crate) fn filter(configuration: &Configuration) -> Result<Option<Targets>, ConfigurationError> {
    match LogLevels::of(configuration) {
        Ok(levels) => Ok(levels.0),
        Err(errors) => errors.into_iter().next().map_or(Ok(None), Err),
    }
}

fn level(name: &str) -> Option<LevelFilter> {
    Some(match name.to_ascii_lowercase().as_str() {
        "trace" => Level::TRACE.into(),
        "debug" => Level::DEBUG.into(),
        "information" | "info" => Level::INFO.into(),
        "warning" | "warn" => Level::WARN.into(),
        "error" | "critical" => Level::ERROR.into(),
        "none" => LevelFilter::OFF,
        _ => return None,
    })
}

#[cfg(all(test, feature = "kestrel"))]
mod tests {
    use super::*;

    #[test]
    fn the_section_becomes_a_filter() {
        let text = r#"{ "Logging": { "LogLevel": { "Default": "Warning", "server_kestrel": "debug" } } }"#;
        let configuration = Configuration::builder().json_text("appsettings.json", text).build().unwrap();
        let targets = filter(&configuration).unwrap().unwrap();
        assert!(targets.would_enable("server_kestrel::tls", &Level::DEBUG));
        assert!(!targets.would_enable("hosting", &Level::INFO));
        assert!(filter(&Configuration::default()).unwrap().is_none());
    }

    #[test]
    fn each_fault_is_told_and_a_text_is_no_section() {
        let errors = |levels: &str| {
            let text = format!(r#"{{ "Logging": {{ "LogLevel": {levels} }} }}"#);
            let configuration =
                Configuration::builder().json_text("appsettings.json", &text).build().unwrap();
            LogLevels::of(&configuration).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(errors(r#"{ "a": "Loud", "b": "Debug", "c": 1 }"#).len(), 2);
        assert!(errors(r#""Debug""#)[0].ends_with("expected a section with levels by target"));
    }

    #[test]
    fn an_unknown_level_is_named_with_its_place() {
        let text = r#"{ "Logging": { "LogLevel": { "Default": "Loud" } } }"#;
        let configuration = Configuration::builder().json_text("appsettings.json", text).build().unwrap();
        let error = filter(&configuration).unwrap_err().to_string();
        assert!(
            error.contains("Logging:LogLevel:Default") && error.contains("appsettings.json:1:"),
            "{error}"
        );
    }
}
