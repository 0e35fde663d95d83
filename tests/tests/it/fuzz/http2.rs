//! The same for HTTP/2: frames of all kinds behind a good preface.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use server_kestrel::HttpProtocols;

use super::generate::{self, End, Input};
use super::{Arena, Outcome, check, handle, parse};
use crate::support::{GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, header_block};

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// The end of a stream, as a flag.
const END_STREAM: u8 = 1;

const METHODS: &[(&str, &str)] = &[(":method", "GET"), (":method", "POST"), (":method", "HEAD")];

const PATHS: &[&str] = &["/", "/read", "/first", "/late", "/stream", "/echo", "*", "", "/%00"];

const FIELDS: &[(&str, &str)] = &[
    ("content-length", "5"),
    ("content-length", "x"),
    ("te", "trailers"),
    ("connection", "close"),
    ("expect", "100-continue"),
    ("Name", "x"),
    (":status", "200"),
    (":protocol", "websocket"),
    (":method", "CONNECT"),
    ("host", "b"),
];

fn block() -> impl Strategy<Value = Vec<u8>> {
    const REST: [(&str, &str); 2] = [(":scheme", "http"), (":authority", "a")];
    let good = (select(METHODS), select(PATHS));
    let fields = prop_oneof![2 => Just(Vec::new()), 1 => vec(select(FIELDS), 1..3)];
    let of_fields = (good, fields).prop_map(|((method, path), fields)| {
        header_block(&[&[method, (":path", path), REST[0], REST[1]], &fields[..]].concat())
    });
    prop_oneof![8 => of_fields, 1 => vec(any::<u8>(), 0..30), 1 => Just(header_block(&[("name", "x")]))]
}

/// A frame without its stream.
type Draft = (u8, u8, Vec<u8>);

fn headers() -> impl Strategy<Value = Draft> {
    let flags = prop_oneof![4 => Just(5), 4 => Just(4), 1 => Just(0), 1 => Just(1), 1 => any::<u8>()];
    (Just(HEADERS), flags, block())
}

fn other() -> impl Strategy<Value = Draft> {
    let payload = || vec(any::<u8>(), 0..20);
    let number =
        || select(&[0_u32, 1, 8, 0x7fff_ffff, 0x8000_0000][..]).prop_map(|n| n.to_be_bytes().to_vec());
    let setting = (0..10_u16, number()).prop_map(|(id, value)| [&id.to_be_bytes()[..], &value].concat());
    let mixed = prop_oneof![
        (select(
            &[DATA, HEADERS, 2, RST_STREAM, SETTINGS, 5, 6, GOAWAY, WINDOW_UPDATE, CONTINUATION, 10, 255][..]
        )),
        any::<u8>()
    ];
    prop_oneof![
        6 => (Just(DATA), select(&[0_u8, 1, 8, 9][..]), prop_oneof![Just(b"hello".to_vec()), payload()]),
        2 => (Just(CONTINUATION), select(&[0_u8, 4][..]), prop_oneof![block(), payload()]),
        2 => (Just(RST_STREAM), Just(0_u8), number()),
        2 => (Just(WINDOW_UPDATE), Just(0_u8), number()),
        2 => (Just(SETTINGS), select(&[0_u8, 1][..]), prop_oneof![setting, Just(Vec::new())]),
        1 => (Just(6_u8), select(&[0_u8, 1][..]), vec(any::<u8>(), 8)),
        1 => (Just(GOAWAY), Just(0_u8), number().prop_map(|code| [&[0; 4], &code[..]].concat())),
        1 => (mixed, any::<u8>(), payload()),
    ]
}

/// Which stream a frame is of: the next one, one of those before it, or anything.
#[derive(Clone, Debug)]
enum Stream {
    Next,
    Last,
    Connection,
    Other(u32),
}

