use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE};

use super::AccessLogField;
use super::plan::Plan;

/// A value that may have fewer bytes tells nothing.
const SHORTEST_LIMIT: usize = 64;

/// What an [`AccessLog`](super::AccessLog) writes, and where to.
#[doc(alias = "W3CLoggerOptions")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogOptions {
    /// The form of the lines. Default is [`AccessLogFormat::W3c`].
    pub format: AccessLogFormat,
    /// What each line tells, in this order; of the formats whose fields can be chosen only. Default is `None`:
    /// [`AccessLogField::DEFAULT`].
    #[doc(alias = "LoggingFields")]
    pub fields: Option<Vec<AccessLogField>>,
    /// Fields of the request that stand after the others; of the formats whose fields can be chosen only. Default is
    /// none.
    #[doc(alias = "AdditionalRequestHeaders")]
    pub additional_request_headers: Vec<HeaderName>,
    /// Fields of the response that stand after those. Default is none.
    pub additional_response_headers: Vec<HeaderName>,
    /// Fields of requests and responses whose values are replaced by `[redacted]`, wherever they would stand. Default is
    /// `Authorization`, `Cookie`, `Proxy-Authorization` and `Set-Cookie`.
    pub redacted_headers: Vec<HeaderName>,
    /// Whether queries are replaced by `[redacted]`, also that of `Referer`. Default is false.
    pub redact_query: bool,
    /// Where the lines go. Default is files.
    pub output: AccessLogOutput,
    /// How long a line may wait until it is written; at most an hour, and 0 writes at once. Default is a second.
    #[doc(alias = "FlushInterval")]
    pub flush_interval: Duration,
    /// How many bytes of lines wait to be written, at least 65,536. A line that finds no place is dropped and counted.
    /// Values are cut at 2 KiB, or sooner if a line could be longer than this. Default is 1 MiB.
    pub queue_size: usize,
}

impl Default for AccessLogOptions {
    fn default() -> Self {
        Self {
            format: AccessLogFormat::default(),
            fields: None,
            additional_request_headers: Vec::new(),
            additional_response_headers: Vec::new(),
            redacted_headers: vec![AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, SET_COOKIE],
            redact_query: false,
            output: AccessLogOutput::default(),
            flush_interval: Duration::from_secs(1),
            queue_size: 1024 * 1024,
        }
    }
}

/// The form of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AccessLogFormat {
    /// The extended log file format of the W3C, with chosen fields. In values a space is `+`, and what could be taken for
    /// the end of a field or a line is `%` and two digits.
    #[default]
    #[doc(alias = "W3CLogging")]
    W3c,
    /// The common log format: `host - user [time] "request" status bytes`, escaped as Apache does.
    Common,
    /// The same with `"referer" "user agent"`.
    Combined,
    /// An object of JSON in each line, with chosen fields.
    Json,
}

impl AccessLogFormat {
    pub(super) fn has_chosen_fields(self) -> bool {
        matches!(self, Self::W3c | Self::Json)
    }
}

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccessLogOutput {
    /// Files.
    Files(AccessLogFiles),
    /// The standard output, as containers want it.
    Stdout,
}

impl Default for AccessLogOutput {
    fn default() -> Self {
        Self::Files(AccessLogFiles::default())
    }
}

/// The files of a log.
///
/// The newest lines are in `{directory}/{file_name}`. A file that is full gets a number at its end, such as
/// `access.log.000001`, and those with the lowest numbers are deleted. A file that somebody else moves or deletes, such
/// as logrotate, is begun anew with the next lines. After a restart the file is continued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLogFiles {
    /// The folder, which is made if it is not there. Default is `logs`; a relative path starts from the current folder,
    /// in the configuration from the content root.
    #[doc(alias = "LogDirectory")]
    pub directory: PathBuf,
    /// The name of the file that is written. Default is `access.log`.
    #[doc(alias = "FileName")]
    pub file_name: String,
    /// How many bytes a file has at the most, unless its only line is longer; at least 1,024. `None` is any number.
    /// Default is 10 MiB.
    #[doc(alias = "FileSizeLimit")]
    pub file_size_limit: Option<u64>,
    /// How many files there are at the most, with the one that is written; at least 1. `None` is any number. Default is
    /// 4.
    #[doc(alias = "RetainedFileCountLimit")]
    pub retained_file_count_limit: Option<u32>,
}

