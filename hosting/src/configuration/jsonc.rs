//! JSON with comments and trailing commas, and where in the text everything stands.

use std::fmt;

use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::Value,
    errors::{ParseError, ParseErrorKind},
    parse_to_ast,
};

/// Comments and trailing commas, as ASP.NET Core reads its files, and nothing else that is not JSON.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// A text and its lines.
pub(crate) struct Document<'a> {
    text: &'a str,
    line_starts: Vec<usize>,
}

/// A place in a text, counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// What is wrong with a text, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) position: Position,
    pub(crate) message: String,
}

impl<'a> Document<'a> {
    /// Takes a file's text, with or without a byte order mark.
    pub(crate) fn new(text: &'a str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self { text, line_starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The one value in the text.
    pub(crate) fn parse(&self) -> Result<Value<'a>, Fault> {
        match parse_to_ast(self.text, &CollectOptions::default(), &OPTIONS) {
            Ok(result) => result.value.ok_or_else(|| self.fault(self.text.len(), "expected a value")),
            Err(error) => Err(self.fault(error.range().start, message(&error))),
        }
    }

    /// Where the byte at `offset` stands.
    pub(crate) fn position(&self, offset: usize) -> Position {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        let before = &self.text[self.line_starts[line - 1]..offset];
        Position { line, column: before.chars().count() + 1 }
    }

    pub(crate) fn fault(&self, offset: usize, message: impl Into<String>) -> Fault {
        Fault { position: self.position(offset), message: message.into() }
    }
}

/// What a value is, for messages.
pub(crate) fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "text",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "true or false",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "null",
    }
}

/// The parser's messages in our words where its own point nowhere, else in lower case.
fn message(error: &ParseError) -> String {
    match error.kind() {
        ParseErrorKind::ExpectedColonAfterObjectKey => "expected ':' after the key".to_owned(),
        ParseErrorKind::ExpectedObjectValue => "expected a value after ':'".to_owned(),
        ParseErrorKind::ExpectedStringObjectProperty | ParseErrorKind::UnexpectedTokenInObject => {
            "expected a key in double quotes, or '}'".to_owned()
        }
        ParseErrorKind::ExpectedComma => "expected ','".to_owned(),
        ParseErrorKind::UnterminatedObject => "expected a '}' for this '{'".to_owned(),
        ParseErrorKind::UnterminatedArray => "expected a ']' for this '['".to_owned(),
        ParseErrorKind::MultipleRootJsonValues => "expected nothing more after the first value".to_owned(),
        kind => lower_first(&kind.to_string()),
    }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_lowercase().chain(characters).collect()).unwrap_or_default()
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        Document::new(text).parse().map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_fault_names_line_and_column_in_characters() {
        assert_eq!(fault("{\n  \"ä\" 1\n}"), "line 2, column 7: expected ':' after the key");
        assert_eq!(fault("{\r\n  \"a\": 1\r\n  \"b\": 2 }"), "line 2, column 9: expected ','");
        assert_eq!(fault("[\n{ \"a\": [1, 2 ]"), "line 2, column 1: expected a '}' for this '{'");
        assert_eq!(fault(""), "line 1, column 1: expected a value");
        assert_eq!(fault("{} {}"), "line 1, column 4: expected nothing more after the first value");
        assert_eq!(fault("{ \"a\": \"b }"), "line 1, column 8: unterminated string literal");
        assert_eq!(fault("{ 'a': 1 }"), "line 1, column 3: single-quoted strings are not allowed");
        assert_eq!(fault("{ a: 1 }"), "line 1, column 3: expected a key in double quotes, or '}'");
    }

    #[test]
    fn comments_trailing_commas_and_a_byte_order_mark_are_allowed() {
        let text = "\u{feff}{ // one\n /* two */ \"a\": [1, 2,], }";
        let document = Document::new(text);
        let value = document.parse().unwrap();
        assert_eq!(value.as_object().unwrap().properties.len(), 1);
        assert_eq!(document.position(0), Position { line: 1, column: 1 });
    }

    #[test]
    fn text_that_is_not_json_is_a_fault_and_never_a_panic() {
        for text in [
            "{", "}", "[", "\"", "{\"a\"", "{\"a\":", "{,}", "[,]", "nul", "-", "1e", "/", "/*", "\\",
            "\u{0}",
        ] {
            fault(text);
        }
        fault(&"[".repeat(100_000));
    }
}
