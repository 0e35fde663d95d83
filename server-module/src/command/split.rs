use std::mem;

/// Splits arguments by the rules of Windows, so that `web.config` means the same here.
///
/// Spaces and tabs separate arguments, unless they stand in quotes. A quote behind an even number of backslashes begins or
/// ends a quoted part, behind an odd number it is one itself; of the backslashes before a quote half are left, and all
/// others stay. In quotes, two quotes are one, and the quoted part ends there. A part without its last quote goes on to the
/// end.
///
/// ```
/// use server_module::command::split;
/// assert_eq!(split(r#"--name "my shop" C:\data \"x\""#), ["--name", "my shop", r"C:\data", r#""x""#]);
/// ```
#[doc(alias = "CommandLineToArgvW")]
#[must_use]
pub fn split(arguments: &str) -> Vec<String> {
    read(arguments).found
}

fn read(arguments: &str) -> Splitter {
    let mut splitter = Splitter::default();
    for character in arguments.chars() {
        match character {
            '"' => splitter.quote(),
            '\\' => {
                splitter.end_of_quotes();
                splitter.backslashes += 1;
                splitter.begun = true;
            }
            ' ' | '\t' => splitter.blank(character),
            other => splitter.other(other),
        }
    }
    splitter.end_of_quotes();
    splitter.end();
    splitter
}

/// Whether a quoted part goes on to the end, without its last quote.
pub(crate) fn has_open_quote(arguments: &str) -> bool {
    read(arguments).quotes > 0
}

#[derive(Default)]
struct Splitter {
    found: Vec<String>,
    current: String,
    /// Whether there is an argument, which may be empty.
    begun: bool,
    /// Backslashes that may stand before a quote.
    backslashes: usize,
    /// Of an odd number of quotes that separate nothing, two make one in the argument: how many are open, 0 to 2.
    quotes: u8,
    /// Whether the last character was a quote that counts.
    after_quote: bool,
}

impl Splitter {
    fn quote(&mut self) {
        self.begun = true;
        if self.after_quote {
            // One of a row of quotes.
            self.quotes += 1;
            if self.quotes == 3 {
                self.current.push('"');
                self.quotes = 0;
            }
            return;
        }
        let backslashes = mem::take(&mut self.backslashes);
        self.current.extend(std::iter::repeat_n('\\', backslashes / 2));
        if backslashes.is_multiple_of(2) {
            self.quotes += 1;
        } else {
            self.current.push('"');
        }
        self.after_quote = true;
    }

    /// A row of quotes is over.
    fn end_of_quotes(&mut self) {
        if mem::take(&mut self.after_quote) && self.quotes == 2 {
            self.quotes = 0;
        }
    }

    fn blank(&mut self, blank: char) {
        self.end_of_quotes();
        if self.quotes == 0 { self.end() } else { self.other(blank) }
    }

    fn other(&mut self, character: char) {
        self.end_of_quotes();
        self.keep_backslashes();
        self.current.push(character);
        self.begun = true;
    }

    fn keep_backslashes(&mut self) {
        let backslashes = mem::take(&mut self.backslashes);
        self.current.extend(std::iter::repeat_n('\\', backslashes));
    }

    fn end(&mut self) {
        self.keep_backslashes();
        if mem::take(&mut self.begun) {
            self.found.push(mem::take(&mut self.current));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_split_as_windows_splits_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  \t ", &[]),
            ("a b  c\td ", &["a", "b", "c", "d"]),
            (r#""a b" c"#, &["a b", "c"]),
            (r#"a" b "c"#, &["a b c"]),
            (r#""""#, &[""]),
            (r#"a "" b"#, &["a", "", "b"]),
            // The examples of Microsoft's page about arguments.
            (r#""abc" d e"#, &["abc", "d", "e"]),
            (r#"a\\b d"e f"g h"#, &[r"a\\b", "de fg", "h"]),
            (r#"a\\\"b c d"#, &[r#"a\"b"#, "c", "d"]),
            (r#"a\\\\"b c" d e"#, &[r"a\\b c", "d", "e"]),
            (r#"a"b"" c d"#, &[r#"ab""#, "c", "d"]),
            // Backslashes that stand before no quote.
            (r"C:\Program\ x\", &[r"C:\Program\", r"x\"]),
            (r#""C:\with space\\" y"#, &[r"C:\with space\", "y"]),
            (r#""C:\with space\" y"#, &[r#"C:\with space" y"#]),
            (r#"\"a b\""#, &[r#""a"#, r#"b""#]),
            // Rows of quotes.
            (r#""a""b" c"#, &[r#"a"b c"#]),
            (r#""a"""b c"#, &[r#"a"b c"#]),
            (r#"""""" x"#, &["\"", "x"]),
            (r#""""a"#, &[r#""a"#]),
            (r#"""a b"#, &["a", "b"]),
            // A part without its last quote.
            (r#"a "b c"#, &["a", "b c"]),
            ("\"", &[""]),
            // Only blanks separate.
            ("a\u{a0}b é\nü", &["a\u{a0}b", "é\nü"]),
            ("'a b' $x `y`", &["'a", "b'", "$x", "`y`"]),
        ];
        for (text, expected) in cases {
            assert_eq!(&split(text), expected, "{text}");
        }
    }
}
