//! The common and the combined log format, escaped as Apache does.

use http::HeaderName;
use http::header::{REFERER, USER_AGENT};

use super::AccessLogField as Field;
use super::step::{Column, Step, What};
use super::text::{self, LOWER, Plain};

/// The fields whose values a combined line has.
pub(super) const FIELDS: [HeaderName; 2] = [REFERER, USER_AGENT];

pub(super) fn steps(is_combined: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::of("", Column::Field(Field::ClientIpAddress)),
        Step::of(" - ", Column::Field(Field::UserName)),
        Step { before: b" [".to_vec(), what: What::CommonTime },
        Step { before: b"] \"".to_vec(), what: What::RequestLine },
        Step::of("\" ", Column::Field(Field::ProtocolStatus)),
        Step { before: b" ".to_vec(), what: What::SentOrDash },
    ];
    if is_combined {
        let [referer, agent] = FIELDS.map(Column::Request);
        steps.push(Step::of(" \"", referer));
        steps.push(Step::of("\" \"", agent));
        steps.push(Step { before: b"\"".to_vec(), what: What::Nothing });
    }
    steps
}

type PlainQuoted = Plain<b' ', b'"', b'"', b'\\', b'\\'>;
type PlainWord = Plain<b'!', b'"', b'"', b'\\', b'\\'>;

/// Inside of quotes.
pub(super) fn value(text: &mut Vec<u8>, value: &[u8], limit: usize) {
    PlainQuoted::write(text, value, limit, escape);
}

/// Outside of quotes, where a space is an end.
pub(super) fn user(text: &mut Vec<u8>, value: &[u8], limit: usize) {
    match value {
        b"" => text.push(b'-'),
        user => PlainWord::write(text, user, limit, escape),
    }
}

fn escape(text: &mut Vec<u8>, byte: u8) {
    text.push(b'\\');
    match byte {
        b'"' | b'\\' => text.push(byte),
        b'\n' => text.push(b'n'),
        b'\r' => text.push(b'r'),
        b'\t' => text.push(b't'),
        byte => {
            text.push(b'x');
            text::hexadecimal(text, byte, LOWER);
        }
    }
}
