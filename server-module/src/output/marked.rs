//! Lines that a worker prints, as they stand between those of others in the output of the module.

use std::fmt::Write as _;

use hosting::is_hidden_character;
use rustix::process::Pid;

/// The bytes of a line that are one piece; what is longer is several, each with its mark. Escaped they are at the most six times
/// as many. The journal divides lines of more than 48 KiB (`LineMax=` in journald.conf(5)), and what stands behind such a cut
/// could be taken for a priority.
const LONGEST: usize = 7 << 10;

/// Makes lines of what a worker prints: `shop: text`, or `shop[4711]: text` where the application has several processes.
///
/// A line is written at once when it is whole, or cut. What could move the cursor of a terminal, hide text or look like a line of
/// somebody else is shown escaped: control characters but tabs, what turns the direction of text or separates lines
/// ([`is_hidden_character`]), and bytes that are no UTF-8. For the journal of systemd a priority
/// in front of a line (sd-daemon(3)) stays in front; in the middle of one it is text.
#[derive(Debug)]
pub(crate) struct Marked {
    mark: String,
    is_journal: bool,
    /// What has come of the line.
    line: Vec<u8>,
    /// Whether a piece of it was written.
    is_cut: bool,
}

impl Marked {
    /// For an application, and one of its processes if it has several.
    pub(crate) fn new(application: &str, pid: Option<Pid>, is_journal: bool) -> Self {
        let mut mark = String::new();
        escape(application.as_bytes(), &mut mark);
        if let Some(pid) = pid {
            let _ = write!(mark, "[{pid}]");
        }
        mark.push_str(": ");
        Self { mark, is_journal, line: Vec::new(), is_cut: false }
    }

    /// Takes what has come, and hands on the lines that it completes, one by one.
    pub(super) fn take(&mut self, mut bytes: &[u8], mut print: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
            let room = LONGEST - self.line.len();
            let (now, rest) = bytes.split_at(end.min(room));
            self.line.extend_from_slice(now);
            bytes = rest;
            if bytes.first() == Some(&b'\n') {
                bytes = &bytes[1..];
                self.end_line(&mut print);
            } else if self.line.len() == LONGEST {
                self.cut(&mut print);
            }
        }
    }

    /// Hands on a last line that has no end.
    pub(super) fn finish(&mut self, mut print: impl FnMut(&[u8])) {
        if !self.line.is_empty() {
            self.end_line(&mut print);
        }
    }

    fn end_line(&mut self, print: &mut impl FnMut(&[u8])) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        // A line whose pieces are all written has no empty one more.
        if !(self.is_cut && line.is_empty()) {
            print(self.piece(line).as_bytes());
        }
        self.line.clear();
        self.is_cut = false;
    }

    /// Hands on a piece of a line, up to the end of a character.
    fn cut(&mut self, print: &mut impl FnMut(&[u8])) {
        let is_middle = |byte: &u8| byte & 0b1100_0000 == 0b1000_0000;
        let middle = self.line.iter().rev().take(3).take_while(|byte| is_middle(byte)).count();
        let last = self.line.len() - middle - 1;
        // The first byte of a character tells how many there are.
        let is_whole = self.line[last].leading_ones().saturating_sub(1) as usize <= middle;
        let end = if is_whole { self.line.len() } else { last };
        print(self.piece(&self.line[..end]).as_bytes());
        self.line.drain(..end);
        self.is_cut = true;
    }

    fn piece(&self, bytes: &[u8]) -> String {
        let mut piece = String::with_capacity(self.mark.len() + bytes.len() + 8);
        let (priority, text) = match bytes {
            [b'<', level @ b'0'..=b'7', b'>', text @ ..] if self.is_journal && !self.is_cut => {
                (Some(char::from(*level)), text)
            }
            text => (None, text),
        };
        if let Some(priority) = priority {
            let _ = write!(piece, "<{priority}>");
        }
        piece.push_str(&self.mark);
        escape(text, &mut piece);
        piece.push('\n');
        piece
    }
}

