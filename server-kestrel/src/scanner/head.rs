//! The request line and the header fields.

use memchr::memmem;
use wide::{u8x16, u8x32};

use super::State;
use super::chunks::Chunks;
use crate::refusal::Refusal;

/// What the head of a request may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadLimits {
    /// Bytes of the request line, with its end.
    pub(crate) line: usize,
    /// Bytes of the header fields, with their ends; trailers share it.
    pub(crate) fields: usize,
    /// Header fields, trailers among them.
    pub(crate) count: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { line: 8192, fields: 32_768, count: 100 }
    }
}

/// The lines that follow the first one of the preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: [&[u8]; 3] = [b"", b"SM", b""];

const CONTENT_LENGTH: &str = "content-length";
const TRANSFER_ENCODING: &str = "transfer-encoding";
const UPGRADE: &str = "upgrade";

/// The head of the request that is coming in.
#[derive(Default)]
pub(super) struct Head {
    /// The part of a line whose end has not come yet.
    partial: Vec<u8>,
    seen: Seen,
}

/// What has been seen of a head so far.
#[derive(Default)]
struct Seen {
    /// The request line is there, and it is not that of the preface of HTTP/2.
    is_in_fields: bool,
    /// The lines of the preface of HTTP/2 that are still to come.
    preface: usize,
    /// Bytes of the request line and of the empty lines before it.
    line: usize,
    fields: usize,
    count: usize,
    length: Option<u64>,
    /// Whether something below has been set that tells what comes after the head.
    is_special: bool,
    /// Whether there is a transfer coding, and whether the last one so far is chunked.
    is_encoded: bool,
    is_chunked: bool,
    /// Whether the method and the version ask for a body with a length.
    must_have_length: bool,
    is_connect: bool,
    is_upgrade: bool,
}

impl Head {
    /// The next request begins.
    pub(super) fn begin(&mut self) {
        self.seen = Seen::default();
    }

    /// The same request begins once more.
    pub(super) fn begin_anew(&mut self) {
        *self = Self::default();
    }

