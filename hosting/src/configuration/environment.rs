//! Environment variables as a layer.

use super::{
    ConfigurationError,
    tree::{Node, Value},
};

/// A variable, its value, and what to call its source if it is not the environment itself.
pub(super) type Variable = (String, String, Option<String>);

/// Puts the variables that begin with `prefix` into `layer`, without the prefix and with `:` for `__`.
pub(super) fn read(
    prefix: Option<&str>,
    variables: &[Variable],
    layer: &mut Node,
) -> Result<(), ConfigurationError> {
    let prefix = prefix.unwrap_or_default();
    for (name, value, source) in variables {
        // The prefix alone names no key.
        let Some(key) = strip_prefix(name, prefix).filter(|key| !key.is_empty()) else { continue };
        let source = source.clone().unwrap_or_else(|| format!("environment variable {name}"));
        layer.set(&key.replace("__", ":"), Value::text(value, source))?;
    }
    Ok(())
}

fn strip_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = name.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}
