//! The two small languages within a profile's texts.

/// Replaces each `%NAME%` by the variable's value. A name that `lookup` does not know stays, and its second
/// `%` may begin another, as in .NET's `ExpandEnvironmentVariables`.
pub(super) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once('%').and_then(|(before, after)| Some((before, after.split_once('%')?)))
    {
        expanded.push_str(before);
        match lookup(name).filter(|_| !name.is_empty()) {
            Some(value) => {
                expanded.push_str(&value);
                rest = after;
            }
            None => {
                expanded.push('%');
                expanded.push_str(name);
                rest = &rest[before.len() + name.len() + 1..];
            }
        }
    }
    expanded + rest
}

/// Splits arguments at blanks, minding double quotes. Backslashes count only before a quote, where two are
/// one and an odd one makes the quote a character; so do two quotes within quotes.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current: Option<String> = None;
    let mut quoted = false;
    let mut backslashes = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                current.get_or_insert_default();
                backslashes += 1;
            }
            '"' => {
                let argument = current.get_or_insert_default();
                argument.extend(std::iter::repeat_n('\\', backslashes / 2));
                let escaped = backslashes % 2 == 1;
                backslashes = 0;
                if escaped || (quoted && characters.next_if_eq(&'"').is_some()) {
                    argument.push('"');
                } else {
                    quoted = !quoted;
                }
            }
            blank if blank.is_whitespace() && !quoted => {
                arguments.extend(finish(current.take(), &mut backslashes));
            }
            character => {
                let argument = current.get_or_insert_default();
                argument.extend(std::iter::repeat_n('\\', std::mem::take(&mut backslashes)));
                argument.push(character);
            }
        }
    }
    arguments.extend(finish(current, &mut backslashes));
    arguments
}

fn finish(argument: Option<String>, backslashes: &mut usize) -> Option<String> {
    let trailing = "\\".repeat(std::mem::take(backslashes));
    argument.map(|argument| argument + &trailing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_between_percent_signs_are_expanded() {
        let lookup = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            "A B" => Some("x%HOME%".to_owned()),
            "" => Some("never".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("%HOME%/bin", "/home/me/bin"),
            ("%HOME%%HOME%", "/home/me/home/me"),
            ("%A B%", "x%HOME%"),
            ("%NOPE%", "%NOPE%"),
            ("%NOPE%HOME%", "%NOPE/home/me"),
            ("100%", "100%"),
            ("%%HOME%%", "%/home/me%"),
            ("%%", "%%"),
            ("ä%HOME%ö%", "ä/home/meö%"),
        ] {
            assert_eq!(expand(text, lookup), expected, "{text}");
        }
    }

    #[test]
    fn arguments_are_split_at_blanks_outside_quotes() {
        for (text, expected) in [
            ("", &[][..]),
            ("  ", &[]),
            ("a  b\tc", &["a", "b", "c"]),
            (r#"a "" c"#, &["a", "", "c"]),
            (r#""a b" c"#, &["a b", "c"]),
            (r#"--name="a b"x"#, &["--name=a bx"]),
            (r#"\"a b\""#, &["\"a", "b\""]),
            (r#""a \"b\" c""#, &["a \"b\" c"]),
            (r#""a ""b"" c""#, &["a \"b\" c"]),
            (r"C:\dir\ x", &[r"C:\dir\", "x"]),
            (r#""C:\my dir\\" x"#, &[r"C:\my dir\", "x"]),
            (r#""open end"#, &["open end"]),
            (r"'a b'", &["'a", "b'"]),
            (r"\", &[r"\"]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
