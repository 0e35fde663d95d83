//! Numbers, times and escaped texts, without the machinery of `fmt` where a line has them.
//!
//! What only some lines have is not inlined: a compiler would take it out of the loop over a line's steps, and have every line
//! pay for it.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::characters::{CUT, cut};

/// The decimal digits of 0 to 99.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The decimal digits of 0 to 255 and how many they are.
const OCTETS: [([u8; 3], u8); 256] = {
    let mut octets = [([0; 3], 0); 256];
    let mut number = 0;
    while number < octets.len() {
        let [hundreds, tens, ones] = [number / 100, number / 10 % 10, number % 10];
        let [hundreds, tens, ones] = [b'0' + hundreds as u8, b'0' + tens as u8, b'0' + ones as u8];
        octets[number] = match number {
            0..=9 => ([ones, 0, 0], 1),
            10..=99 => ([tens, ones, 0], 2),
            _ => ([hundreds, tens, ones], 3),
        };
        number += 1;
    }
    octets
};

pub(super) fn number(line: &mut Vec<u8>, mut number: u64) {
    if number < 10 {
        line.push(b'0' + number as u8);
        return;
    }
    let mut digits = [0; 20];
    let mut start = digits.len();
    while number >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[(number % 100) as usize]);
        number /= 100;
    }
    if number > 0 {
        start -= 1;
        digits[start] = b'0' + number as u8;
    }
    line.extend_from_slice(&digits[start..]);
}

/// Of a response.
#[inline(never)]
pub(super) fn status(line: &mut Vec<u8>, status: u16) {
    line.extend_from_slice(&padded::<3>(status.into()));
}

/// With leading zeros.
fn padded<const N: usize>(mut number: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// Milliseconds with three digits after the point.
#[inline(never)]
pub(super) fn milliseconds(line: &mut Vec<u8>, duration: Duration) {
    let microseconds = duration.subsec_micros();
    let whole = duration.as_secs().saturating_mul(1000).saturating_add(u64::from(microseconds / 1000));
    number(line, whole);
    let [hundreds, tens, ones] = padded::<3>(u64::from(microseconds % 1000));
    line.extend_from_slice(&[b'.', hundreds, tens, ones]);
}

#[inline(never)]
pub(super) fn address(line: &mut Vec<u8>, address: IpAddr) {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let (mut text, mut end) = ([0; 16], 0);
            for octet in address.octets() {
                let (digits, count) = &OCTETS[usize::from(octet)];
                text[end..end + 3].copy_from_slice(digits);
                end += usize::from(*count);
                text[end] = b'.';
                end += 1;
            }
            line.extend_from_slice(&text[..end - 1]);
        }
        // Writing to a vector cannot fail.
        IpAddr::V6(address) => drop(write!(line, "{address}")),
    }
}

/// A second as text, kept until the next one.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    second: u64,
    millisecond: u16,
    date: [u8; 10],
    time: [u8; 8],
}

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

impl Default for Clock {
    fn default() -> Self {
        Self { second: 0, millisecond: 0, date: *b"1970-01-01", time: *b"00:00:00" }
    }
}

impl Clock {
    pub(super) fn set(&mut self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.millisecond = since.subsec_millis() as u16;
        let second = since.as_secs();
        if second == self.second {
            return;
        }
        self.second = second;
        let (year, month, day) = civil(second / 86_400);
        let of_day = second % 86_400;
        self.date[..4].copy_from_slice(&padded::<4>(year));
        self.date[5..7].copy_from_slice(&padded::<2>(month));
        self.date[8..].copy_from_slice(&padded::<2>(day));
        self.time[..2].copy_from_slice(&padded::<2>(of_day / 3600));
        self.time[3..5].copy_from_slice(&padded::<2>(of_day / 60 % 60));
        self.time[6..].copy_from_slice(&padded::<2>(of_day % 60));
    }

    /// `2026-11-28`.
    pub(super) fn date(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(&self.date);
    }

    /// `18:30:00`.
    pub(super) fn time(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(&self.time);
    }

    /// `2026-11-28 18:30:00`.
    #[inline(never)]
    pub(super) fn date_time(&self, line: &mut Vec<u8>) {
        let mut text = [b' '; 19];
        text[..10].copy_from_slice(&self.date);
        text[11..].copy_from_slice(&self.time);
        line.extend_from_slice(&text);
    }

    /// `2026-11-28T18:30:00.123Z`.
    #[inline(never)]
    pub(super) fn timestamp(&self, line: &mut Vec<u8>) {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        text[..10].copy_from_slice(&self.date);
        text[11..19].copy_from_slice(&self.time);
        text[20..23].copy_from_slice(&padded::<3>(self.millisecond.into()));
        line.extend_from_slice(&text);
    }

    /// `28/Nov/2026:18:30:00 +0000`.
    #[inline(never)]
    pub(super) fn common(&self, line: &mut Vec<u8>) {
        let month = usize::from((self.date[5] - b'0') * 10 + (self.date[6] - b'0'));
        line.extend_from_slice(&self.date[8..]);
        line.push(b'/');
        line.extend_from_slice(MONTHS[(month - 1) % MONTHS.len()]);
        line.push(b'/');
        line.extend_from_slice(&self.date[..4]);
        line.push(b':');
        self.time(line);
        line.extend_from_slice(b" +0000");
    }
}

/// The date of a day since 1970 in the Gregorian calendar, whose years are counted from March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Which bytes may stand as they are: the visible ones of ASCII from `FIRST` on, without four.
#[derive(Debug)]
pub(super) struct Plain<const FIRST: u8, const A: u8, const B: u8, const C: u8, const D: u8>;

