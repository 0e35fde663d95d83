//! Command-line arguments as a layer, in the forms that ASP.NET Core takes.

use std::collections::HashMap;

use super::{
    ConfigurationError,
    tree::{Node, Value},
};

/// Reads `--key value`, `--key=value`, `/key value`, `/key=value`, `key=value` and mapped switches. What
/// else there is stays the application's and is passed over.
pub(super) fn read(
    arguments: &[String],
    mappings: &[(String, String)],
    layer: &mut Node,
) -> Result<(), ConfigurationError> {
    let mappings = fold(mappings)?;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (written, value) = match argument.split_once('=') {
            Some((written, value)) => (written, Some(value)),
            None => (argument.as_str(), None),
        };
        let key = match (Switch::new(written), value) {
            (Switch::Bare(_), None) => continue,
            (Switch::Bare(key), Some(_)) => key,
            (Switch::Long(name), _) => lookup(&mappings, &format!("--{name}")).unwrap_or(name),
            (Switch::Short, _) => match (lookup(&mappings, written), value) {
                (Some(key), _) => key,
                (None, None) => continue,
                (None, Some(_)) => return Err(unknown_short_switch(argument, written)),
            },
        };
        // The next argument is the value whatever it looks like; a switch without one says nothing.
        let Some(value) = value.or_else(|| arguments.next().map(String::as_str)) else { break };
        if !key.is_empty() {
            layer.set(key, Value::text(value, format!("command line {written}")))?;
        }
    }
    Ok(())
}

enum Switch<'a> {
    /// `--name` or `/name`.
    Long(&'a str),
    /// `-x`, which only a mapping gives a meaning.
    Short,
    Bare(&'a str),
}

impl<'a> Switch<'a> {
    fn new(written: &'a str) -> Self {
        if let Some(name) = written.strip_prefix("--").or_else(|| written.strip_prefix('/')) {
            Self::Long(name)
        } else if written.starts_with('-') {
            Self::Short
        } else {
            Self::Bare(written)
        }
    }
}

/// The mappings by their switch in lower case.
fn fold(mappings: &[(String, String)]) -> Result<HashMap<String, &str>, ConfigurationError> {
    let mut folded = HashMap::with_capacity(mappings.len());
    for (switch, key) in mappings {
        if !switch.starts_with('-') {
            let message = format!("the switch mapping {switch:?} must begin with '-' or '--'");
            return Err(ConfigurationError::new(message));
        }
        if folded.insert(switch.to_lowercase(), key.as_str()).is_some() {
            let message = format!("the switch mapping {switch:?} is given twice");
            return Err(ConfigurationError::new(message));
        }
    }
    Ok(folded)
}

fn lookup<'a>(mappings: &HashMap<String, &'a str>, switch: &str) -> Option<&'a str> {
    mappings.get(&switch.to_lowercase()).copied()
}

fn unknown_short_switch(argument: &str, written: &str) -> ConfigurationError {
    let message =
        format!("the argument {argument:?} sets the switch {written}, which is not mapped to a key");
    ConfigurationError::new(message)
}
