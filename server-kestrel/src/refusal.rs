//! Why a connection is ended, and with what answer.

use std::fmt::Write as _;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;

/// Why a request is refused before it reaches the app. The connection is closed after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidRequestLine,
    InvalidRequestTarget,
    /// The first bytes are those of a TLS handshake.
    TlsOverHttp,
    /// The client speaks HTTP/2 where there is none.
    Http2Preface,
    UnknownVersion,
    RequestLineTooLong,
    HeadersTooLarge,
    TooManyHeaders,
    InvalidContentLength,
    SeveralContentLengths,
    /// Two fields each tell another length.
    AmbiguousLength,
    FinalCodingNotChunked,
    /// A request of HTTP/1.0 that has a body by its method does not tell the length.
    LengthRequired,
    InvalidChunkSize,
    InvalidChunkExtension,
    InvalidChunkEnd,
    InvalidTrailer,
    /// The trailers are more than the limits of the header fields leave.
    TrailersTooLarge,
    /// The head did not come in time.
    HeadTimeout,
}

/// A GOAWAY frame of HTTP/2 that names no stream, with the code `HTTP_1_1_REQUIRED` (RFC 9113, section 7).
const GOAWAY_HTTP_1_1_REQUIRED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::UnknownVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::RequestLineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether the request has reached the app, which is told when it reads on.
    pub(crate) fn is_of_body(self) -> bool {
        matches!(
            self,
            Self::InvalidChunkSize
                | Self::InvalidChunkExtension
                | Self::InvalidChunkEnd
                | Self::InvalidTrailer
                | Self::TrailersTooLarge
        )
    }

    /// What the client did, for the log.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::InvalidRequestLine => "the request line is malformed",
            Self::InvalidRequestTarget => "the request target is malformed",
            Self::TlsOverHttp => "the client speaks TLS on an endpoint without it",
            Self::Http2Preface => "the client speaks HTTP/2 on an endpoint without it",
            Self::UnknownVersion => "the version of HTTP is unknown",
            Self::RequestLineTooLong => "the request line is longer than max_request_line_size",
            Self::HeadersTooLarge => "the header fields are larger than max_request_headers_total_size",
            Self::TooManyHeaders => "there are more header fields than max_request_header_count",
            Self::InvalidContentLength => "Content-Length is no length",
            Self::SeveralContentLengths => "there is more than one Content-Length",
            Self::AmbiguousLength => "two fields tell where the message ends",
            Self::FinalCodingNotChunked => "the last transfer coding is not chunked",
            Self::LengthRequired => "a request of HTTP/1.0 does not tell the length of its body",
            Self::InvalidChunkSize => "the size of a chunk is malformed",
            Self::InvalidChunkExtension => "the extension of a chunk is malformed",
            Self::InvalidChunkEnd => "a chunk does not end where its size says",
            Self::InvalidTrailer => "the trailers are malformed",
            Self::TrailersTooLarge => "the trailers exceed what the limits of the header fields leave",
            Self::HeadTimeout => "the head did not arrive within request_headers_timeout",
        }
    }

    /// The answer, which goes out below the engine.
    pub(crate) fn response(self, with_server_header: bool) -> Bytes {
        if self == Self::Http2Preface {
            return Bytes::from_static(GOAWAY_HTTP_1_1_REQUIRED);
        }
        let status = self.status();
        let mut text = String::with_capacity(160);
        let reason = status.canonical_reason().unwrap_or_default();
        let date = httpdate::HttpDate::from(SystemTime::now());
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "HTTP/1.1 {} {reason}\r\ncontent-length: 0\r\nconnection: close\r\ndate: {date}\r\n",
            status.as_u16()
        );
        if with_server_header {
            text.push_str("server: Kestrel\r\n");
        }
        text.push_str("\r\n");
        text.into()
    }
}