fn input() -> impl Strategy<Value = Input> {
    let stream = prop_oneof![
        8 => Just(Stream::Last),
        2 => Just(Stream::Connection),
        1 => (0..12_u32).prop_map(Stream::Other),
        1 => any::<u32>().prop_map(Stream::Other),
    ];
    let opening = (prop_oneof![9 => Just(Stream::Next), 1 => stream.clone()], headers());
    let valid_on_connection = other().prop_map(|draft| {
        let is_of_all = matches!(draft.0, SETTINGS | 6 | GOAWAY);
        (if is_of_all { Stream::Connection } else { Stream::Last }, draft)
    });
    let frames = vec(prop_oneof![4 => opening, 4 => valid_on_connection, 1 => (stream, other())], 0..12);
    let broken = prop_oneof![9 => Just(None), 1 => any::<(Index, u8)>().prop_map(Some)];
    (frames, broken, vec(any::<Index>(), 0..5), generate::end()).prop_map(|(frames, broken, cuts, end)| {
        let mut bytes = PREFACE.to_vec();
        let mut last = u32::MAX;
        for (stream, (kind, flags, payload)) in frames {
            let stream = match stream {
                Stream::Next => {
                    last = last.wrapping_add(2);
                    last
                }
                Stream::Last if last == u32::MAX => 1,
                Stream::Last => last,
                Stream::Connection => 0,
                Stream::Other(stream) => stream,
            };
            bytes.extend(frame(kind, flags, stream, &payload));
        }
        if let Some((place, byte)) = broken {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        Input::new(bytes, &cuts, end)
    })
}

/// What the server may send: whole frames, on streams that the client opened, one answer for each request at the most,
/// nothing behind the end of a stream or of the connection.
fn check_frames(input: &Input, outcome: &Outcome) -> Result<(), TestCaseError> {
    let frames = parse::frames(&outcome.received).map_err(TestCaseError::fail)?;
    // Whether the answer has ended.
    let mut answered = BTreeMap::<u32, bool>::new();
    let mut reset = BTreeSet::new();
    let mut left_with = None;
    for frame in &frames {
        prop_assert!(frame.kind <= CONTINUATION && frame.payload.len() <= 16_384, "{frame:?}");
        // h2 resets a stream with a malformed head whatever its number.
        let is_number_good = frame.stream == 0 || frame.stream % 2 == 1 || frame.kind == RST_STREAM;
        prop_assert!(is_number_good, "{frame:?}");
        prop_assert!(left_with.is_none_or(|code| code == 0), "after the end: {frame:?}");
        let is_ended = answered.get(&frame.stream).copied().unwrap_or_default();
        match frame.kind {
            HEADERS => {
                prop_assert!(
                    !is_ended && !answered.contains_key(&frame.stream),
                    "a second answer: {frame:?}"
                );
                prop_assert!(frame.flags & 4 != 0 && !reset.contains(&frame.stream), "{frame:?}");
                answered.insert(frame.stream, frame.flags & END_STREAM != 0);
            }
            DATA => {
                prop_assert!(answered.contains_key(&frame.stream) && !is_ended, "{frame:?}");
                prop_assert!(!reset.contains(&frame.stream), "{frame:?}");
                answered.insert(frame.stream, frame.flags & END_STREAM != 0);
            }
            RST_STREAM => drop(reset.insert(frame.stream)),
            GOAWAY => left_with = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap())),
            _ => {}
        }
    }
    prop_assert!(answered.len() <= outcome.calls.len(), "more answers than requests: {frames:?}");
    let is_preface_good = input.bytes.starts_with(PREFACE);
    prop_assert!(!is_preface_good || frames.first().is_some_and(|frame| frame.kind == SETTINGS));
    Ok(())
}

#[test]
fn no_frames_of_http_2_break_the_server() {
    let arena = Arena::new(HttpProtocols::Http2, handle);
    check(2000, &input(), |input| check_frames(input, &arena.exchange(input)?));
}

#[test]
fn frames_may_be_cut_anywhere() {
    let arena = Arena::new(HttpProtocols::Http1AndHttp2, handle);
    let all = [
        PREFACE.to_vec(),
        frame(HEADERS, 4, 1, &header_block(&[(":method", "POST"), (":path", "/read"), (":scheme", "http")])),
        frame(DATA, END_STREAM, 1, b"hello"),
    ];
    let bytes = all.concat();
    let strategy = vec(any::<Index>(), 0..10);
    check(200, &strategy, |cuts| {
        let input = Input::new(bytes.clone(), cuts, End::Finish);
        let outcome = arena.exchange(&input)?;
        check_frames(&input, &outcome)?;
        prop_assert_eq!(outcome.calls.len(), 1);
        Ok(())
    });
}
