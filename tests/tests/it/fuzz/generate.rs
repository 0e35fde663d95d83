//! Bytes that are requests, nearly requests, and none at all.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What an HTTP/2 client begins with.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client sends on one connection.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) bytes: Vec<u8>,
    /// Where they are cut, in order.
    cuts: Vec<usize>,
    pub(super) end: End,
}

/// What the client does when it has sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It says so.
    Finish,
    /// It waits.
    Stay,
}

impl Input {
    pub(super) fn new(bytes: Vec<u8>, cuts: &[Index], end: End) -> Self {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        Self { bytes, cuts, end }
    }

    pub(super) fn of_pieces(pieces: &[&str], end: End) -> Self {
        let cuts = (1..pieces.len()).map(|count| pieces[..count].concat().len()).collect();
        Self { bytes: pieces.concat().into_bytes(), cuts, end }
    }

    pub(super) fn in_one_piece(&self) -> Self {
        Self { cuts: Vec::new(), ..self.clone() }
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let ends = self.cuts.iter().copied().chain([self.bytes.len()]);
        starts.zip(ends).map(|(start, end)| &self.bytes[start..end]).filter(|piece| !piece.is_empty())
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\", {:?}, {:?}", self.bytes.escape_ascii(), self.cuts, self.end)
    }
}

const METHODS: &[&str] = &["GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get", "G@T", ""];

const TARGETS: &[&str] =
    &["/", "/read", "/first", "/late", "/stream", "/echo", "*", "http://a/", "a:80", "/%00", "/#", "/ /", ""];

const VERSIONS: &[&str] = &["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", ""];

const FIELDS: &[&str] = &[
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 5",
    "Content-Length: 100",
    "Content-Length: 30000001",
    "Content-Length: +5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding : chunked",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Expect: 100-continue",
    "Host: b",
    "Name: value",
    "Name",
    " folded",
    "Name: a\rb",
    "Name: a\0b",
    "Trailer: Name",
];

const BODIES: &[&str] = &[
    "",
    "",
    "",
    "hello",
    "hello",
    "hell",
    "hello!",
    "5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\nName: value\r\n\r\n",
    "5\r\nhello\r\n",
    "5\r\nhello\n",
    "5\nhello\r\n0\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "-5\r\nhello\r\n",
    "ffffffffffffffff\r\n",
];

/// Pieces that stand anywhere.
const LOOSE: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"0\r\n\r\n",
    b"\x16\x03\x01\x02\0\x01\0",
    PREFACE,
    b"\0\0\0\x04\0\0\0\0\0",
    b"\0\0\x08\x06\0\0\0\0\0abcdefgh",
];

fn request() -> impl Strategy<Value = Vec<u8>> {
    let ends = || prop_oneof![20 => Just("\r\n"), 2 => Just("\n"), 1 => Just("\r"), 1 => Just("")];
    let host = prop_oneof![9 => Just("Host: a"), 1 => Just("Name: value")];
    // What comes first in a list is what a failure is reduced to, and is chosen more often.
    let common = |list: &'static [&str]| prop_oneof![2 => Just(list[0]), 3 => select(list)];
    let fields = (host, vec((select(FIELDS), ends()), 0..4), ends());
    (common(METHODS), select(TARGETS), common(VERSIONS), ends(), fields, select(BODIES)).prop_map(
        |(method, target, version, end, (host, fields, last), body)| {
            let fields: String = fields.iter().map(|(field, end)| format!("{field}{end}")).collect();
            format!("{method} {target} {version}{end}{host}\r\n{fields}{last}{body}").into_bytes()
        },
    )
}

/// A change at some place of the bytes.
#[derive(Clone, Debug)]
enum Change {
    Insert(u8),
    Replace(u8),
    Remove,
    Repeat(u8),
    Truncate,
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![select(&b"\r\n \t:;,\0/0a\xff"[..]), any::<u8>()];
    prop_oneof![
        4 => byte().prop_map(Change::Insert),
        4 => byte().prop_map(Change::Replace),
        4 => Just(Change::Remove),
        2 => any::<u8>().prop_map(Change::Repeat),
        1 => Just(Change::Truncate),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, place: Index) {
        if bytes.is_empty() {
            return;
        }
        let at = place.index(bytes.len());
        match *self {
            Self::Insert(byte) => bytes.insert(at, byte),
            Self::Replace(byte) => bytes[at] = byte,
            Self::Remove => drop(bytes.remove(at)),
            Self::Repeat(count) => {
                let end = bytes.len().min(at + usize::from(count));
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Truncate => bytes.truncate(at),
        }
    }
}

pub(super) fn end() -> impl Strategy<Value = End> {
    select(&[End::Finish, End::Stay][..])
}

/// A few pieces behind one another, changed at some places and cut at some.
pub(super) fn http1() -> impl Strategy<Value = Input> {
    let piece = prop_oneof![
        6 => request(),
        3 => select(LOOSE).prop_map(<[u8]>::to_vec),
        1 => vec(any::<u8>(), 0..40),
        1 => (select(&b"a0 \r\n"[..]), 0_usize..40_000).prop_map(|(byte, count)| vec![byte; count]),
    ];
    let changes = prop_oneof![1 => Just(Vec::new()), 1 => vec((change(), any::<Index>()), 1..4)];
    (vec(piece, 1..5), changes, vec(any::<Index>(), 0..5), end()).prop_map(|(pieces, changes, cuts, end)| {
        let mut bytes = pieces.concat();
        for (change, place) in changes {
            change.apply(&mut bytes, place);
        }
        Input::new(bytes, &cuts, end)
    })
}
