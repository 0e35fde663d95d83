//! Typed values from text.

use std::{fmt::Display, str::FromStr};

/// What a switch that is none should have been.
pub(in crate::configuration) const EXPECTED_BOOL: &str = "expected true or false";

/// `true` and `false` in any case, `1` and `0`.
pub(in crate::configuration) fn parse_bool(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A whole number; the error tells one that is out of range from what is no number at all.
pub(super) fn whole_number<T: FromStr + Display + Copy>(
    text: &str,
    bits: u32,
    range: (T, T),
) -> Result<T, String> {
    let text = text.trim();
    text.parse().map_err(|_| match text.parse::<i128>() {
        Ok(_) => format!("expected a whole number from {} to {}", range.0, range.1),
        Err(_) => format!("expected a whole number of at most {bits} bits"),
    })
}

pub(super) fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| "expected a number".to_owned())
}

/// Whether two names are the same but for case and `_`.
pub(super) fn same_name(left: &str, right: &str) -> bool {
    fn letters(name: &str) -> impl Iterator<Item = char> {
        name.chars().filter(|letter| *letter != '_').flat_map(char::to_lowercase)
    }
    letters(left).eq(letters(right))
}

/// A field's name as configuration files spell it: `max_request_line_size` is `MaxRequestLineSize`.
pub(super) fn pascal_case(field: &str) -> String {
    field
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters.next().map(char::to_uppercase).into_iter().flatten().chain(letters)
        })
        .collect()
}