/// Appends a text as it can be shown.
fn escape(bytes: &[u8], shown: &mut String) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\t' => shown.push('\t'),
                hidden if is_hidden_character(hidden) => drop(write!(shown, "{}", hidden.escape_unicode())),
                other => shown.push(other),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is printed of these, as they come.
    fn printed(mut marked: Marked, pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut print = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).unwrap());
        for piece in pieces {
            marked.take(piece, &mut print);
        }
        marked.finish(&mut print);
        lines
    }

    fn shop() -> Marked {
        Marked::new("shop", None, false)
    }

    #[test]
    fn each_line_has_its_mark_however_it_comes() {
        let lines = printed(shop(), &[b"one\ntw", b"o\r\n\n", b"end"]);
        assert_eq!(lines, ["shop: one\n", "shop: two\n", "shop: \n", "shop: end\n"]);
        let lines = printed(Marked::new("shop", Pid::from_raw(4711), false), &[b"one\n"]);
        assert_eq!(lines, ["shop[4711]: one\n"]);
    }

    #[test]
    fn what_is_no_text_is_shown_escaped() {
        let lines =
            printed(shop(), &[b"\x1b[2J\x07 a\tb \xff\xc3 \xc2\x9bK \x7f a\rb\n", "grün\n".as_bytes()]);
        assert_eq!(
            lines,
            ["shop: \\u{1b}[2J\\u{7} a\tb \\xff\\xc3 \\u{9b}K \\u{7f} a\\u{d}b\n", "shop: grün\n"]
        );
        let lines = printed(shop(), &["a\u{202e}b\u{2028}c\u{feff}\n".as_bytes()]);
        assert_eq!(lines, ["shop: a\\u{202e}b\\u{2028}c\\u{feff}\n"]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters_and_each_piece_is_marked() {
        let long = "ü".repeat(LONGEST);
        // One byte before it, so that the limit is within a character.
        let lines = printed(shop(), &[b"x", long.as_bytes(), b"\nnext\n"]);
        let texts: Vec<_> = lines.iter().map(|line| line.strip_prefix("shop: ").unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert!(texts.iter().all(|text| text.len() <= LONGEST + 1 && !text.contains('\\')));
        assert_eq!(texts[..3].iter().map(|text| text.trim_end()).collect::<String>(), format!("x{long}"));
        assert_eq!(texts[3], "next\n");
        // One that is as long as a piece is one.
        let exact = printed(shop(), &["x".repeat(LONGEST).as_bytes(), b"\n"]);
        assert_eq!(exact.len(), 1);
    }

    #[test]
    fn the_journal_gets_the_priority_of_a_line_and_none_of_its_text() {
        let journal = || Marked::new("shop", None, true);
        let lines = printed(journal(), &[b"<3>bad\n<9>odd\n <2>later\nplain <1>\n"]);
        assert_eq!(lines, ["<3>shop: bad\n", "shop: <9>odd\n", "shop:  <2>later\n", "shop: plain <1>\n"]);
        let mut long = b"<4>".to_vec();
        long.resize(LONGEST, b'x');
        long.extend_from_slice(b"<0>forged\n");
        let lines = printed(journal(), &[&long]);
        assert!(lines[0].starts_with("<4>shop: xx"));
        assert_eq!(lines[1..], ["shop: <0>forged\n"]);
        assert_eq!(printed(shop(), &[b"<3>bad\n"]), ["shop: <3>bad\n"]);
    }

    #[test]
    fn nothing_makes_a_piece_so_long_that_the_journal_divides_it() {
        for hidden in ["\x1b", "\u{80}", "\u{202e}"] {
            let lines = printed(Marked::new("shop", None, true), &[hidden.repeat(100_000).as_bytes()]);
            assert!(lines.len() > 10 && lines.iter().all(|line| line.len() < 47 * 1024), "{hidden:?}");
        }
        let invalid = printed(Marked::new("shop", None, true), &[&[0xff; 100_000]]);
        assert!(invalid.iter().all(|line| line.len() < 47 * 1024));
    }

    proptest! {
        #[test]
        fn every_piece_is_one_marked_line_of_text(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..4),
            is_journal: bool,
        ) {
            let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
            for line in printed(Marked::new("shop", None, is_journal), &pieces) {
                let text = line.strip_suffix('\n').expect("an end");
                prop_assert!(text.chars().all(|character| character == '\t' || !is_hidden_character(character)));
                let is_marked = text.starts_with("shop: ") || (is_journal && text.get(3..9) == Some("shop: "));
                prop_assert!(is_marked, "{text:?}");
            }
        }
    }
}
