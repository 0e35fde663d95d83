//! Follows the framing of HTTP/1.1 requests below the engine, and only ever rejects.
//!
//! The engine parses every byte itself. What lies here makes sure that it never gets a message that two parsers could
//! frame differently, and finds out what the engine has no status for: so there is one more reader, but no second
//! opinion about where a message ends.

mod chunks;
mod head;

pub(crate) use head::HeadLimits;

use chunks::Chunks;
use head::Head;

use crate::refusal::Refusal;

/// Where in a request the next byte lies.
enum State {
    /// The request line and the header fields.
    Head,
    /// A body of so many bytes more.
    Body(u64),
    /// A body in chunks, and its trailers.
    Chunks(Chunks),
    /// After a request whose answer decides what the next byte means.
    Undecided,
    /// The bytes are no longer HTTP.
    Tunnel,
}

/// What becomes of the bytes that were looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The engine gets all of them.
    Pass,
    /// The engine gets so many of them; the others wait until the answer tells what they are.
    Hold(usize),
    /// The engine gets so many of them and none after them.
    Refuse(usize, Refusal),
}

/// Follows the requests of one connection.
pub(crate) struct Scanner {
    state: State,
    head: Head,
    limits: HeadLimits,
}

impl Scanner {
    pub(crate) fn new(limits: HeadLimits) -> Self {
        Self { state: State::Head, head: Head::default(), limits }
    }

