use std::error::Error as StdError;
use std::fmt;

use server_abstractions::{AddressError, BoxError, StartError};

use crate::{ConfigurationError, LaunchSettingsError};

/// Why an application could not be built or run.
///
/// `Display` is one line without the cause, which is the [`source`](StdError::source). `Debug` is one line with all
/// causes, since that is what a `main` that returns the error prints.
pub struct Error {
    message: String,
    source: Option<BoxError>,
}

impl Error {
    /// An error of the application's own, so that its `main` can return one type.
    pub fn other(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self { message: source.to_string(), source: None }
    }

    /// Writes the error to the standard error as one line of the level error, if that is the journal of systemd. `build` and
    /// `run` of an application do so with theirs; this is for what fails a program before or beside them.
    #[must_use]
    pub fn told(self) -> Self {
        crate::logging::tell_failure(&self);
        self
    }

    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the server could not start because somebody else listens on an address.
    pub fn is_address_in_use(&self) -> bool {
        let start = self.source.as_ref().and_then(|source| source.downcast_ref::<StartError>());
        start.is_some_and(StartError::is_address_in_use)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}

impl From<ConfigurationError> for Error {
    fn from(error: ConfigurationError) -> Self {
        Self::new("the configuration cannot be used").with_source(error)
    }
}

#[cfg(feature = "proxy-integration")]
impl From<server_proxy_integration::OptionsError> for Error {
    fn from(error: server_proxy_integration::OptionsError) -> Self {
        Self::new("the integration with the proxy cannot be used").with_source(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::other(error)
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::other(error)
    }
}

impl From<LaunchSettingsError> for Error {
    fn from(error: LaunchSettingsError) -> Self {
        Self::new("the launch profile cannot be used").with_source(error)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        Self::new("the server did not start").with_source(error)
    }
}