    /// How many of the bytes belong to the head; once it is complete, `state` is what comes after it. Of a head that is
    /// refused the engine gets nothing, as far as it has not got it yet: it may have an opinion of its own.
    #[inline(never)]
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
        state: &mut State,
    ) -> Result<usize, Refusal> {
        let mut at = 0;
        let mut line_feeds = LineFeeds::new(bytes);
        while let Some(end) = line_feeds.next() {
            let line = &bytes[at..end];
            at = end + 1;
            if self.partial.is_empty() && self.seen.is_plain_field(line) {
                self.seen.count_field(line.len() + 1, limits)?;
            } else if self.line_ends(line, limits)? {
                if self.seen.is_special {
                    *state = self.seen.complete()?;
                }
                if !matches!(state, State::Chunks(_)) {
                    self.begin();
                }
                return Ok(at);
            }
        }
        if at < bytes.len() {
            self.line_goes_on(&bytes[at..], limits)?;
        }
        Ok(bytes.len())
    }

    /// The rest of a line without its end, which has come; returns whether it is the empty one behind the fields.
    fn line_ends(&mut self, rest: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
        if self.partial.is_empty() {
            let is_last = self.seen.is_in_fields && matches!(rest, [] | [b'\r']);
            return if is_last { Ok(true) } else { self.seen.line(rest, limits) };
        }
        let mut line = std::mem::take(&mut self.partial);
        line.extend_from_slice(rest);
        self.seen.line(&line, limits)
    }

    fn line_goes_on(&mut self, rest: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
        let so_far = self.partial.len() + rest.len();
        if !self.seen.is_in_fields && self.seen.line + so_far >= limits.line {
            return Err(Refusal::RequestLineTooLong);
        }
        // Its end, and that of the head, are still to come.
        if self.seen.is_in_fields && self.seen.fields + so_far > limits.fields {
            return Err(Refusal::HeadersTooLarge);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    /// A line of the trailers counts against the limits.
    pub(super) fn count_trailer(&mut self, size: usize, limits: &HeadLimits) -> Result<(), Refusal> {
        self.seen.count_field(size, limits).map_err(|_| Refusal::TrailersTooLarge)
    }

    /// Whether a trailer of so many bytes is too much.
    pub(super) fn is_beyond(&self, length: usize, limits: &HeadLimits) -> bool {
        self.seen.fields + length > limits.fields
    }
}

impl Seen {
    /// Whether the line is a field whose value does not matter here. The names that do have their colon at places of
    /// their own, so that most others need no comparison.
    #[inline]
    fn is_plain_field(&self, line: &[u8]) -> bool {
        let Some(first) = line.first().filter(|_| self.is_in_fields) else { return false };
        !IS_FIRST[usize::from(*first)] || {
            let has_colon = |at: usize| line.get(at) == Some(&b':');
            let is_looked_at = match first {
                b'c' | b'C' => has_colon(CONTENT_LENGTH.len()),
                b't' | b'T' => has_colon(TRANSFER_ENCODING.len()),
                b'u' | b'U' => has_colon(UPGRADE.len()),
                _ => line.len() == 1,
            };
            !is_looked_at
        }
    }

    /// A line without its end; returns whether it is the empty one behind the fields.
    fn line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
        let size = line.len() + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.preface > 0 {
            return self.preface_goes_on(line);
        }
        if !self.is_in_fields {
            self.line += size;
            if self.line > limits.line {
                return Err(Refusal::RequestLineTooLong);
            }
            if !line.is_empty() {
                self.request_line(line)?;
            }
            return Ok(false);
        }
        if line.is_empty() {
            return Ok(true);
        }
        self.field(line, size, limits)?;
        Ok(false)
    }

    fn preface_goes_on(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        if line != PREFACE[PREFACE.len() - self.preface] {
            return Err(Refusal::UnknownVersion);
        }
        self.preface -= 1;
        if self.preface == 0 { Err(Refusal::Http2Preface) } else { Ok(false) }
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let (rest, version) = line.split_last_chunk::<8>().unwrap_or((line, b"        "));
        if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
            return self.unusual_line(line);
        }
        let Some(rest) = rest.strip_suffix(b" ") else { return Err(Refusal::InvalidRequestLine) };
        if must_look(line) {
            check_target(rest)?;
        }
        self.is_in_fields = true;
        self.is_connect = rest.starts_with(b"CONNECT ");
        self.must_have_length =
            version == b"HTTP/1.0" && (rest.starts_with(b"POST ") || rest.starts_with(b"PUT "));
        self.is_special = self.is_connect || self.must_have_length;
        Ok(())
    }

    /// A line that does not end in a version of HTTP/1.
    #[cold]
    fn unusual_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        if line[0] == 0x16 {
            return Err(Refusal::TlsOverHttp);
        }
        if line == b"PRI * HTTP/2.0" {
            self.preface = PREFACE.len();
            return Ok(());
        }
        let Some((rest, version)) = line.split_last_chunk::<8>() else {
            return Err(Refusal::InvalidRequestLine);
        };
        let is_word = !version.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control());
        let is_version = is_word && rest.strip_suffix(b" ").is_some_and(|rest| rest.contains(&b' '));
        Err(if is_version { Refusal::UnknownVersion } else { Refusal::InvalidRequestLine })
    }

    /// A line of the fields or the trailers counts against the limits.
    fn count_field(&mut self, size: usize, limits: &HeadLimits) -> Result<(), Refusal> {
        self.fields += size;
        self.count += 1;
        if self.fields > limits.fields {
            return Err(Refusal::HeadersTooLarge);
        }
        if self.count > limits.count {
            return Err(Refusal::TooManyHeaders);
        }
        Ok(())
    }

    fn field(&mut self, line: &[u8], size: usize, limits: &HeadLimits) -> Result<(), Refusal> {
        self.count_field(size, limits)?;
        self.is_special = true;
        let value_of = |name: &str| {
            let (field, value) = line.split_at_checked(name.len())?;
            if field.eq_ignore_ascii_case(name.as_bytes()) { value.strip_prefix(b":") } else { None }
        };
        if let Some(value) = value_of(CONTENT_LENGTH) {
            self.content_length(value)
        } else if let Some(value) = value_of(TRANSFER_ENCODING) {
            self.transfer_encoding(value)
        } else {
            self.is_upgrade |= value_of(UPGRADE).is_some();
            Ok(())
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = trim(value);
        // No more digits than those of i64::MAX.
        if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Refusal::InvalidContentLength);
        }
        let length = digits.iter().fold(0, |length: u64, digit| length * 10 + u64::from(digit - b'0'));
        if i64::try_from(length).is_err() {
            return Err(Refusal::InvalidContentLength);
        }
        if self.length.replace(length).is_some() {
            return Err(Refusal::SeveralContentLengths);
        }
        if self.is_encoded {
            return Err(Refusal::AmbiguousLength);
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let is_chunked = |coding: &[u8]| trim(coding).eq_ignore_ascii_case(b"chunked");
        let mut codings = value.split(|byte| *byte == b',');
        let is_last = codings.next_back().is_some_and(is_chunked);
        // Chunked comes last, and once (RFC 9112, section 6.1); the fields of one name are one list.
        if self.is_chunked || codings.any(is_chunked) {
            return Err(Refusal::FinalCodingNotChunked);
        }
        self.is_encoded = true;
        self.is_chunked = is_last;
        if self.length.is_some() {
            return Err(Refusal::AmbiguousLength);
        }
        Ok(())
    }

    /// How the body is framed (RFC 9112, section 6).
    fn complete(&self) -> Result<State, Refusal> {
        let length = self.length.unwrap_or(0);
        match () {
            _ if self.is_encoded && !self.is_chunked => Err(Refusal::FinalCodingNotChunked),
            _ if self.must_have_length && !self.is_chunked && self.length.is_none() => {
                Err(Refusal::LengthRequired)
            }
            // What follows a CONNECT is the tunnel, never a body (RFC 9110, section 9.3.6).
            _ if self.is_connect && (self.is_chunked || length > 0) => Err(Refusal::AmbiguousLength),
            // The trailers count against what is left of the limits.
            _ if self.is_chunked => Ok(State::Chunks(Chunks::default())),
            _ if length > 0 => Ok(State::Body(length)),
            _ if self.is_connect || self.is_upgrade => Ok(State::Undecided),
            _ => Ok(State::Head),
        }
    }
}