/// As many bytes are looked at together.
const TOGETHER: usize = 16;

impl<const FIRST: u8, const A: u8, const B: u8, const C: u8, const D: u8> Plain<FIRST, A, B, C, D> {
    #[inline]
    fn has(byte: u8) -> bool {
        (byte >= FIRST) & (byte <= b'~') & (byte != A) & (byte != B) & (byte != C) & (byte != D)
    }

    /// A compiler makes a few instructions for all lanes of it.
    #[inline]
    fn has_piece(piece: &[u8; TOGETHER]) -> bool {
        let strange = piece.map(|byte| u8::from(!Self::has(byte)));
        u128::from_ne_bytes(strange) == 0
    }

    /// Whether all bytes may stand as they are.
    #[inline]
    fn has_all(text: &[u8]) -> bool {
        if let Some(last) = text.last_chunk() {
            let (pieces, _) = text.as_chunks();
            return pieces.iter().all(Self::has_piece) && Self::has_piece(last);
        }
        let mut piece = [b'a'; TOGETHER];
        if let (Some(first), Some(last)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            piece[..8].copy_from_slice(first);
            piece[8..].copy_from_slice(last);
        } else {
            piece[..text.len()].copy_from_slice(text);
        }
        Self::has_piece(&piece)
    }

    /// Writes a value up to its `limit`; `escape` writes the bytes that may not stand as they are.
    #[inline]
    pub(super) fn write(line: &mut Vec<u8>, value: &[u8], limit: usize, escape: fn(&mut Vec<u8>, u8)) {
        if !Self::write_all(line, value, limit) {
            Self::escaped(line, value, limit, escape);
        }
    }

    /// Writes a value as it is if it may stand so and is not longer than `limit`, else returns false.
    #[inline]
    pub(super) fn write_all(line: &mut Vec<u8>, value: &[u8], limit: usize) -> bool {
        let is_plain = value.len() <= limit && Self::has_all(value);
        if is_plain {
            line.extend_from_slice(value);
        }
        is_plain
    }

    #[cold]
    fn escaped(line: &mut Vec<u8>, value: &[u8], limit: usize, escape: fn(&mut Vec<u8>, u8)) {
        let beginning = cut(value, limit);
        for &byte in beginning.unwrap_or(value) {
            if Self::has(byte) { line.push(byte) } else { escape(line, byte) }
        }
        if beginning.is_some() {
            line.extend_from_slice(CUT.as_bytes());
        }
    }
}

pub(super) fn hexadecimal(line: &mut Vec<u8>, byte: u8, digits: &[u8; 16]) {
    line.extend_from_slice(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
}

/// The same as the timestamps of JSON lines.
pub(crate) fn timestamp(now: SystemTime) -> String {
    let (mut text, mut clock) = (Vec::new(), Clock::default());
    clock.set(now);
    clock.timestamp(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

pub(super) const UPPER: &[u8; 16] = b"0123456789ABCDEF";
pub(super) const LOWER: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        write(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (second, date, common) in [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (951_782_399, "2000-02-28T23:59:59.000Z", "28/Feb/2000:23:59:59 +0000"),
            (951_782_400, "2000-02-29T00:00:00.000Z", "29/Feb/2000:00:00:00 +0000"),
            (1_709_251_200, "2024-03-01T00:00:00.000Z", "01/Mar/2024:00:00:00 +0000"),
            (1_795_890_645, "2026-11-28T18:30:45.000Z", "28/Nov/2026:18:30:45 +0000"),
            (4_102_444_799, "2099-12-31T23:59:59.000Z", "31/Dec/2099:23:59:59 +0000"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z", "01/Mar/2100:00:00:00 +0000"),
        ] {
            let mut clock = Clock::default();
            clock.set(UNIX_EPOCH + Duration::from_secs(second));
            assert_eq!(shown(|line| clock.timestamp(line)), date);
            assert_eq!(shown(|line| clock.common(line)), common);
        }
    }

    #[test]
    fn a_byte_that_may_not_stand_is_found_wherever_it_is() {
        type Own = Plain<b'!', b'"', b'%', b'+', b'#'>;
        for length in 0..70 {
            let text = vec![b'a'; length];
            assert!(Own::has_all(&text));
            for at in 0..length {
                for byte in [b' ', b'"', b'%', b'+', b'#', 0, 0x7f, 0x80, 0xff] {
                    let mut text = text.clone();
                    text[at] = byte;
                    assert!(!Own::has_all(&text), "{byte} at {at} of {length}");
                }
            }
        }
        assert!(Own::has_all(b"!~") && !Own::has_all(b" "));
        assert!(Plain::<b' ', b'"', b'\\', b'"', b'\\'>::has_all(b" !~ "));
    }

    #[test]
    fn numbers_are_written_as_by_others() {
        for value in [0, 9, 10, 99, 100, 255, 999, 1_000, 1_005, 12_345, u64::MAX] {
            assert_eq!(shown(|line| number(line, value)), value.to_string());
        }
        assert_eq!(shown(|line| milliseconds(line, Duration::from_micros(1_002_003))), "1002.003");
        assert_eq!(shown(|line| milliseconds(line, Duration::from_nanos(999))), "0.000");
        for text in ["0.0.0.0", "255.1.20.3", "2001:db8::1"] {
            assert_eq!(shown(|line| address(line, text.parse().unwrap())), text);
        }
        assert_eq!(shown(|line| address(line, "::ffff:192.0.2.1".parse().unwrap())), "192.0.2.1");
    }
}
