//! Texts from outside, as those who read a log may see them.

/// What stands at the end of a value that was cut.
pub(crate) const CUT: &str = "…";

/// Whether a character changes how others are shown, or ends a line for whoever shows it: controls (C0, DEL and C1), the
/// separators of lines and paragraphs, the marks that turn the direction of text, and the mark of the byte order. What writes texts from outside to a log or a terminal shows them escaped.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
        )
}

/// The beginning of a value that is longer than `limit` bytes, up to the beginning of a character of UTF-8.
pub(crate) fn cut(value: &[u8], limit: usize) -> Option<&[u8]> {
    if value.len() <= limit {
        return None;
    }
    let is_inside = |at: usize| value[at] & 0xc0 == 0x80;
    // Bytes that are no UTF-8 are cut somewhere.
    let end = (limit.saturating_sub(3)..=limit).rev().find(|&at| !is_inside(at)).unwrap_or(limit);
    Some(&value[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_or_turns_is_known() {
        for hidden in
            ['\0', '\n', '\u{7f}', '\u{80}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{feff}']
        {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
        for shown in [' ', 'a', '"', '\u{a0}', 'ä', '…', '\u{2027}', '\u{202f}', '🙂'] {
            assert!(!is_hidden(shown), "{shown:?}");
        }
    }

    #[test]
    fn a_cut_does_not_divide_a_character() {
        assert_eq!(cut(b"abc", 3), None);
        assert_eq!(cut(b"abcd", 3), Some(&b"abc"[..]));
        assert_eq!(cut("aää".as_bytes(), 4), Some("aä".as_bytes()));
        assert_eq!(cut("a🙂b".as_bytes(), 4), Some(&b"a"[..]));
        assert_eq!(cut(b"\x80\x80\x80\x80\x80\x80", 4), Some(&[0x80; 4][..]));
        assert_eq!(cut(b"ab", 0), Some(&b""[..]));
    }
}