/// The first bytes of lines that may matter.
const IS_FIRST: [bool; 256] = {
    let bytes = b"cCtTuU\r";
    let mut table = [false; 256];
    let mut at = 0;
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

/// Whether the line has one of the bytes that hyper lets through in a target and must not; few have.
fn must_look(line: &[u8]) -> bool {
    const BLOCK: usize = 16;
    let is_looked_at = |byte: &u8| matches!(byte, b'#' | b'%' | 0x80..);
    let Some(last) = line.last_chunk::<BLOCK>() else { return line.iter().any(is_looked_at) };
    line.as_chunks().0.iter().chain([last]).any(|block| {
        let block = u8x16::new(*block);
        let found = block | block.simd_eq(u8x16::splat(b'#')) | block.simd_eq(u8x16::splat(b'%'));
        // The highest bit of each byte.
        found.to_bitmask() != 0
    })
}

/// A target has no fragment, which hyper would cut off, and no bytes beyond ASCII (RFC 9112, section 3.2). A path with
/// an encoded NUL ends early for whoever decodes it and hands it to an operating system.
#[cold]
fn check_target(line: &[u8]) -> Result<(), Refusal> {
    let target = line.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default();
    if target.contains(&b'#') || !target.is_ascii() {
        return Err(Refusal::InvalidRequestTarget);
    }
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    if memmem::find(path, b"%00").is_some() { Err(Refusal::EncodedNul) } else { Ok(()) }
}

/// The places of line feeds, which are looked for in all lines at once: a search for each line would begin anew.
struct LineFeeds<'a> {
    bytes: &'a [u8],
    /// The start of the block that is looked at next.
    next: usize,
    /// The start of the last block, and a bit for each line feed in it that has not been told.
    block: usize,
    found: u32,
}

/// Bytes that are compared at once.
const BLOCK: usize = 32;

impl<'a> LineFeeds<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, next: 0, block: 0, found: 0 }
    }

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            let rest = self.bytes.get(self.next..).filter(|rest| !rest.is_empty())?;
            self.block = self.next;
            self.found = match (rest.first_chunk(), self.bytes.last_chunk()) {
                (Some(block), _) => line_feeds(*block),
                // The last bytes, and before them some that have been looked at.
                (None, Some(block)) => {
                    self.block = self.bytes.len() - BLOCK;
                    line_feeds(*block) & (u32::MAX << (BLOCK - rest.len()))
                }
                (None, None) => {
                    let mut block = [0; BLOCK];
                    block[..rest.len()].copy_from_slice(rest);
                    line_feeds(block)
                }
            };
            self.next += BLOCK;
        }
        let place = self.found.trailing_zeros() as usize;
        self.found &= self.found - 1;
        Some(self.block + place)
    }
}

#[inline]
fn line_feeds(block: [u8; BLOCK]) -> u32 {
    u8x32::new(block).simd_eq(u8x32::splat(b'\n')).to_bitmask()
}

/// Without the white space that may stand around a value (RFC 9110, section 5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_feeds_are_found_wherever_they_are() {
        let found = |bytes: &[u8]| {
            let mut line_feeds = LineFeeds::new(bytes);
            std::iter::from_fn(move || line_feeds.next()).collect::<Vec<_>>()
        };
        for length in 0..200 {
            // The neighbour in the code, and the one with the highest bit.
            for filler in [0x0b, 0x8a] {
                let mut bytes = vec![filler; length];
                assert!(found(&bytes).is_empty());
                for step in [1, 3, 7, 64, 65, 100] {
                    let places: Vec<_> = (0..length).step_by(step).collect();
                    bytes.fill(filler);
                    places.iter().for_each(|place| bytes[*place] = b'\n');
                    assert_eq!(found(&bytes), places, "{length} {step}");
                }
            }
        }
    }
}
