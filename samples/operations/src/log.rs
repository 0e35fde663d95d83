//! The log of a program that installs a subscriber of its own, as it does to send traces. Otherwise the host has one.

use std::env;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;

use hosting::{Configuration, ConfigurationMonitor, LogLevels};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::{Registry, reload};

/// Lines on the standard output, as `RUST_LOG` wants them, else `Logging:LogLevel`.
pub(crate) fn layer(configuration: &Configuration) -> (impl Layer<Registry> + use<>, Levels) {
    let wanted = env::var("RUST_LOG").ok().filter(|levels| !levels.is_empty());
    let wanted = wanted.map(|levels| levels.parse::<Targets>().map_err(|error| (levels, error)));
    let levels = match &wanted {
        Some(Ok(levels)) => levels.clone(),
        _ => configured(configuration),
    };
    let (levels, handle) = reload::Layer::new(levels);
    let output = Output { is_journal: is_journal() };
    let lines = fmt::layer().with_ansi(false).with_writer(output).with_filter(levels);
    (lines, Levels { wanted, handle })
}

/// What is shown, once the layer is installed.
pub(crate) struct Levels {
    wanted: Option<Result<Targets, (String, ParseError)>>,
    handle: reload::Handle<Targets, Registry>,
}

impl Levels {
    /// Shows what the newest configuration says, unless `RUST_LOG` says it. One that cannot be used is told.
    pub(crate) fn follow(self, monitor: &ConfigurationMonitor) {
        match self.wanted {
            Some(Ok(_)) => return,
            Some(Err((levels, error))) => {
                tracing::warn!(levels, %error, "RUST_LOG cannot be used; write it like info,server_kestrel=debug");
            }
            None => {}
        }
        let mut section = monitor.section("Logging:LogLevel");
        tokio::spawn(async move {
            while section.changed().await.is_ok() {
                let configuration = section.borrow_and_update().configuration().clone();
                match LogLevels::of(&configuration) {
                    // It fails when nothing is logged any more.
                    Ok(_) => drop(self.handle.reload(configured(&configuration))),
                    Err(errors) => errors.iter().for_each(|error| {
                        tracing::error!(%error, "the section Logging has changed and cannot be used; its last state stays in force");
                    }),
                }
            }
        });
    }
}

/// Whether the standard output is the stream that the variable names.
fn is_journal() -> bool {
    let output = std::fs::metadata("/proc/self/fd/1");
    let name = output.map(|output| format!("{}:{}", output.dev(), output.ino()));
    name.is_ok_and(|name| env::var("JOURNAL_STREAM") == Ok(name))
}

fn configured(configuration: &Configuration) -> Targets {
    let levels = configuration.section("Logging:LogLevel");
    let mut targets = Targets::new().with_default(LevelFilter::INFO);
    for entry in levels.children() {
        // The host refuses what is no level.
        let level = match entry.value().unwrap_or_default().to_ascii_lowercase().as_str() {
            "trace" => LevelFilter::TRACE,
            "debug" => LevelFilter::DEBUG,
            "warning" | "warn" => LevelFilter::WARN,
            "error" | "critical" => LevelFilter::ERROR,
            "none" => LevelFilter::OFF,
            _ => LevelFilter::INFO,
        };
        targets = match entry.key() {
            key if key.eq_ignore_ascii_case("Default") => targets.with_default(level),
            key => targets.with_target(key.to_owned(), level),
        };
    }
    targets
}

/// The standard output. For the journal of systemd each line begins with its priority (sd-daemon(3)).
struct Output {
    is_journal: bool,
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { priority: "" }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        let priority = match *metadata.level() {
            _ if !self.is_journal => "",
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            _ => "<7>",
        };
        Line { priority }
    }
}

struct Line {
    priority: &'static str,
}

impl Write for Line {
    /// Is given a whole event, which must not be cut by others.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        io::stdout().write_all(&[self.priority.as_bytes(), event].concat())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}
