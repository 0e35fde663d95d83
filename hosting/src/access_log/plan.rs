//! What the options come to: the steps that make a line.

mod values;

use http::header::REFERER;
use http::{HeaderMap, HeaderName};

use super::kept::Kept;
use super::line::{Beginning, Line, Ready};
use super::step::{Column, Header, Known, Step, What};
use super::text::{self, Clock};
use super::{AccessLogField as Field, AccessLogFormat, AccessLogOptions, common, json, w3c};

/// As many bytes of a value are told.
const LONGEST_VALUE: usize = 2048;

/// As many bytes a date, a number or another value of the server's own may have.
const LONGEST_OWN: usize = 64;

/// A line has steps of three times: what a request brings is made into text at once and kept so, and so is what a response
/// brings; the others are made when the line is.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) format: AccessLogFormat,
    line: Vec<Step>,
    /// The pieces that are kept of a request.
    request: Vec<Vec<Step>>,
    response: Vec<Vec<Step>>,
    pub(super) redact_query: bool,
    /// As many bytes of a value are told, so that a line finds its place in an empty queue.
    pub(super) limit: usize,
    /// As the head of a file has them.
    pub(super) field_names: String,
}
pub(super) const REDACTED: &str = "[redacted]";

impl Plan {
    pub(super) fn new(options: &AccessLogOptions) -> Self {
        let fields = options.fields.as_deref().unwrap_or(&Field::DEFAULT);
        let fields = fields.iter().map(|&field| Column::Field(field));
        let requests = options.additional_request_headers.iter().cloned().map(Column::Request);
        let responses = options.additional_response_headers.iter().cloned().map(Column::Response);
        let columns: Vec<_> = fields.chain(requests).chain(responses).collect();
        let (steps, field_names) = match options.format {
            AccessLogFormat::W3c => (w3c::steps(&columns), w3c::names(&columns)),
            AccessLogFormat::Json => (json::steps(&columns, options.fields.is_none()), String::new()),
            AccessLogFormat::Common => (common::steps(false), String::new()),
            AccessLogFormat::Combined => (common::steps(true), String::new()),
        };
        let mut plan = Self {
            format: options.format,
            line: Vec::new(),
            request: Vec::new(),
            response: Vec::new(),
            redact_query: options.redact_query,
            limit: limit(options, &steps),
            field_names,
        };
        steps.into_iter().for_each(|step| plan.add(step, &options.redacted_headers));
        plan
    }

    /// Steps of the same time that follow each other are one piece.
    fn add(&mut self, step: Step, redacted: &[HeaderName]) {
        let known = step.known();
        if known == Known::AtTheEnd {
            return self.add_end(step.plain());
        }
        let step = match step.header() {
            Some(name) => {
                let is_redacted = redacted.contains(&name);
                let (has_secret_query, is_host) = (self.redact_query && name == REFERER, step.is_host());
                let header = Header { name, is_redacted, has_secret_query, is_host };
                Step { what: What::OfHeader(header), ..step }
            }
            None if matches!(step.what, What::Column(Column::Field(Field::ServerName))) => {
                let mut before = step.before;
                self.value(&mut before, Some(computer_name().as_bytes()));
                Step { before, what: What::Nothing }
            }
            None => step.plain(),
        };
        let (pieces, what) = match known {
            Known::WithTheResponse => (&mut self.response, What::OfResponse),
            _ => (&mut self.request, What::OfRequest),
        };
        let goes_on = self
            .line
            .last()
            .is_some_and(|last| std::mem::discriminant(&last.what) == std::mem::discriminant(&what));
        match pieces.last_mut().filter(|_| goes_on) {
            Some(piece) => piece.push(step),
            None => {
                pieces.push(vec![step]);
                self.line.push(Step { before: Vec::new(), what });
            }
        }
    }

    fn add_end(&mut self, step: Step) {
        let is_time = matches!(step.what, What::Field(Field::Time)) && step.before == b" ";
        match self.line.last_mut() {
            Some(last) if is_time && matches!(last.what, What::Field(Field::Date)) => {
                last.what = What::DateTime
            }
            _ => self.line.push(step),
        }
    }

    /// Whether a line tells this of a request at its end.
    pub(super) fn tells(&self, wanted: Field) -> bool {
        self.line.iter().any(|step| match &step.what {
            What::Field(field) => *field == wanted,
            What::TraceIfAny => wanted == Field::TraceId,
            _ => false,
        })
    }

    /// What the line will tell of the beginning of a request.
    pub(super) fn begin(&self, beginning: &Beginning<'_>) -> Kept {
        let mut kept = Kept::with_room();
        for piece in &self.request {
            kept.add(|text| piece.iter().for_each(|step| self.write_beginning(text, step, beginning)));
        }
        kept
    }

    /// What the line will tell of the fields of a response.
    pub(super) fn answer(&self, headers: Option<&HeaderMap>) -> Kept {
        let mut kept = Kept::default();
        for piece in &self.response {
            kept.add(|text| piece.iter().for_each(|step| self.write_answer(text, step, headers)));
        }
        kept
    }

