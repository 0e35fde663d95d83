//! What goes wrong while binding, before and after it is known at which key.

use std::fmt;

use serde::de;

use super::{Section, text::pascal_case};
use crate::configuration::ConfigurationError;
use crate::nearest::nearest;

/// The error within the deserializer: serde's types raise it without knowing where they are, and the
/// nearest section on the way out adds that.
#[derive(Debug)]
pub(super) struct BindError {
    message: String,
    located: bool,
}

impl BindError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), located: false }
    }

    /// The error with the key, its value and its source, unless an inner key has said so already.
    pub(super) fn at(self, section: &Section<'_>) -> Self {
        self.located_by(|message| match section.path.as_str() {
            "" => section.node.describe_key("the configuration", message),
            path => section.node.describe(path, message),
        })
    }

    /// The error with the key and its source but not its value.
    pub(super) fn at_key(self, section: &Section<'_>) -> Self {
        self.located_by(|message| section.node.describe_key(&section.path, message))
    }

    fn located_by(self, describe: impl FnOnce(&String) -> String) -> Self {
        if self.located { self } else { Self { message: describe(&self.message), located: true } }
    }

    pub(super) fn into_located(self) -> ConfigurationError {
        ConfigurationError::new(self.message)
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BindError {}

impl de::Error for BindError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    // The value stands in front of the message already.
    fn invalid_type(_unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn invalid_value(_unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {expected}"))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let known: Vec<_> = expected.iter().map(|field| pascal_case(field)).collect();
        Self::new(match known.as_slice() {
            [] => "unknown key; there are none here".to_owned(),
            known => {
                let near = nearest(field, known.iter().map(String::as_str));
                let meant = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
                format!("unknown key; {meant}the known keys are {}", known.join(", "))
            }
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("the key {} is missing", pascal_case(field)))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::new(format!("the key {} is given in two spellings", pascal_case(field)))
    }
}
