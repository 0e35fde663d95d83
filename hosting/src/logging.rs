//! The default subscriber for `tracing`.

mod bounded;
pub(crate) mod console;
mod fields;
mod journal;
mod json;

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry, reload};

use self::console::Formatter;
use self::fields::BoundedFields;
use self::journal::JournalLine;
pub(crate) use self::journal::tell_failure;
use self::json::JsonLines;
#[cfg(feature = "kestrel")]
use crate::ConfigurationMonitor;
#[cfg(feature = "kestrel")]
use crate::configuration::monitor::Followed;
use crate::{Configuration, ConfigurationError, ConfigurationSection};

/// The target of the lines about start and stop.
pub(crate) const LIFETIME: &str = "hosting::lifetime";

/// Changes what the default subscriber shows.
pub(crate) type FilterHandle = reload::Handle<Targets, Registry>;

/// What the default subscriber shows, and how it writes that: the section `Logging` of a configuration.
///
/// [`WebApplication`](crate::WebApplication) reads it by itself; this is for programs with a [`Host`](crate::Host) and a
/// configuration of their own. Default is no section, which shows `Information` and above, for the journal of systemd if that
/// reads the standard output, else for people.
#[doc(alias = "ILoggingBuilder")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogLevels {
    levels: Option<Targets>,
    formatter: Option<Formatter>,
}

impl LogLevels {
    /// Reads the section: in `LogLevel` levels (`Trace`, `Debug`, `Information`, `Warning`, `Error`, `Critical`, `None`) by
    /// target, of which `Default` is all others; in `Console:FormatterName` the form of the lines (`simple`, `systemd`,
    /// `json`).
    ///
    /// # Errors
    /// There is one error for each entry that cannot be used; it names the key and its place.
    pub fn of(configuration: &Configuration) -> Result<Self, Vec<ConfigurationError>> {
        match (levels(configuration), Formatter::of(configuration)) {
            (Ok(levels), Ok(formatter)) => Ok(Self { levels, formatter }),
            (levels, formatter) => Err(levels.err().into_iter().flatten().chain(formatter.err()).collect()),
        }
    }

    /// Installs the default subscriber, which writes to the standard output, unless the program has installed one. The
    /// variable `RUST_LOG` goes before the section.
    pub fn install(self) {
        install_default(self);
    }

    /// The same for a program that writes to the standard output itself, such as in a thread of its own. Each event is one
    /// call of `write_all` of a writer that `writer` makes.
    pub fn install_into<W: io::Write>(self, writer: impl Fn() -> W + Send + Sync + 'static) {
        install_writer(self, writer);
    }
}

/// What the section says of levels, if it is there.
fn levels(configuration: &Configuration) -> Result<Option<Targets>, Vec<ConfigurationError>> {
    let section = configuration.section("Logging:LogLevel");
    if !section.exists() {
        return Ok(None);
    }
    if section.value().is_some_and(|text| !text.is_empty()) {
        return Err(vec![configuration.invalid(section.path(), "expected a section with levels by target")]);
    }
    let (mut targets, mut errors) = (Targets::new().with_default(LevelFilter::INFO), Vec::new());
    for (target, entry) in entries(&section) {
        let Some(level) = level(entry.value().unwrap_or_default()).filter(|_| is_target(&target)) else {
            let reason = "expected one of Trace, Debug, Information, Warning, Error, Critical, None";
            errors.push(configuration.invalid(entry.path(), reason));
            continue;
        };
        targets = if target.eq_ignore_ascii_case("Default") {
            targets.with_default(level)
        } else {
            targets.with_target(target, level)
        };
    }
    if errors.is_empty() { Ok(Some(targets)) } else { Err(errors) }
}

/// The levels by target. A configuration takes the colons of a target, such as `server_kestrel::tls`, for those of a path.
fn entries(section: &ConfigurationSection) -> Vec<(String, ConfigurationSection)> {
    let (mut found, mut open) = (Vec::new(), vec![(String::new(), section.clone())]);
    while let Some((target, section)) = open.pop() {
        let mut is_leaf = true;
        for child in section.children() {
            is_leaf = false;
            let name =
                if target.is_empty() { child.key().to_owned() } else { format!("{target}:{}", child.key()) };
            open.push((name, child));
        }
        if !target.is_empty() && (is_leaf || section.value().is_some()) {
            found.push((target, section));
        }
    }
    found.reverse();
    found
}

