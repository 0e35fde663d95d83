//! The form of the events on the standard output.

use crate::{Configuration, ConfigurationError};

/// The key that names it.
const KEY: &str = "Logging:Console:FormatterName";

/// How events are written, by the names of the original's formatters of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "lowercase"))]
pub(crate) enum Formatter {
    /// Lines for people.
    Simple,
    /// Lines for the journal of systemd.
    Systemd,
    /// An object of JSON in each line.
    Json,
}

impl Formatter {
    /// What the configuration says, if it says anything.
    pub(crate) fn of(configuration: &Configuration) -> Result<Option<Self>, ConfigurationError> {
        let section = configuration.section(KEY);
        match section.value().map(str::to_ascii_lowercase).as_deref() {
            None | Some("") => Ok(None),
            Some("simple") => Ok(Some(Self::Simple)),
            Some("systemd") => Ok(Some(Self::Systemd)),
            Some("json") => Ok(Some(Self::Json)),
            Some(_) => Err(configuration.invalid(KEY, "expected one of simple, systemd, json")),
        }
    }
}
