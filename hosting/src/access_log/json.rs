//! JSON lines.

use std::io::Write as _;

use super::AccessLogField as Field;
use super::step::{Column, Step, What};
use super::text::{self, Clock, Plain};
use crate::characters::{CUT, cut, is_hidden};

/// An object with the fields, then the header fields of the request and those of the response in one of their own.
/// `adds_trace` ends it with the trace, if there is one.
pub(super) fn steps(columns: &[Column], adds_trace: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut before = String::from("{");
    let mut has_time = false;
    for column in columns {
        let Column::Field(field) = column else { continue };
        // One of both is enough.
        if matches!(field, Field::Date | Field::Time) && std::mem::replace(&mut has_time, true) {
            continue;
        }
        before.push_str(&format!("\"{}\":", field.json_name()));
        steps.push(Step::of(&std::mem::replace(&mut before, ",".to_owned()), column.clone()));
    }
    if adds_trace {
        steps.push(Step { before: Vec::new(), what: What::TraceIfAny });
    }
    for (group, is_of_group) in [("request_headers", true), ("response_headers", false)] {
        let names = columns.iter().filter_map(|column| match column {
            Column::Request(name) if is_of_group => Some((name, column)),
            Column::Response(name) if !is_of_group => Some((name, column)),
            _ => None,
        });
        let mut is_open = false;
        for (name, column) in names {
            if !std::mem::replace(&mut is_open, true) {
                before.push_str(&format!("\"{group}\":{{"));
            }
            before.push_str(&format!("\"{name}\":"));
            steps.push(Step::of(&std::mem::replace(&mut before, ",".to_owned()), column.clone()));
        }
        if is_open {
            before.insert(0, '}');
        }
    }
    // What separates from a next one has none.
    before.pop();
    before.push('}');
    steps.push(Step { before: before.into_bytes(), what: What::Nothing });
    steps
}

/// `{"time":"...","lost_lines":3}`.
pub(super) fn remark(clock: &Clock, lost: u64) -> Vec<u8> {
    let mut text = b"{\"time\":\"".to_vec();
    clock.timestamp(&mut text);
    text.extend_from_slice(b"\",\"lost_lines\":");
    text::number(&mut text, lost);
    text.extend_from_slice(b"}\n");
    text
}

type PlainString = Plain<b' ', b'"', b'"', b'\\', b'\\'>;

pub(super) fn value(text: &mut Vec<u8>, value: &[u8], limit: usize) {
    text.push(b'"');
    if !PlainString::write_all(text, value, limit) {
        escaped(text, value, limit);
    }
    text.push(b'"');
}

#[cold]
fn escaped(text: &mut Vec<u8>, value: &[u8], limit: usize) {
    let beginning = cut(value, limit);
    characters(text, beginning.unwrap_or(value));
    if beginning.is_some() {
        text.extend_from_slice(CUT.as_bytes());
    }
}

/// Bytes that are no UTF-8 are taken for ISO-8859-1, as fields once were (RFC 9110, section 5.5).
fn characters(text: &mut Vec<u8>, value: &[u8]) {
    match std::str::from_utf8(value) {
        Ok(value) => value.chars().for_each(|shown| character(text, shown)),
        Err(_) => value.iter().for_each(|&byte| character(text, char::from(byte))),
    }
}

fn character(text: &mut Vec<u8>, character: char) {
    match character {
        '"' | '\\' => text.extend_from_slice(&[b'\\', character as u8]),
        // Writing to a vector cannot fail; all of them have four digits.
        hidden if is_hidden(hidden) => drop(write!(text, "\\u{:04x}", u32::from(hidden))),
        shown => text.extend_from_slice(shown.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
