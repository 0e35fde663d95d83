//! A request on its way to a process.

use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use hosting::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST,
    HeaderName, MAX_FORWARDS, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
};
use hosting::{Body, HeaderMap, Method, Request};
use http_body::{Body as _, Frame};

use super::super::socket::Stream;
use super::{Fault, poll_write};
use crate::forward::stays_here;

/// Most heads are not longer, and so much memory is had without a search for it.
const CAPACITY: usize = 768;

/// Data of at most so many bytes is copied, so that it leaves with the head in one piece.
const SHORT: usize = 4 * 1024;

/// Trailers that would say something else of the request than its head has (RFC 9110, section 6.5.1).
const NO_TRAILERS: [HeaderName; 12] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    HOST,
    MAX_FORWARDS,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
];

/// A request, encoded as far as it is known.
#[derive(Debug)]
pub(crate) struct Sending {
    method: Method,
    /// The head, and what is around data.
    text: Vec<u8>,
    data: Bytes,
    /// What comes behind the data.
    behind: &'static [u8],
    /// How much of the text has gone out.
    written: usize,
    is_untouched: bool,
    /// Whether a piece of the body was taken that has not gone out. No other one is taken meanwhile.
    is_staged: bool,
    /// None once its end has come.
    body: Option<Body>,
    coding: Coding,
}

#[derive(Debug)]
enum Coding {
    /// So many bytes are to come.
    Length(u64),
    /// In chunks; with the names of the trailers that the head announces.
    Chunked(Vec<HeaderName>),
}

impl Sending {
    /// Encodes the head, with fields that are text already. How the body is framed follows from the body alone.
    pub(crate) fn new<B>(head: &Request<B>, body: Body, added: &[u8]) -> Box<Self> {
        let headers = head.headers();
        let mut text = Vec::with_capacity(CAPACITY);
        text.extend_from_slice(head.method().as_str().as_bytes());
        text.push(b' ');
        text.extend_from_slice(head.uri().path_and_query().map_or("/", |target| target.as_str()).as_bytes());
        text.extend_from_slice(b" HTTP/1.1\r\n");
        write_fields(&mut text, headers.iter().filter(|(name, _)| !is_framing(name)));
        text.extend_from_slice(added);
        let has_length = headers.contains_key(CONTENT_LENGTH);
        let coding = match (body.is_end_stream(), body.size_hint().exact()) {
            (true, _) if has_length => Self::with_length(&mut text, 0),
            (true, _) => Coding::Length(0),
            (false, Some(length)) => Self::with_length(&mut text, length),
            (false, None) => {
                text.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Coding::Chunked(announced(headers))
            }
        };
        text.extend_from_slice(b"\r\n");
        let body = Some(body).filter(|body| !body.is_end_stream());
        Box::new(Self {
            method: head.method().clone(),
            text,
            data: Bytes::new(),
            behind: b"",
            written: 0,
            is_untouched: true,
            is_staged: false,
            body,
            coding,
        })
    }

    fn with_length(text: &mut Vec<u8>, length: u64) -> Coding {
        // A vector takes everything.
        let _ = write!(text, "content-length: {length}\r\n");
        Coding::Length(length)
    }

    pub(super) fn method(&self) -> Method {
        self.method.clone()
    }

    /// Whether nothing of it has gone out.
    pub(super) fn is_untouched(&self) -> bool {
        self.is_untouched
    }

    /// Sends it; ready at its end.
    pub(super) fn poll(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let may_stage = self.body.is_some() && !self.is_staged;
            let waits = may_stage && !self.stage(cx)?;
            self.is_staged |= may_stage && !waits && !self.is_flushed();
            if !self.is_flushed() {
                ready!(self.write(stream, cx)).map_err(Fault::Broken)?;
            } else if self.body.is_none() {
                return Poll::Ready(Ok(()));
            } else if waits {
                return Poll::Pending;
            }
        }
    }

    fn is_flushed(&self) -> bool {
        self.text.is_empty() && self.data.is_empty() && self.behind.is_empty()
    }

    fn write(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let text = &self.text[self.written..];
        let mut count = ready!(poll_write(stream, cx, [text, &self.data, self.behind]))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.is_untouched = false;
        let of_text = count.min(text.len());
        self.written += of_text;
        if self.written == self.text.len() {
            self.text.clear();
            self.written = 0;
        }
        count -= of_text;
        let of_data = count.min(self.data.len());
        self.data.advance(of_data);
        self.behind = &self.behind[count - of_data..];
        self.is_staged &= !self.is_flushed();
        Poll::Ready(Ok(()))
    }

    /// Takes the next piece of the body, if there is one now; false if not. Nothing else may be behind the text.
    fn stage(&mut self, cx: &mut Context<'_>) -> Result<bool, Fault> {
        let Some(body) = &mut self.body else { return Ok(false) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else { return Ok(false) };
        match frame {
            Some(Ok(frame)) => self.add(frame)?,
            Some(Err(error)) => return Err(Fault::Body(error)),
            None => self.end(None)?,
        }
        if self.body.as_ref().is_some_and(|body| body.is_end_stream()) {
            self.end_behind()?;
        }
        Ok(true)
    }

    fn add(&mut self, frame: Frame<Bytes>) -> Result<(), Fault> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end(frame.into_trailers().ok()),
        };
        // A chunk without data would be the last one.
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.coding {
            Coding::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or_else(|| Fault::Body(LONGER.into()))?;
            }
            Coding::Chunked(_) => {
                let _ = write!(self.text, "{:x}\r\n", data.len());
                self.behind = b"\r\n";
            }
        }
        if data.len() <= SHORT {
            self.text.extend_from_slice(&data);
            self.text.extend_from_slice(std::mem::take(&mut self.behind));
        } else {
            self.data = data;
        }
        Ok(())
    }

    /// The body is over after what has just been taken.
    fn end_behind(&mut self) -> Result<(), Fault> {
        match &self.coding {
            // The end of a long chunk is not there yet; the next look at the body finds none.
            Coding::Chunked(_) if !self.data.is_empty() => Ok(()),
            _ => self.end(None),
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Fault> {
        self.body = None;
        match &self.coding {
            Coding::Length(0) => {}
            Coding::Length(_) => return Err(Fault::Body(SHORTER.into())),
            Coding::Chunked(announced) => {
                self.text.extend_from_slice(b"0\r\n");
                let trailers = trailers.unwrap_or_default();
                write_fields(&mut self.text, trailers.iter().filter(|(name, _)| announced.contains(name)));
                self.text.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }
}

const LONGER: &str = "it is longer than its length says";
const SHORTER: &str = "it is shorter than its length says";

/// Whether a field tells how the body is framed.
fn is_framing(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING
}

fn write_fields<'a>(
    text: &mut Vec<u8>,
    fields: impl Iterator<Item = (&'a HeaderName, &'a hosting::HeaderValue)>,
) {
    for (name, value) in fields {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
}

/// The trailers that a head announces and that may be some.
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    let names = values.flat_map(|value| value.split(','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    names.filter(may_be_trailer).collect()
}

/// Whether a field may come behind the content.
pub(super) fn may_be_trailer(name: &HeaderName) -> bool {
    !NO_TRAILERS.contains(name) && !stays_here(name)
}