    fn write_answer(&self, text: &mut Vec<u8>, step: &Step, headers: Option<&HeaderMap>) {
        step.write_before(text);
        if let What::OfHeader(header) = &step.what {
            self.header(text, header, headers, None);
        }
    }

    /// Adds the line of a request, with its end.
    pub(super) fn write(&self, text: &mut Vec<u8>, clock: &Clock, line: &Line<'_>, ready: &Ready) {
        let (mut requests, mut responses) = (ready.of_request.pieces(), ready.of_response.pieces());
        for step in &self.line {
            step.write_before(text);
            match &step.what {
                What::Field(field) => self.write_field(text, clock, line, *field),
                What::DateTime => clock.date_time(text),
                What::OfRequest => text.extend_from_slice(requests.next().unwrap_or_default()),
                What::OfResponse => text.extend_from_slice(responses.next().unwrap_or_default()),
                What::CommonTime => clock.common(text),
                What::SentOrDash if line.sent == 0 => text.push(b'-'),
                What::SentOrDash => text::number(text, line.sent),
                What::TraceIfAny => {
                    if line.trace.is_some() {
                        text.extend_from_slice(b",\"trace_id\":");
                        self.trace(text, line.trace);
                    }
                }
                // These are pieces that were kept.
                What::Nothing | What::RequestLine | What::OfHeader(_) | What::Column(_) => {}
            }
        }
        text.push(b'\n');
    }

    fn write_beginning(&self, text: &mut Vec<u8>, step: &Step, beginning: &Beginning<'_>) {
        step.write_before(text);
        match &step.what {
            What::RequestLine => self.request_line(text, beginning),
            What::OfHeader(header) => self.header(text, header, beginning.headers, beginning.authority),
            What::Field(field) => match field {
                Field::Method => self.value(text, beginning.method),
                Field::UriStem => self.target(text, beginning.path),
                Field::UriQuery => self.target(text, beginning.query),
                Field::ProtocolVersion => self.value(text, beginning.version.map(str::as_bytes)),
                // These are known at the end.
                _ => {}
            },
            _ => {}
        }
    }

    fn write_field(&self, text: &mut Vec<u8>, clock: &Clock, line: &Line<'_>, field: Field) {
        match field {
            Field::Date | Field::Time => self.time(text, clock, field),
            Field::ClientIpAddress => self.address(text, line.client.map(|client| client.ip())),
            Field::ServerIpAddress => self.address(text, line.server.map(|server| server.ip())),
            Field::ClientPort => {
                self.or_absent(text, line.client, |text, at| text::number(text, at.port().into()));
            }
            Field::ServerPort => {
                self.or_absent(text, line.server, |text, at| text::number(text, at.port().into()));
            }
            Field::UserName => self.user(text, line.user.map(str::as_bytes)),
            Field::ProtocolStatus => self.or_absent(text, line.status, text::status),
            Field::ResponseBytes => text::number(text, line.sent),
            Field::RequestBytes => text::number(text, line.received),
            Field::TimeTaken => self.or_absent(text, line.duration, text::milliseconds),
            Field::TraceIdentifier => self.value(text, line.request_id.map(str::as_bytes)),
            Field::ConnectionId => self.value(text, line.connection_id.map(str::as_bytes)),
            Field::TraceId => self.trace(text, line.trace),
            Field::TlsVersion => self.value(text, line.tls.map(str::as_bytes)),
            Field::ErrorType => self.value(text, line.error.map(str::as_bytes)),
            // These are kept.
            _ => {}
        }
    }
    /// The lines at the beginning of a file.
    pub(super) fn head(&self, clock: &Clock) -> Vec<u8> {
        match self.format {
            AccessLogFormat::W3c => w3c::head(self, clock),
            _ => Vec::new(),
        }
    }

    /// A line that tells of lines that are not there, in the formats that have a place for it.
    pub(super) fn remark(&self, clock: &Clock, lost: u64) -> Vec<u8> {
        match self.format {
            AccessLogFormat::W3c => format!("#Remark: {lost} lines were lost before this\n").into_bytes(),
            AccessLogFormat::Json => json::remark(clock, lost),
            AccessLogFormat::Common | AccessLogFormat::Combined => Vec::new(),
        }
    }
}

/// So many bytes a value may have that a line of nothing but escapes fits into an empty queue.
fn limit(options: &AccessLogOptions, steps: &[Step]) -> usize {
    let most_of_a_byte = match options.format {
        AccessLogFormat::W3c => 3,
        AccessLogFormat::Common | AccessLogFormat::Combined => 4,
        AccessLogFormat::Json => 6,
    };
    let own: usize = steps.iter().map(|step| step.before.len() + LONGEST_OWN).sum();
    // A request line has two values.
    let values = steps.len() + 1;
    let limit = options.queue_size.saturating_sub(own) / values / most_of_a_byte;
    limit.min(LONGEST_VALUE)
}

/// The name of the machine, or nothing where the system does not tell it.
fn computer_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| std::env::var("HOSTNAME"));
    name.unwrap_or_default().trim().to_owned()
}
