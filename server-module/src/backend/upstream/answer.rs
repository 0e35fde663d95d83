//! What a process answers: heads, and where their content ends (RFC 9112, sections 4, 6.3 and 9.3).

use std::mem::MaybeUninit;

use bytes::Bytes;
use hosting::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING, UPGRADE};
use hosting::http::response::Parts;
use hosting::http::{Response, Version};
use hosting::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Frame;
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::Fault;
use super::chunked::Chunked;
use super::input::{Input, Span};
use crate::forward::{KEEP_ALIVE, PROXY_CONNECTION};

/// The longest head.
const MAX_HEAD: usize = 64 * 1024;
/// The most fields of one.
const MAX_FIELDS: usize = 100;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) parts: Parts,
    /// Whether it has no field about the connection, and a length, if any, that says what holds.
    pub(crate) is_plain: bool,
}

/// The same, and what it says about the connection.
pub(super) struct Head {
    pub(super) answer: Answer,
    pub(super) framing: Framing,
    pub(super) is_kept: bool,
}

impl Head {
    /// Whether it is a step on the way to an answer.
    pub(super) fn is_step(&self) -> bool {
        let status = self.answer.parts.status;
        status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
    }
}

/// How the content of an answer ends.
#[derive(Debug)]
pub(super) enum Framing {
    /// There is none, or no more.
    None,
    /// So many bytes are left.
    Length(u64),
    Chunked(Chunked),
    /// With the connection.
    Close,
}

impl Framing {
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::None | Self::Length(0) => true,
            Self::Chunked(chunked) => chunked.is_over(),
            Self::Length(_) | Self::Close => false,
        }
    }

    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(left) => Some(*left),
            Self::Chunked(_) | Self::Close => None,
        }
    }

    /// The next piece, if it has come.
    pub(super) fn next(&mut self, input: &mut Input) -> Result<Option<Frame<Bytes>>, Fault> {
        let data = match self {
            Self::Chunked(chunked) => return chunked.next(input),
            Self::None | Self::Length(0) => return Ok(None),
            Self::Length(left) => {
                let data = input.take(*left);
                *left -= data.len() as u64;
                data
            }
            Self::Close => input.take(u64::MAX),
        };
        Ok((!data.is_empty()).then(|| Frame::data(data)))
    }

    /// The connection has ended.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self {
            Self::Close => {
                *self = Self::None;
                Ok(())
            }
            _ => Err(Fault::Ended),
        }
    }
}

impl Input {
    /// The next head, if all of it has come.
    pub(super) fn head(&mut self, method: &Method) -> Result<Option<Head>, Fault> {
        if self.bytes.is_empty() || (self.searched > 0 && !self.may_have_head()) {
            return self.no_head();
        }
        let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let mut answer = httparse::Response::new(&mut []);
        let config = ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut answer, &self.bytes, &mut fields);
        let length = match parsed.map_err(fault)? {
            Status::Complete(length) if length <= MAX_HEAD => length,
            Status::Complete(_) => return Err(Fault::TooLarge),
            Status::Partial => return self.no_head(),
        };
        let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(Fault::Malformed("its status is none"))?;
        let version = if answer.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
        let reason = answer.reason.filter(|reason| status.canonical_reason() != Some(reason));
        let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes()).ok());
        let start = self.bytes.as_ptr().addr();
        let span = |part: &[u8]| -> Span { (part.as_ptr().addr() - start, part.len()) };
        self.spans.clear();
        self.spans
            .extend(answer.headers.iter().map(|field| (span(field.name.as_bytes()), span(field.value))));
        self.searched = 0;
        let text = self.bytes.split_to(length).freeze();
        let mut fields = Fields::new(version, self.spans.len());
        for (name, value) in &self.spans {
            fields.add(&text, *name, *value)?;
        }
        let framing = fields.framing(method, status);
        let is_kept = fields.is_kept(&framing, status);
        let is_plain = fields.is_plain && (fields.length.is_none() || status != StatusCode::NO_CONTENT);
        let (mut parts, ()) = Response::new(()).into_parts();
        (parts.status, parts.version, parts.headers) = (status, version, fields.map);
        if let Some(reason) = reason {
            parts.extensions.insert(reason);
        }
        Ok(Some(Head { answer: Answer { parts, is_plain }, framing, is_kept }))
    }

    /// Whether the end of a head is in what was not searched yet.
    fn may_have_head(&self) -> bool {
        let from = self.searched.saturating_sub(3);
        self.bytes[from..].windows(2).any(|pair| pair == b"\n\n" || pair == b"\n\r")
    }

    fn no_head(&mut self) -> Result<Option<Head>, Fault> {
        self.searched = self.bytes.len();
        if self.searched > MAX_HEAD { Err(Fault::TooLarge) } else { Ok(None) }
    }
}

