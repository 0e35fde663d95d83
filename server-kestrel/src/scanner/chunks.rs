//! A body in chunks (RFC 9112, section 7.1), with CRLF wherever it says CRLF.

use memchr::memchr;

use super::head::{Head, HeadLimits};
use crate::refusal::Refusal;

/// Hexadecimal digits of a size: as many as a length below 2 GiB has.
const MAX_DIGITS: u8 = 8;
const MAX_SIZE: u32 = 0x7fff_ffff;
/// Bytes of the extensions of one chunk. The engine bounds those of a whole body.
const MAX_EXTENSION: u16 = 4096;

/// A count of bytes that are good, and why the next are not.
type Rejected = (usize, Refusal);

/// Where in the chunks the next byte lies.
#[derive(Default)]
pub(super) struct Chunks {
    place: Place,
    size: u32,
    digits: u8,
    extension: u16,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    /// White space before the `;` of an extension.
    BeforeExtension,
    /// White space before the name of an extension.
    BeforeName,
    Name,
    /// White space after a name: `=` or the next `;` follows.
    AfterName,
    /// White space before the value of an extension.
    BeforeValue,
    Value,
    Quoted,
    /// After a backslash in a quoted value.
    Escaped,
    /// After a quoted value.
    AfterQuoted,
    /// The LF after the CR of the size line.
    SizeLf,
    Data(u32),
    DataCr,
    DataLf,
    /// At the start of a line of the trailers; bytes of that line so far.
    Trailer(usize),
    /// The LF after the CR of a trailer of so many bytes.
    TrailerLf(usize),
    Over,
}

impl Chunks {
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// How many of the bytes belong to the body.
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        head: &mut Head,
        limits: &HeadLimits,
    ) -> Result<usize, Rejected> {
        let mut at = 0;
        while at < bytes.len() && self.place != Place::Over {
            at += match self.place {
                Place::Data(left) => self.data(left, bytes.len() - at),
                Place::Trailer(length) => self
                    .trailer(length, &bytes[at..], head, limits)
                    .map_err(|(count, refusal)| (at + count, refusal))?,
                place => {
                    self.place =
                        self.next(place, bytes[at], head, limits).map_err(|refusal| (at, refusal))?;
                    1
                }
            };
        }
        Ok(at)
    }

    fn data(&mut self, left: u32, available: usize) -> usize {
        let count = left.min(u32::try_from(available).unwrap_or(u32::MAX));
        self.place = if count == left { Place::DataCr } else { Place::Data(left - count) };
        count as usize
    }

    fn next(
        &mut self,
        place: Place,
        byte: u8,
        head: &mut Head,
        limits: &HeadLimits,
    ) -> Result<Place, Refusal> {
        match (place, byte) {
            (Place::Size, _) => self.size(byte),
            (Place::SizeLf, b'\n') => Ok(self.after_size()),
            (Place::SizeLf, _) => Err(Refusal::InvalidChunkSize),
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => {
                *self = Self::default();
                Ok(Place::Size)
            }
            (Place::DataCr | Place::DataLf, _) => Err(Refusal::InvalidChunkEnd),
            (Place::TrailerLf(0), b'\n') => Ok(Place::Over),
            (Place::TrailerLf(length), b'\n') => {
                head.count_trailer(length + 2, limits)?;
                Ok(Place::Trailer(0))
            }
            (Place::TrailerLf(_), _) => Err(Refusal::InvalidTrailer),
            _ => self.extension(place, byte),
        }
    }

    fn size(&mut self, byte: u8) -> Result<Place, Refusal> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            self.digits += 1;
            if self.digits > MAX_DIGITS {
                return Err(Refusal::InvalidChunkSize);
            }
            self.size = self.size << 4 | digit;
            return Ok(Place::Size);
        }
        match byte {
            _ if self.digits == 0 || self.size > MAX_SIZE => Err(Refusal::InvalidChunkSize),
            b'\r' => Ok(Place::SizeLf),
            b';' => Ok(Place::BeforeName),
            b' ' | b'\t' => Ok(Place::BeforeExtension),
            _ => Err(Refusal::InvalidChunkSize),
        }
    }

    fn after_size(&self) -> Place {
        if self.size == 0 { Place::Trailer(0) } else { Place::Data(self.size) }
    }

    /// `BWS ";" BWS name [ BWS "=" BWS (token / quoted-string) ]`, any number of times.
    fn extension(&mut self, place: Place, byte: u8) -> Result<Place, Refusal> {
        self.extension += 1;
        if self.extension > MAX_EXTENSION {
            return Err(Refusal::InvalidChunkExtension);
        }
        let is_space = matches!(byte, b' ' | b'\t');
        let next = match (place, byte) {
            (Place::BeforeExtension | Place::BeforeName | Place::AfterName | Place::BeforeValue, _)
                if is_space =>
            {
                place
            }
            (Place::Name, _) if is_space => Place::AfterName,
            (Place::Value | Place::AfterQuoted, _) if is_space => Place::BeforeExtension,
            (
                Place::BeforeExtension | Place::Name | Place::AfterName | Place::Value | Place::AfterQuoted,
                b';',
            ) => Place::BeforeName,
            (Place::Name | Place::Value | Place::AfterQuoted, b'\r') => Place::SizeLf,
            (Place::Name | Place::AfterName, b'=') => Place::BeforeValue,
            (Place::BeforeName | Place::Name, _) if is_token(byte) => Place::Name,
            (Place::BeforeValue | Place::Value, _) if is_token(byte) => Place::Value,
            (Place::BeforeValue, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::AfterQuoted,
            (Place::Quoted, b'\\') => Place::Escaped,
            (Place::Quoted | Place::Escaped, b'\t' | b' '..=b'~' | 0x80..) => Place::Quoted,
            _ => return Err(Refusal::InvalidChunkExtension),
        };
        Ok(next)
    }

    /// The engine checks what the lines of the trailers say; here they are counted and their end is found.
    fn trailer(
        &mut self,
        length: usize,
        bytes: &[u8],
        head: &Head,
        limits: &HeadLimits,
    ) -> Result<usize, Rejected> {
        let line = memchr(b'\r', bytes).unwrap_or(bytes.len());
        if let Some(end) = memchr(b'\n', &bytes[..line]) {
            return Err((end, Refusal::InvalidTrailer));
        }
        let length = length + line;
        if head.is_beyond(length, limits) {
            return Err((0, Refusal::TrailersTooLarge));
        }
        self.place = if line < bytes.len() { Place::TrailerLf(length) } else { Place::Trailer(length) };
        Ok((line + 1).min(bytes.len()))
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
