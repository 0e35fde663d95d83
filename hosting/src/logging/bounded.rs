//! Texts of events with a bound.

use std::fmt::{self, Write};

use crate::characters::{CUT, is_hidden};

/// Adds to a line what somebody writes, up to so many bytes, and with escapes for what could hide something in it, end it or
/// begin another one.
pub(super) struct Bounded<'a> {
    line: &'a mut String,
    left: usize,
    is_cut: bool,
    is_json: bool,
}

impl<'a> Bounded<'a> {
    /// Hidden characters are as Rust writes them.
    pub(super) fn text(line: &'a mut String, limit: usize) -> Self {
        Self { line, left: limit, is_cut: false, is_json: false }
    }

    /// What stands between the quotes of a JSON string.
    pub(super) fn json(line: &'a mut String, limit: usize) -> Self {
        Self { line, left: limit, is_cut: false, is_json: true }
    }

    /// Writes a value, and a mark if it was too long.
    pub(super) fn write(mut self, value: fmt::Arguments<'_>) {
        // It fails if the value was too long, or fails itself: what there is of it stands in the line.
        let _ = self.write_fmt(value);
        if self.is_cut {
            self.line.push_str(CUT);
        }
    }

    fn character(&mut self, character: char) {
        match character {
            '"' | '\\' if self.is_json => self.line.extend(['\\', character]),
            hidden if is_hidden(hidden) && self.is_json => {
                // All of them have four digits, and writing to a text cannot fail.
                let _ = write!(self.line, "\\u{:04x}", u32::from(hidden));
            }
            hidden if is_hidden(hidden) => self.line.extend(hidden.escape_default()),
            shown => self.line.push(shown),
        }
    }
}

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let shown = &text[..text.floor_char_boundary(self.left)];
        self.left -= shown.len();
        self.is_cut |= shown.len() < text.len();
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if shown.bytes().all(is_plain) {
            self.line.push_str(shown);
        } else {
            shown.chars().for_each(|character| self.character(character));
        }
        // Nobody goes on with what is not shown.
        if self.is_cut { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_cut_and_can_end_no_line() {
        let text = |value: &str, limit| {
            let mut line = String::new();
            Bounded::text(&mut line, limit).write(format_args!("{value}"));
            line
        };
        assert_eq!(
            text("a\n<0>b\r\u{1b}[31m\u{2028}\u{85}\"\\ä", 100),
            "a\\n<0>b\\r\\u{1b}[31m\\u{2028}\\u{85}\"\\ä"
        );
        assert_eq!(
            (text("abcd", 4), text("abcde", 4), text("abcä", 4)),
            ("abcd".into(), "abcd…".into(), "abc…".into())
        );
    }

    #[test]
    fn a_value_is_a_string_of_json() {
        let value = "a\n\"b\\\u{1b}\u{202e}\u{2028}\u{85}ä🙂";
        let mut line = String::from("\"");
        Bounded::json(&mut line, 100).write(format_args!("{value}"));
        line.push('"');
        assert!(line.chars().all(|character| !is_hidden(character)), "{line:?}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), value);
    }
}