impl Default for AccessLogFiles {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("logs"),
            file_name: "access.log".to_owned(),
            file_size_limit: Some(10 * 1024 * 1024),
            retained_file_count_limit: Some(4),
        }
    }
}

/// An option that cannot be obeyed.
#[derive(Debug)]
pub(super) struct Fault {
    /// Its name in the configuration.
    pub(super) key: &'static str,
    /// Its name in the code.
    pub(super) option: &'static str,
    pub(super) reason: &'static str,
}

impl AccessLogOptions {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let fault = |key, option, reason| Err(Fault { key, option, reason });
        const FIXED: &str = "the formats Common and Combined have fields of their own; leave it out, or take the format W3C or Json";
        if !self.format.has_chosen_fields() {
            if self.fields.is_some() {
                return fault("LoggingFields", "fields", FIXED);
            }
            if !self.additional_request_headers.is_empty() {
                return fault("AdditionalRequestHeaders", "additional_request_headers", FIXED);
            }
            if !self.additional_response_headers.is_empty() {
                return fault("AdditionalResponseHeaders", "additional_response_headers", FIXED);
            }
        }
        if self.fields.as_ref().is_some_and(Vec::is_empty) && self.additional_request_headers.is_empty() {
            return fault(
                "LoggingFields",
                "fields",
                "a line without fields tells nothing; name one at least",
            );
        }
        if self.fields.as_ref().is_some_and(|fields| has_doubles(fields)) {
            return fault("LoggingFields", "fields", "a field stands there twice");
        }
        if has_doubles(&self.additional_request_headers) {
            return fault(
                "AdditionalRequestHeaders",
                "additional_request_headers",
                "a name stands there twice",
            );
        }
        if has_doubles(&self.additional_response_headers) {
            return fault(
                "AdditionalResponseHeaders",
                "additional_response_headers",
                "a name stands there twice",
            );
        }
        if self.flush_interval > Duration::from_secs(3600) {
            return fault("FlushInterval", "flush_interval", "expected at most an hour");
        }
        if self.queue_size < 64 * 1024 {
            return fault("QueueSize", "queue_size", "expected at least 65536 bytes");
        }
        if Plan::new(self).limit < SHORTEST_LIMIT {
            const SMALL: &str = "lines of so many fields do not fit; expected more bytes, or fewer fields";
            return fault("QueueSize", "queue_size", SMALL);
        }
        match &self.output {
            AccessLogOutput::Files(files) => files.check(),
            AccessLogOutput::Stdout => Ok(()),
        }
    }
}

impl AccessLogFiles {
    fn check(&self) -> Result<(), Fault> {
        let fault = |key, option, reason| Err(Fault { key, option, reason });
        let name = &self.file_name;
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\\', '\0']) {
            return fault(
                "FileName",
                "file_name",
                "expected the name of a file without a folder; the folder is LogDirectory",
            );
        }
        if self.file_size_limit.is_some_and(|limit| limit < 1024) {
            return fault(
                "FileSizeLimit",
                "file_size_limit",
                "expected at least 1024 bytes, or null for no limit",
            );
        }
        if self.retained_file_count_limit == Some(0) {
            return fault(
                "RetainedFileCountLimit",
                "retained_file_count_limit",
                "expected at least 1, or null for no limit",
            );
        }
        Ok(())
    }
}

fn has_doubles<T: PartialEq>(list: &[T]) -> bool {
    list.iter().enumerate().any(|(index, one)| list[..index].contains(one))
}
