//! The request line and the header fields.

use memchr::memchr;

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

/// A count of bytes that are good, and why the next are not.
pub(super) type Rejected = (usize, Refusal);

/// The head of the request that is coming in.
#[derive(Default)]
pub(super) struct Head {
    /// The part of a line whose end has not come yet.
    partial: Vec<u8>,
    has_line: bool,
    /// The lines of the preface of HTTP/2 that are still to come.
    preface: usize,
    /// Bytes of the request line and of the empty lines before it.
    line: usize,
    fields: usize,
    count: usize,
    length: Option<u64>,
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
        let mut partial = std::mem::take(&mut self.partial);
        partial.clear();
        *self = Self { partial, ..Self::default() };
    }

    /// How many of the bytes belong to the head, and what comes after it once it is complete. Of a head that is refused
    /// the engine gets nothing, as far as it has not got it yet: it may have an opinion of its own.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
    ) -> Result<(usize, Option<State>), Rejected> {
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            let end = at + length;
            let is_last = self.line_ends(&bytes[at..end], limits).map_err(|refusal| (0, refusal))?;
            at = end + 1;
            if is_last {
                return Ok((at, Some(self.complete().map_err(|refusal| (0, refusal))?)));
            }
        }
        self.line_goes_on(&bytes[at..], limits).map_err(|refusal| (0, refusal))?;
        Ok((bytes.len(), None))
    }

    /// The rest of a line without its end, which has come; returns whether it is the empty one at the end.
    fn line_ends(&mut self, rest: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
        if self.partial.is_empty() {
            return self.line(rest, limits);
        }
        let mut line = std::mem::take(&mut self.partial);
        line.extend_from_slice(rest);
        let is_last = self.line(&line, limits);
        line.clear();
        self.partial = line;
        is_last
    }

    fn line_goes_on(&mut self, rest: &[u8], limits: &HeadLimits) -> Result<(), Refusal> {
        let so_far = self.partial.len() + rest.len();
        if !self.has_line && self.line + so_far >= limits.line {
            return Err(Refusal::RequestLineTooLong);
        }
        // Its end, and that of the head, are still to come.
        if self.has_line && self.fields + so_far > limits.fields {
            return Err(Refusal::HeadersTooLarge);
        }
        self.partial.extend_from_slice(rest);
        Ok(())
    }

    fn line(&mut self, line: &[u8], limits: &HeadLimits) -> Result<bool, Refusal> {
        let size = line.len() + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !self.has_line {
            self.line += size;
            if self.line > limits.line {
                return Err(Refusal::RequestLineTooLong);
            }
            if !line.is_empty() {
                self.request_line(line)?;
            }
            return Ok(false);
        }
        if self.preface > 0 {
            return self.preface_goes_on(line);
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
        self.has_line = true;
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
        let Some(rest) = rest.strip_suffix(b" ") else { return Err(Refusal::InvalidRequestLine) };
        if version != b"HTTP/1.1" && version != b"HTTP/1.0" {
            let is_word = !version.iter().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control());
            let is_version = is_word && memchr(b' ', rest).is_some();
            return Err(if is_version { Refusal::UnknownVersion } else { Refusal::InvalidRequestLine });
        }
        let method = memchr(b' ', rest).unwrap_or(rest.len());
        let (method, target) = rest.split_at(method);
        // hyper would cut a fragment off, and takes bytes that no URI has (RFC 9112, section 3.2).
        if memchr(b'#', target).is_some() || !target.is_ascii() {
            return Err(Refusal::InvalidRequestTarget);
        }
        self.is_connect = method == b"CONNECT";
        self.must_have_length = version == b"HTTP/1.0" && (method == b"POST" || method == b"PUT");
        Ok(())
    }

    /// A line of the fields or the trailers counts against the limits.
    pub(super) fn count_field(&mut self, size: usize, limits: &HeadLimits) -> Result<(), Refusal> {
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

    /// Whether a trailer of so many bytes is too much.
    pub(super) fn is_beyond(&self, length: usize, limits: &HeadLimits) -> bool {
        self.fields + length > limits.fields
    }

    fn field(&mut self, line: &[u8], size: usize, limits: &HeadLimits) -> Result<(), Refusal> {
        self.count_field(size, limits)?;
        // Few names matter, and the length tells most others apart.
        let is = |name: &str| {
            line.get(name.len()) == Some(&b':') && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
        };
        match line[0] | 0x20 {
            b'c' if is("content-length") => self.content_length(&line[15..]),
            b't' if is("transfer-encoding") => self.transfer_encoding(&line[18..]),
            b'u' if is("upgrade") => {
                self.is_upgrade = true;
                Ok(())
            }
            _ => Ok(()),
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
    fn complete(&mut self) -> Result<State, Refusal> {
        let length = self.length.unwrap_or(0);
        let next = match () {
            _ if self.is_encoded && !self.is_chunked => return Err(Refusal::FinalCodingNotChunked),
            _ if self.must_have_length && !self.is_chunked && self.length.is_none() => {
                return Err(Refusal::LengthRequired);
            }
            // What follows a CONNECT is the tunnel, never a body (RFC 9110, section 9.3.6).
            _ if self.is_connect && (self.is_chunked || length > 0) => return Err(Refusal::AmbiguousLength),
            // The trailers count against what is left of the limits.
            _ if self.is_chunked => return Ok(State::Chunks(Chunks::default())),
            _ if length > 0 => State::Body(length),
            _ if self.is_connect || self.is_upgrade => State::Undecided,
            _ => State::Head,
        };
        self.begin();
        Ok(next)
    }
}

/// Without the white space that may stand around a value (RFC 9110, section 5.6.3).
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}
