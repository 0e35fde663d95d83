//! Why a request is refused, and with what answer.

use std::fmt::Write as _;
use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;

use crate::end_reason::EndReason;

/// Why a request of HTTP/1.1 is refused. The connection is closed after the answer.
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
    /// The engine found what the scanner did not.
    InvalidBody,
    /// The trailers are more than the limits of the header fields leave.
    TrailersTooLarge,
    /// The head did not come in time.
    HeadTimeout,
    BodyTooLarge,
    BodyTooSlow,
    MissingHost,
    SeveralHosts,
    InvalidHost,
    /// The target and the Host field name different hosts.
    HostMismatch,
    UnsupportedScheme,
    EncodedNul,
    InvalidConnectTarget,
    /// The target belongs to CONNECT.
    ConnectRequired,
    /// The target belongs to OPTIONS.
    OptionsRequired,
}

/// A GOAWAY frame of HTTP/2 that names no stream, with the code `HTTP_1_1_REQUIRED` (RFC 9113, section 7).
const GOAWAY_HTTP_1_1_REQUIRED: &[u8] = &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13];

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::ConnectRequired | Self::OptionsRequired => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnknownVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::RequestLineTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadersTooLarge | Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::HeadTimeout | Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The status that is answered with, if one is.
    pub(crate) fn answer(self) -> Option<StatusCode> {
        (self != Self::Http2Preface).then(|| self.status())
    }

    /// The method that the target needs, for `Allow`.
    pub(crate) fn allow(self) -> Option<&'static str> {
        match self {
            Self::ConnectRequired => Some("CONNECT"),
            Self::OptionsRequired => Some("OPTIONS"),
            _ => None,
        }
    }

    /// Whether the scanner found it in a body: the request has reached the app, which is told when it reads on.
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

    /// What the connection ends with.
    pub(crate) fn end_reason(self) -> EndReason {
        match self {
            Self::TlsOverHttp => EndReason::TlsNotSupported,
            Self::Http2Preface | Self::UnknownVersion => EndReason::InvalidHttpVersion,
            Self::InvalidRequestLine
            | Self::InvalidRequestTarget
            | Self::RequestLineTooLong
            | Self::UnsupportedScheme
            | Self::EncodedNul
            | Self::InvalidConnectTarget
            | Self::ConnectRequired
            | Self::OptionsRequired => EndReason::InvalidRequestLine,
            Self::HeadersTooLarge | Self::TrailersTooLarge => EndReason::MaxRequestHeadersTotalSizeExceeded,
            Self::TooManyHeaders => EndReason::MaxRequestHeaderCountExceeded,
            Self::InvalidContentLength
            | Self::SeveralContentLengths
            | Self::AmbiguousLength
            | Self::FinalCodingNotChunked
            | Self::LengthRequired
            | Self::MissingHost
            | Self::SeveralHosts
            | Self::InvalidHost
            | Self::HostMismatch => EndReason::InvalidRequestHeaders,
            Self::InvalidChunkSize
            | Self::InvalidChunkExtension
            | Self::InvalidChunkEnd
            | Self::InvalidTrailer
            | Self::InvalidBody => EndReason::InvalidRequestBody,
            Self::HeadTimeout => EndReason::RequestHeadersTimeout,
            Self::BodyTooLarge => EndReason::MaxRequestBodySizeExceeded,
            Self::BodyTooSlow => EndReason::MinRequestBodyDataRate,
        }
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
            Self::InvalidBody => "the body is malformed",
            Self::TrailersTooLarge => "the trailers exceed what the limits of the header fields leave",
            Self::HeadTimeout => "the head did not arrive within request_headers_timeout",
            Self::BodyTooLarge => "the body is larger than max_request_body_size",
            Self::BodyTooSlow => "the body came in more slowly than min_request_body_data_rate",
            Self::MissingHost => "the Host field is missing",
            Self::SeveralHosts => "there is more than one Host field",
            Self::InvalidHost => "the Host field is not a host and port",
            Self::HostMismatch => "the target and the Host field name different hosts",
            Self::UnsupportedScheme => "the scheme of the target is not http or https",
            Self::EncodedNul => "the path has an encoded NUL",
            Self::InvalidConnectTarget => "the target of CONNECT is not a host and port",
            Self::ConnectRequired => "an authority as the target belongs to CONNECT",
            Self::OptionsRequired => "the target * belongs to OPTIONS",
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