fn fault(error: httparse::Error) -> Fault {
    match error {
        httparse::Error::TooManyHeaders => Fault::TooLarge,
        httparse::Error::HeaderName => Fault::Malformed("the name of a field"),
        httparse::Error::HeaderValue => Fault::Malformed("the value of a field"),
        httparse::Error::Status => Fault::Malformed("its status"),
        httparse::Error::Version => Fault::Malformed("its version"),
        httparse::Error::NewLine => Fault::Malformed("the end of a line"),
        httparse::Error::Token => Fault::Malformed("its first line"),
    }
}

/// The fields of a head, and what they say of its content and of the connection.
struct Fields {
    map: HeaderMap,
    version: Version,
    length: Option<u64>,
    is_chunked: bool,
    /// Whether `Connection` says `close`, and whether it says `keep-alive`.
    closes: bool,
    keeps: bool,
    is_plain: bool,
}

impl Fields {
    fn new(version: Version, count: usize) -> Self {
        let map = HeaderMap::with_capacity(count);
        Self { map, version, length: None, is_chunked: false, closes: false, keeps: false, is_plain: true }
    }

    fn add(&mut self, text: &Bytes, name: Span, value: Span) -> Result<(), Fault> {
        let part = |(start, length): Span| text.slice(start..start + length);
        let name = HeaderName::from_bytes(&text[name.0..name.0 + name.1]);
        let name = name.map_err(|_| Fault::Malformed("the name of a field"))?;
        let value = HeaderValue::from_maybe_shared(part(value));
        let value = value.map_err(|_| Fault::Malformed("the value of a field"))?;
        match name {
            CONTENT_LENGTH => {
                self.is_plain &= self.length.is_none() && value.as_bytes().iter().all(u8::is_ascii_digit);
                self.take_length(value.as_bytes())?;
            }
            // Nobody has asked for another coding, and two times chunks are none of those that are known.
            TRANSFER_ENCODING if self.is_chunked || !value.as_bytes().eq_ignore_ascii_case(b"chunked") => {
                return Err(Fault::Malformed("its Transfer-Encoding"));
            }
            TRANSFER_ENCODING => (self.is_chunked, self.is_plain) = (true, false),
            CONNECTION => {
                self.is_plain = false;
                self.take_options(value.as_bytes());
            }
            _ => self.is_plain &= name != UPGRADE && name != KEEP_ALIVE && name != PROXY_CONNECTION,
        }
        self.map.append(name, value);
        Ok(())
    }

    /// A length may be said several times, and must be the same each time.
    fn take_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        const WRONG: Fault = Fault::Malformed("its Content-Length");
        for length in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let digits = Some(length).filter(|length| length.iter().all(u8::is_ascii_digit));
            let length = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok()).ok_or(WRONG)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(WRONG);
            }
            self.length = Some(length);
        }
        Ok(())
    }

    fn take_options(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.closes |= option.eq_ignore_ascii_case(b"close");
            self.keeps |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// Whether the connection is there for another request behind this content.
    fn is_kept(&self, framing: &Framing, status: StatusCode) -> bool {
        // A server of which it is not certain where its content ends, or whether there is some.
        let has_doubt = self.is_chunked && (self.length.is_some() || self.version == Version::HTTP_10)
            || status == StatusCode::NO_CONTENT
                && (self.is_chunked || self.length.is_some_and(|length| length > 0));
        let is_wanted = !self.closes && (self.keeps || self.version == Version::HTTP_11);
        is_wanted && !has_doubt && !matches!(framing, Framing::Close)
    }

    fn framing(&self, method: &Method, status: StatusCode) -> Framing {
        let has_none = *method == Method::HEAD
            || status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        match self.length {
            _ if has_none => Framing::None,
            _ if self.is_chunked => Framing::Chunked(Chunked::default()),
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        let mut input = Input::default();
        input.bytes.extend_from_slice(text.as_bytes());
        input.head(&Method::GET).unwrap().unwrap()
    }

    #[test]
    fn what_is_empty_is_nowhere_else() {
        let fields = head("HTTP/1.1 200\r\nX-Empty:\r\nX-Space:  \t\r\nX-Last:\r\n\r\n").answer.parts.headers;
        let values: Vec<_> = ["x-empty", "x-space", "x-last"].map(|name| fields[name].as_bytes()).into();
        assert_eq!(values, [b""; 3]);
        for text in ["HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n", "HTTP/1.0 200 Fine\n\n"] {
            let head = head(text);
            assert!(head.answer.parts.headers.is_empty() && !head.is_kept, "{text:?}");
        }
    }
}