    /// Looks at the bytes that come next on the connection.
    pub(crate) fn scan(&mut self, bytes: &[u8]) -> Verdict {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            at += match &mut self.state {
                State::Head => match self.head.scan(rest, &self.limits, &mut self.state) {
                    Ok(count) => count,
                    Err(refusal) => return Verdict::Refuse(at, refusal),
                },
                State::Body(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= count as u64;
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    count
                }
                State::Chunks(chunks) => match chunks.scan(rest, &mut self.head, &self.limits) {
                    Ok(count) => {
                        if chunks.is_over() {
                            self.head.begin();
                            self.state = State::Head;
                        }
                        count
                    }
                    Err((count, refusal)) => return Verdict::Refuse(at + count, refusal),
                },
                State::Undecided => return Verdict::Hold(at),
                State::Tunnel => return Verdict::Pass,
            };
        }
        Verdict::Pass
    }

    /// What comes next is the beginning of a head, whatever has been looked at of it before.
    pub(crate) fn begin_head(&mut self) {
        self.state = State::Head;
        self.head.begin_anew();
    }

    /// Whether bytes must wait for the answer to the last request.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.state, State::Undecided)
    }

    /// The last request has been answered: either the connection is a tunnel now, or another request follows.
    pub(crate) fn decide(&mut self, is_tunnel: bool) {
        if self.is_undecided() {
            self.state = if is_tunnel { State::Tunnel } else { State::Head };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(bytes: &[u8]) -> Verdict {
        Scanner::new(HeadLimits::default()).scan(bytes)
    }

    /// In one piece, byte by byte, and cut in two everywhere: the verdict must be the same.
    fn scan_in_pieces(bytes: &[u8]) -> Verdict {
        let whole = scan(bytes);
        let place = |verdict: &Verdict, before: usize| match verdict {
            Verdict::Pass => None,
            Verdict::Hold(count) => Some((before + count, None)),
            // A head is kept from the engine as far as it can be.
            Verdict::Refuse(_, refusal) if !refusal.is_of_body() => Some((0, Some(*refusal))),
            Verdict::Refuse(count, refusal) => Some((before + count, Some(*refusal))),
        };
        for cut in 0..=bytes.len() {
            let mut scanner = Scanner::new(HeadLimits::default());
            let first = place(&scanner.scan(&bytes[..cut]), 0);
            let cut_in_two = first.or_else(|| place(&scanner.scan(&bytes[cut..]), cut));
            assert_eq!(cut_in_two, place(&whole, 0), "cut at {cut} of {}", bytes.escape_ascii());
        }
        let mut scanner = Scanner::new(HeadLimits::default());
        let single = (0..bytes.len()).find_map(|at| place(&scanner.scan(&bytes[at..=at]), at));
        assert_eq!(single, place(&whole, 0), "byte by byte: {}", bytes.escape_ascii());
        whole
    }

    #[test]
    fn requests_behind_one_another_pass() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"\r\n\nGET / HTTP/1.0\n\n",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding:CHUNKED \r\n\r\n3;a=b;c=\"d\\\"e\"\r\nabc\r\n0\r\nT: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(scan_in_pieces(bytes), Verdict::Pass, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_ambiguous_is_refused_before_its_head_ends() {
        for head in [
            &b"Content-Length: 1\r\nContent-Length: 1"[..],
            b"Content-Length: 1\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: 1",
            b"Transfer-Encoding: gzip",
            b"Transfer-Encoding: gzip\r\nTransfer-Encoding: br",
            b"Transfer-Encoding: chunked, gzip",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked, chunked",
            b"Transfer-Encoding: \x0bchunked",
            b"Content-Length: +1",
            b"Content-Length:",
            b"Content-Length: 9223372036854775808",
            b"Content-Length: 1 1",
        ] {
            let bytes = [b"POST / HTTP/1.1\r\nHost: a\r\n", head, b"\r\n\r\n"].concat();
            let Verdict::Refuse(at, refusal) = scan_in_pieces(&bytes) else {
                panic!("{} passed", bytes.escape_ascii());
            };
            assert!(at < bytes.len(), "{}", bytes.escape_ascii());
            assert_eq!(refusal.status().as_u16(), 400);
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        for body in [
            "x\r\n",
            "\r\n",
            "-1\r\n",
            " 1\r\n",
            "1 \r\n",
            "1\n",
            "1\r\na\n",
            "1\r\nab",
            "000000001\r\n",
            "80000000\r\n",
            "1;\r\n",
            "1;=\r\n",
            "1;a\rb\r\n",
            "1;a\n",
            "1;a=\r\n",
            "1;a=\"\r\n",
            "1;a b\r\n",
            "0\r\nT: a\n\r\n",
            "0\r\n\n",
        ] {
            let bytes = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n");
            assert!(matches!(scan_in_pieces(bytes.as_bytes()), Verdict::Refuse(..)), "{body:?} passed");
        }
    }

    #[test]
    fn statuses_of_their_own() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(8192));
        let large = format!("GET / HTTP/1.1\r\nName: {}\r\n\r\n", "a".repeat(32768));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
        for (bytes, status) in [
            (long.as_str(), 414),
            (&large, 431),
            (&many, 431),
            ("GET / HTTP/1.2\r\n\r\n", 505),
            ("GET / http/1.1\r\n\r\n", 505),
            ("GET /a#b HTTP/1.1\r\n\r\n", 400),
            ("GET /\u{e5} HTTP/1.1\r\n\r\n", 400),
            ("G#T / HTTP/1.1\r\n\r\n", 200),
            ("POST / HTTP/1.0\r\n\r\n", 400),
            ("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 200),
            ("GET / HTTP/1.1", 200),
        ] {
            let found = match scan(bytes.as_bytes()) {
                Verdict::Refuse(_, refusal) => refusal.status().as_u16(),
                _ => 200,
            };
            assert_eq!(found, status, "{}", &bytes[..bytes.len().min(40)]);
        }
    }

    #[test]
    fn bytes_behind_an_upgrade_wait() {
        let head = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n";
        let mut scanner = Scanner::new(HeadLimits::default());
        assert_eq!(scanner.scan(&[&head[..], b"\0\0"].concat()), Verdict::Hold(head.len()));
        assert!(scanner.is_undecided());
        scanner.decide(false);
        assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\n\r\n"), Verdict::Pass);
        assert_eq!(scanner.scan(b"CONNECT a:1 HTTP/1.1\r\n\r\n"), Verdict::Pass);
        scanner.decide(true);
        assert_eq!(scanner.scan(b"\0\0 \n\n"), Verdict::Pass);
    }
}
