//! The default subscriber for `tracing`.

use std::io::IsTerminal;

#[cfg(feature = "kestrel")]
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

#[cfg(feature = "kestrel")]
use crate::{Configuration, ConfigurationError, ConfigurationMonitor};

/// The target of the lines about start and stop.
pub(crate) const LIFETIME: &str = "hosting::lifetime";

/// Changes what the default subscriber shows.
pub(crate) type FilterHandle = reload::Handle<Targets, Registry>;

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

/// The filter in the section `Logging:LogLevel`: levels by the original's names, keyed by target, `Default` for all
/// others. `None` if there is no such section.
#[cfg(feature = "kestrel")]
pub(crate) fn filter(configuration: &Configuration) -> Result<Option<Targets>, ConfigurationError> {
    let section = configuration.section("Logging:LogLevel");
    if !section.exists() {
        return Ok(None);
    }
    let mut targets = Targets::new().with_default(LevelFilter::INFO);
    for entry in section.children() {
        let Some(level) = level(entry.value().unwrap_or_default()) else {
            let reason = "expected one of Trace, Debug, Information, Warning, Error, Critical, None";
            return Err(configuration.invalid(entry.path(), reason));
        };
        targets = if entry.key().eq_ignore_ascii_case("Default") {
            targets.with_default(level)
        } else {
            targets.with_target(entry.key(), level)
        };
    }
    Ok(Some(targets))
}

#[cfg(feature = "kestrel")]
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
