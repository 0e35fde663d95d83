//! Arguments in one text.

use proptest::prelude::*;
use server_module::command::split;

/// Puts an argument into quotes as programs on Windows do.
fn quoted(argument: &str) -> String {
    let mut text = String::from("\"");
    let mut backslashes = 0;
    for character in argument.chars() {
        match character {
            '\\' => backslashes += 1,
            '"' => {
                text.push_str(&"\\".repeat(backslashes + 1));
                backslashes = 0;
            }
            _ => backslashes = 0,
        }
        text.push(character);
    }
    text.push_str(&"\\".repeat(backslashes));
    text + "\""
}

proptest! {
    /// What a program puts into quotes comes out as it was.
    #[test]
    fn arguments_in_quotes_come_out_as_they_were(
        arguments in proptest::collection::vec("[a \\\\\"\t%é]{0,8}", 0..6),
    ) {
        let text = arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" \t ");
        prop_assert_eq!(split(&text), arguments);
    }

    /// Words without quotes and backslashes are what stands between blanks.
    #[test]
    fn words_are_what_stands_between_blanks(text in "[a-c \t=-]{0,30}") {
        let words: Vec<_> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        prop_assert_eq!(split(&text), words);
    }
}