/// Whether there are two colons wherever there is one.
fn is_target(text: &str) -> bool {
    text.split("::").all(|part| !part.is_empty() && !part.contains(':'))
}

/// Whether the standard output is the stream of systemd's journal (`JOURNAL_STREAM`), which takes a priority in front of a line
/// (sd-daemon(3)), as the log has one there.
pub fn is_standard_output_the_journal() -> bool {
    journal::is_standard_output()
}

/// Installs a subscriber that writes to the standard output, unless the program has installed one. Without a formatter lines
/// are for the journal of systemd if that reads them, else for people.
///
/// What is shown follows `RUST_LOG` (`info`, `server_kestrel=debug,info`), then the configured filter, then `info`. The
/// handle changes the filter, unless it is that of `RUST_LOG`.
pub(crate) fn install_default(configured: LogLevels) -> Option<FilterHandle> {
    install_writer(configured, io::stdout)
}

fn install_writer<W: io::Write>(
    configured: LogLevels,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Option<FilterHandle> {
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
    let (filter, handle) = reload::Layer::new(parsed.or(configured.levels).unwrap_or_else(default_filter));
    let default = || if journal::is_standard_output() { Formatter::Systemd } else { Formatter::Simple };
    let form = configured.formatter.unwrap_or_else(default);
    let subscriber = tracing_subscriber::registry().with(filter).with(lines(form, writer));
    // It fails if another thread was faster with one of its own, which is then the one to use.
    let is_installed = tracing::subscriber::set_global_default(subscriber).is_ok();
    if let Some((filter, error)) = refused {
        tracing::warn!(filter, %error, "RUST_LOG cannot be used; write it like info,server_kestrel=debug");
    }
    (is_installed && !is_fixed).then_some(handle)
}

/// The layer that writes.
fn lines<S, W>(
    formatter: Formatter,
    writer: impl Fn() -> W + Send + Sync + 'static,
) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: io::Write,
{
    let layer = tracing_subscriber::fmt::layer();
    match formatter {
        Formatter::Simple => {
            let use_color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            Box::new(layer.with_ansi(use_color).with_writer(writer))
        }
        Formatter::Systemd => {
            let layer = layer.with_ansi(false).fmt_fields(BoundedFields);
            Box::new(layer.event_format(JournalLine::new()).with_writer(writer))
        }
        Formatter::Json => Box::new(JsonLines(writer)),
    }
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
            return Followed::Taken;
        }
        last = Some(section);
        match filter(configuration) {
            Ok(filter) => Followed::from(handle.reload(filter.unwrap_or_else(default_filter)).is_ok()),
            Err(error) => {
                tracing::error!(%error, "the section Logging has changed and cannot be used; its last state stays in force");
                Followed::Refused
            }
        }
    });
}

/// The filter in the section; `None` if there is no such section. Of several faults the first is told.
#[cfg(feature = "kestrel")]
fn filter(configuration: &Configuration) -> Result<Option<Targets>, ConfigurationError> {
    first(levels(configuration))
}

/// The section. Of several faults the first is told.
#[cfg(feature = "kestrel")]
pub(crate) fn configured(configuration: &Configuration) -> Result<LogLevels, ConfigurationError> {
    first(LogLevels::of(configuration))
}

#[cfg(feature = "kestrel")]
fn first<T: Default>(result: Result<T, Vec<ConfigurationError>>) -> Result<T, ConfigurationError> {
    result.or_else(|errors| errors.into_iter().next().map_or_else(|| Ok(T::default()), Err))
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
    fn a_target_may_have_colons() {
        let text = r#"{ "Logging": { "LogLevel": { "server_kestrel::connection_log": "Trace" } } }"#;
        let configuration = Configuration::builder().json_text("appsettings.json", text).build().unwrap();
        let targets = filter(&configuration).unwrap().unwrap();
        assert!(targets.would_enable("server_kestrel::connection_log", &Level::TRACE), "{targets:?}");
        assert!(!targets.would_enable("server_kestrel::tls", &Level::DEBUG), "{targets:?}");
        for wrong in [r#""a:b": "Trace""#, r#""a": { "b": "Trace" }"#, r#""a:::b": "Trace""#] {
            let text = format!(r#"{{ "Logging": {{ "LogLevel": {{ {wrong} }} }} }}"#);
            let configuration = Configuration::builder().json_text("appsettings.json", text).build().unwrap();
            assert!(filter(&configuration).is_err(), "{wrong}");
        }
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
