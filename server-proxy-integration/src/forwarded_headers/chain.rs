//! A list of entries, taken from its right end.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memrchr2;

/// The entries of all fields with one name. What a proxy has added stands at the right, and nothing on the left of it can
/// change how it is read: neither bytes that are no text nor a quote that does not end.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain<'h> {
    /// The lines before the one at hand.
    earlier: Vec<&'h [u8]>,
    mark: Mark<'h>,
    /// Whether a backslash in quotes makes the next byte a plain one.
    has_escapes: bool,
}

/// How far a chain has been taken.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark<'h> {
    /// How many of the earlier lines are left.
    lines: usize,
    /// What is left of the line at hand.
    rest: &'h [u8],
}

impl<'h> Chain<'h> {
    /// The chain of the fields with a name, of which this is the last one.
    pub(super) fn new(last: &'h HeaderValue, several: Option<(&'h HeaderMap, &HeaderName)>) -> Self {
        let mut chain = Self { mark: Mark { lines: 0, rest: last.as_bytes() }, ..Self::default() };
        if let Some((headers, name)) = several {
            chain.earlier = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            chain.earlier.pop();
            chain.mark.lines = chain.earlier.len();
        }
        chain
    }

    /// With backslashes in quotes, as RFC 7239 has them.
    pub(super) fn with_escapes(mut self) -> Self {
        self.has_escapes = true;
        self
    }

    pub(super) fn mark(&self) -> Mark<'h> {
        self.mark
    }

    /// How many entries are left.
    pub(super) fn count_left(&self) -> usize {
        self.clone().count()
    }

    /// What is left at a mark, as lines.
    pub(super) fn left(&self, mark: Mark<'h>) -> Vec<HeaderValue> {
        if mark.lines == 0 && mark.rest.is_empty() {
            return Vec::new();
        }
        if (Chain { earlier: self.earlier.clone(), mark, has_escapes: self.has_escapes }).next().is_none() {
            return Vec::new();
        }
        let lines = self.earlier.iter().take(mark.lines).copied();
        let lines = lines.chain([trim_end(mark.rest)]).filter(|line| !line.is_empty());
        // Bytes of a value are a value.
        lines.filter_map(|line| HeaderValue::from_bytes(line).ok()).collect()
    }
}

impl<'h> Iterator for Chain<'h> {
    type Item = &'h [u8];

    /// The next entry to the left, with its quotes. Empty ones are passed over.
    fn next(&mut self) -> Option<&'h [u8]> {
        loop {
            let line = self.mark.rest;
            if line.is_empty() {
                self.mark.lines = self.mark.lines.checked_sub(1)?;
                self.mark.rest = self.earlier.get(self.mark.lines).copied()?;
                continue;
            }
            let (rest, entry) = match last_comma(line, self.has_escapes) {
                Some(comma) => (&line[..comma], &line[comma + 1..]),
                None => (&line[..0], line),
            };
            self.mark.rest = rest;
            let entry = entry.trim_ascii();
            if !entry.is_empty() {
                return Some(entry);
            }
        }
    }
}

/// Without the commas and the space at the end.
fn trim_end(line: &[u8]) -> &[u8] {
    let end = line.iter().rposition(|byte| !matches!(byte, b',' | b' ' | b'\t'));
    end.map_or(&[], |end| &line[..=end])
}

/// The last comma that does not stand in quotes, seen from the right.
fn last_comma(line: &[u8], has_escapes: bool) -> Option<usize> {
    // Most lines have no quotes.
    let last = memrchr2(b',', b'"', line)?;
    if line[last] == b',' {
        return Some(last);
    }
    let mut is_quoted = false;
    let mut at = last + 1;
    while at > 0 {
        at -= 1;
        match line[at] {
            b'"' if is_quoted && has_escapes && is_escaped(&line[..at]) => {}
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether an odd number of backslashes stands at the end.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// An entry without the quotes around it.
pub(super) fn without_quotes(entry: &[u8]) -> Cow<'_, [u8]> {
    match entry {
        [b'"', inner @ .., b'"'] => Cow::Borrowed(inner.trim_ascii()),
        entry => Cow::Borrowed(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(lines: &[&str], escapes: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x", HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let name = HeaderName::from_static("x");
        let last = headers.get_all(&name).iter().next_back().unwrap();
        let mut chain = Chain::new(last, (lines.len() > 1).then_some((&headers, &name)));
        chain.has_escapes = escapes;
        assert_eq!(chain.left(chain.mark()).is_empty(), chain.count_left() == 0);
        chain.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
    }

    #[test]
    fn entries_come_from_the_right() {
        assert_eq!(entries(&["a, b ,c"], false), ["c", "b", "a"]);
        assert_eq!(entries(&[",, a,\t,b,"], false), ["b", "a"]);
        assert_eq!(entries(&["a, b", "", "c"], false), ["c", "b", "a"]);
        assert_eq!(entries(&[""], false), [""; 0]);
        assert_eq!(entries(&[" , ,"], false), [""; 0]);
        assert_eq!(entries(&["\"a,b\", \"c\""], false), ["\"c\"", "\"a,b\""]);
        assert_eq!(entries(&["f=\"a\\\",b\";g, h"], true), ["h", "f=\"a\\\",b\";g"]);
    }

    #[test]
    fn a_quote_that_does_not_end_takes_nothing_from_its_right() {
        assert_eq!(entries(&["\", 1.2.3.4"], false), ["1.2.3.4", "\""]);
        assert_eq!(entries(&["x=\"\\, for=1.2.3.4"], true), ["for=1.2.3.4", "x=\"\\"]);
    }

    #[test]
    fn what_is_left_stays_as_it_was() {
        let mut headers = HeaderMap::new();
        headers.append("x", HeaderValue::from_static("a,  b"));
        headers.append("x", HeaderValue::from_static("c , d, e"));
        let name = HeaderName::from_static("x");
        let last = headers.get_all("x").iter().next_back().unwrap();
        let mut chain = Chain::new(last, Some((&headers, &name)));
        chain.next();
        assert_eq!(chain.left(chain.mark()), ["a,  b", "c , d"]);
        chain.next();
        chain.next();
        assert_eq!(chain.left(chain.mark()), ["a,  b"]);
        chain.next();
        assert_eq!(chain.left(chain.mark()), ["a"]);
        chain.next();
        assert_eq!(chain.left(chain.mark()), [""; 0]);
    }
}
