//! The steps that a line is made of.

use http::HeaderName;
use http::header::{COOKIE, HOST, REFERER, USER_AGENT};

use super::AccessLogField as Field;

/// One thing that a line tells.
#[derive(Clone, Debug)]
pub(super) enum Column {
    Field(Field),
    Request(HeaderName),
    Response(HeaderName),
}

/// A text of the format's, then a value.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) before: Vec<u8>,
    pub(super) what: What,
}

/// A header field whose value is told.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: HeaderName,
    pub(super) is_redacted: bool,
    /// Whether its query is replaced.
    pub(super) has_secret_query: bool,
    /// Whether the authority of the target stands for it.
    pub(super) is_host: bool,
}

#[derive(Debug)]
pub(super) enum What {
    Nothing,
    Column(Column),
    /// Of a column, once it is known that no header field has it.
    Field(Field),
    /// A date, a space and a time.
    DateTime,
    OfHeader(Header),
    /// The next piece that was kept of the request.
    OfRequest,
    OfResponse,
    /// The time as the common log format has it.
    CommonTime,
    RequestLine,
    SentOrDash,
    /// A member of its own, unless there is no trace.
    TraceIfAny,
}

/// When a value is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    AtTheBeginning,
    WithTheResponse,
    AtTheEnd,
}

impl Step {
    pub(super) fn of(before: &str, column: Column) -> Self {
        Self { before: before.as_bytes().to_vec(), what: What::Column(column) }
    }

    pub(super) fn known(&self) -> Known {
        match &self.what {
            What::RequestLine | What::Column(Column::Request(_)) => Known::AtTheBeginning,
            What::Column(Column::Response(_)) => Known::WithTheResponse,
            What::Column(Column::Field(field)) => match field {
                Field::ServerName | Field::Method | Field::UriStem | Field::UriQuery => Known::AtTheBeginning,
                Field::ProtocolVersion => Known::AtTheBeginning,
                Field::Host | Field::UserAgent | Field::Cookie | Field::Referer => Known::AtTheBeginning,
                _ => Known::AtTheEnd,
            },
            _ => Known::AtTheEnd,
        }
    }

    pub(super) fn plain(self) -> Self {
        match self.what {
            What::Column(Column::Field(field)) => Self { what: What::Field(field), ..self },
            _ => self,
        }
    }

    pub(super) fn header(&self) -> Option<HeaderName> {
        match &self.what {
            What::Column(Column::Request(name) | Column::Response(name)) => Some(name.clone()),
            What::Column(Column::Field(field)) => match field {
                Field::Host => Some(HOST),
                Field::UserAgent => Some(USER_AGENT),
                Field::Cookie => Some(COOKIE),
                Field::Referer => Some(REFERER),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn is_host(&self) -> bool {
        matches!(self.what, What::Column(Column::Field(Field::Host)))
    }

    /// Most formats have one byte between two values.
    #[inline]
    pub(super) fn write_before(&self, text: &mut Vec<u8>) {
        match *self.before {
            [] => {}
            [byte] => text.push(byte),
            _ => text.extend_from_slice(&self.before),
        }
    }
}
