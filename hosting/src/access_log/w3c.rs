//! The extended log file format of the W3C (working draft WD-logfile-960323).

use super::plan::Plan;
use super::step::{Column, Step};
use super::text::{self, Clock, Plain, UPPER};

/// The directives at the beginning of a file.
pub(super) fn head(plan: &Plan, clock: &Clock) -> Vec<u8> {
    let mut head = b"#Version: 1.0\n#Start-Date: ".to_vec();
    clock.date(&mut head);
    head.push(b' ');
    clock.time(&mut head);
    head.extend_from_slice(b"\n#Fields:");
    head.extend_from_slice(plan.field_names.as_bytes());
    head.push(b'\n');
    head
}

/// The names of the columns, with a space before each.
pub(super) fn names(columns: &[Column]) -> String {
    let name = |column: &Column| match column {
        Column::Field(field) => format!(" {}", field.w3c_name()),
        Column::Request(name) => format!(" cs({name})"),
        Column::Response(name) => format!(" sc({name})"),
    };
    columns.iter().map(name).collect()
}

pub(super) fn steps(columns: &[Column]) -> Vec<Step> {
    let step = |(index, column): (usize, &Column)| Step::of(if index > 0 { " " } else { "" }, column.clone());
    columns.iter().enumerate().map(step).collect()
}

type PlainValue = Plain<b'!', b'"', b'%', b'+', b'#'>;
type PlainTarget = Plain<b'!', b'"', b'"', b'#', b'#'>;

/// A space is `+`, and what could be taken for something else is `%` and two digits, so that every value can be read
/// back.
pub(super) fn value(text: &mut Vec<u8>, value: &[u8], limit: usize) {
    if let Some(value) = given(text, value) {
        PlainValue::write(text, value, limit, escape);
    }
}

/// A target is escaped already, but for what clients should have escaped.
pub(super) fn target(text: &mut Vec<u8>, value: &[u8], limit: usize) {
    if let Some(value) = given(text, value) {
        PlainTarget::write(text, value, limit, escape);
    }
}

/// Writes what stands for nothing, and for what could be taken for it.
#[inline]
fn given<'a>(text: &mut Vec<u8>, value: &'a [u8]) -> Option<&'a [u8]> {
    match value {
        b"" => text.push(b'-'),
        b"-" => text.extend_from_slice(b"%2D"),
        _ => return Some(value),
    }
    None
}

fn escape(text: &mut Vec<u8>, byte: u8) {
    if byte == b' ' {
        text.push(b'+');
    } else {
        text.push(b'%');
        text::hexadecimal(text, byte, UPPER);
    }
}
