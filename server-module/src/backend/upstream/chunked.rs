//! Content in chunks (RFC 9112, section 7.1).

use bytes::{Buf, Bytes, BytesMut};
use hosting::header::HeaderName;
use hosting::{HeaderMap, HeaderValue};
use http_body::Frame;
use httparse::Status;

use super::Fault;
use super::input::Input;
use super::sending::may_be_trailer;

/// The longest line with the size of a chunk, extensions among it.
const MAX_LINE: usize = 4 * 1024;
/// The most that trailers may be.
const MAX_TRAILERS: usize = 16 * 1024;
/// The most fields of them.
const MAX_FIELDS: usize = 64;

/// Where in the content the next byte is.
#[derive(Debug, Default)]
pub(super) enum Chunked {
    /// In the line with the size of a chunk.
    #[default]
    Size,
    /// In a chunk, of which so many bytes are left.
    Data(u64),
    /// In the end of its line.
    Behind,
    Trailers,
    Over,
}

impl Chunked {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// The next piece, if it has come.
    pub(super) fn next(&mut self, input: &mut Input) -> Result<Option<Frame<Bytes>>, Fault> {
        loop {
            *self = match self {
                Self::Size => match size(&mut input.bytes)? {
                    Some(0) => Self::Trailers,
                    Some(size) => Self::Data(size),
                    None => return Ok(None),
                },
                Self::Data(left) => {
                    let data = input.take(*left);
                    if data.is_empty() {
                        return Ok(None);
                    }
                    *left -= data.len() as u64;
                    if *left == 0 {
                        *self = Self::behind(&mut input.bytes);
                    }
                    return Ok(Some(Frame::data(data)));
                }
                Self::Behind if input.bytes.len() < 2 => return Ok(None),
                Self::Behind if input.bytes.starts_with(b"\r\n") => {
                    input.bytes.advance(2);
                    Self::Size
                }
                Self::Behind => return Err(Fault::Malformed("a chunk is longer than it says")),
                Self::Trailers => {
                    let Some(trailers) = trailers(&mut input.bytes)? else { return Ok(None) };
                    *self = Self::Over;
                    return Ok((!trailers.is_empty()).then(|| Frame::trailers(trailers)));
                }
                Self::Over => return Ok(None),
            };
        }
    }

    /// Behind the data of a chunk, or at the end if that has come with it.
    fn behind(bytes: &mut BytesMut) -> Self {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        if !bytes.starts_with(END) {
            return Self::Behind;
        }
        bytes.advance(END.len());
        Self::Over
    }
}

/// Reads the size of a chunk.
fn size(bytes: &mut BytesMut) -> Result<Option<u64>, Fault> {
    const WRONG: Fault = Fault::Malformed("the size of a chunk");
    let Some(end) = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n') else {
        return if bytes.len() < MAX_LINE { Ok(None) } else { Err(WRONG) };
    };
    let line = bytes[..end].strip_suffix(b"\r").ok_or(WRONG)?;
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    if !digits.iter().all(u8::is_ascii_hexdigit) || line.contains(&b'\r') {
        return Err(WRONG);
    }
    let size = str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let size = size.ok_or(WRONG)?;
    bytes.advance(end + 1);
    Ok(Some(size))
}

/// Reads trailers to the empty line behind them.
fn trailers(bytes: &mut BytesMut) -> Result<Option<HeaderMap>, Fault> {
    const WRONG: Fault = Fault::Malformed("its trailers");
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let (length, trailers) = match httparse::parse_headers(bytes, &mut fields).map_err(|_| WRONG)? {
        Status::Complete((length, fields)) if length <= MAX_TRAILERS => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| WRONG)?;
                let value = HeaderValue::from_bytes(field.value).map_err(|_| WRONG)?;
                if may_be_trailer(&name) {
                    trailers.append(name, value);
                }
            }
            (length, trailers)
        }
        Status::Partial if bytes.len() <= MAX_TRAILERS => return Ok(None),
        _ => return Err(WRONG),
    };
    bytes.advance(length);
    Ok(Some(trailers))
}
