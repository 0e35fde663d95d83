//! Configuration: layers of keys and text values that remember where they were written.
//!
//! A [`ConfigurationBuilder`] takes the layers, lowest precedence first; [`Configuration`] is the
//! result: a snapshot that is cheap to clone and never changes. A key is a path of names joined by
//! `:` (`Kestrel:Endpoints:Http:Url`), compared without regard to case. Every value is text, as in
//! ASP.NET Core: JSON numbers and booleans are kept as they were written, and the elements of a list are
//! the keys `0`, `1`, and so on. Layers are merged key by key, lists included, so a higher layer replaces
//! single elements and never shortens a list.
//!
//! Typed options are read with [`Configuration::bind`]; what cannot be bound is an error that names the
//! key, the value and the place it came from.
//!
//! A [`ConfigurationMonitor`] makes one snapshot after the other, as the files change.

mod bind;
mod builder;
mod command_line;
pub mod duration;
mod environment;
mod error;
mod json;
pub(crate) mod jsonc;
pub(crate) mod monitor;
mod section;
#[cfg(test)]
mod tests;
mod tree;

use std::{fmt, str::FromStr, sync::Arc};

use serde::de::DeserializeOwned;

use self::tree::Node;
pub use self::{
    builder::ConfigurationBuilder, error::ConfigurationError, monitor::ConfigurationMonitor,
    section::ConfigurationSection,
};

/// What an application is configured with: a snapshot of all layers, cheap to clone.
///
/// A path names keys from the top, joined by `:` and compared without regard to case. The empty path is
/// the whole configuration. `Debug` shows how many values there are but none of them, since some are
/// secrets.
#[doc(alias = "IConfiguration")]
#[doc(alias = "IConfigurationRoot")]
#[derive(Clone, Default)]
pub struct Configuration {
    root: Arc<Node>,
}

impl Configuration {
    /// Begins a configuration without any layer.
    #[must_use]
    pub fn builder() -> ConfigurationBuilder {
        ConfigurationBuilder::default()
    }

    /// The text at `path`; `None` when there is none, or `null`, or a section.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.root.find(path)?.text()
    }

    /// Where the value at `path` was written, such as `/app/appsettings.json:12:5`, `environment variable
    /// ASPNETCORE_URLS` or `command line --urls`. For a section it is the place of its first value.
    #[must_use]
    pub fn source(&self, path: &str) -> Option<&str> {
        self.root.find(path)?.source()
    }

    /// The part of the configuration below `path`, which need not exist.
    #[doc(alias = "GetSection")]
    #[must_use]
    pub fn section(&self, path: &str) -> ConfigurationSection {
        ConfigurationSection::new(self.clone(), path)
    }

    /// The value at `path`, read with the type's [`FromStr`]; `None` when there is no value.
    ///
    /// # Errors
    /// The value is not a `T`.
    #[doc(alias = "GetValue")]
    pub fn get_parsed<T>(&self, path: &str) -> Result<Option<T>, ConfigurationError>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let Some(text) = self.get(path) else { return Ok(None) };
        text.parse().map(Some).map_err(|error| self.invalid(path, error))
    }

    /// The switch at `path`: `true` and `false` in any case, `1` and `0`; `None` when there is no value.
    ///
    /// # Errors
    /// The value is something else.
    pub fn get_bool(&self, path: &str) -> Result<Option<bool>, ConfigurationError> {
        let Some(text) = self.get(path) else { return Ok(None) };
        bind::parse_bool(text).map(Some).ok_or_else(|| self.invalid(path, bind::EXPECTED_BOOL))
    }

    /// Reads the section at `path` into a type.
    ///
    /// Names are matched without regard to case and `_`, so that `MaxRequestLineSize` fills a field called
    /// `max_request_line_size`. Numbers, booleans and unit variants are read from their text; a list takes
    /// the numbered keys in their order. `null` makes an `Option` `None`. A section that does not exist is
    /// bound as an empty one, which suits a type whose fields have defaults. `#[serde(flatten)]` works for
    /// text only, because serde then no longer says what type it wants.
    ///
    /// # Errors
    /// A value does not fit, a required one is missing, or a key is not one of a type's that has
    /// `#[serde(deny_unknown_fields)]`. The message names the key and where it was written.
    #[doc(alias = "Bind")]
    #[doc(alias = "Get")]
    pub fn bind<T: DeserializeOwned>(&self, path: &str) -> Result<T, ConfigurationError> {
        bind::bind(&self.root, path)
    }

    /// The error for a value that was read but is no good: `key = "value" (source): reason`.
    ///
    /// For checks that a type cannot express, so that their messages look like those of [`Self::bind`].
    #[must_use]
    pub fn invalid(&self, path: &str, reason: impl fmt::Display) -> ConfigurationError {
        let path = self.root.spelling(path);
        ConfigurationError::new(self.root.find(&path).unwrap_or(&tree::ABSENT).describe(&path, &reason))
    }
}

impl fmt::Debug for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configuration").field("values", &self.root.values()).finish_non_exhaustive()
    }
}
