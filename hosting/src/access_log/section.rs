//! The section `AccessLog` of the configuration.

use std::time::Duration;

use http::HeaderName;
use serde::{Deserialize, Deserializer};

use super::{AccessLog, AccessLogField, AccessLogFiles, AccessLogFormat, AccessLogOptions, AccessLogOutput};
use crate::configuration::duration;
use crate::{Configuration, ConfigurationError, HostEnvironment, startup};

/// The path of the section.
const ROOT: &str = "AccessLog";

/// A line for each request, in files or on the standard output. A key that is not understood is refused with its place.
#[derive(Debug, Default, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a section: {} switches the access log on with its defaults; leave the key out to leave it off"
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename_all = "PascalCase"))]
pub(crate) struct AccessLogSection {
    /// Whether there is an access log. Default is true if the section is there.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = true)))]
    enabled: Option<bool>,
    /// The form of the lines. Default is `W3C`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "FormatName", extend("default" = "W3C")))]
    format: Option<FormatName>,
    /// What each line tells, in this order; with the formats `W3C` and `Json` only. Default is all but `ClientPort`,
    /// `UserName`, `Cookie`, `ConnectionId` and `TraceId`.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    logging_fields: Option<Vec<FieldName>>,
    /// Fields of the request that stand after those; with the formats `W3C` and `Json` only. Default is none.
    additional_request_headers: Vec<Header>,
    /// Fields of the response that stand after those; with the formats `W3C` and `Json` only. Default is none.
    additional_response_headers: Vec<Header>,
    /// Fields of requests and responses whose values are replaced by `[redacted]`, in the place of the default. Default is
    /// `Authorization`, `Cookie`, `Proxy-Authorization` and `Set-Cookie`.
    redacted_headers: Option<Vec<Header>>,
    /// Whether queries are replaced by `[redacted]`. Default is false.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "bool", extend("default" = false)))]
    redact_query: Option<bool>,
    /// Where the lines go. Default is `File`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "OutputName", extend("default" = "File")))]
    output: Option<OutputName>,
    /// The folder of the files, which is made if it is not there; a relative path starts from the content root. Default
    /// is `logs`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("default" = "logs")))]
    log_directory: Option<String>,
    /// The name of the file that is written; full ones get a number behind it. Default is `access.log`.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("default" = "access.log", "pattern" = r"^[^/\\]+$")))]
    file_name: Option<String>,
    /// The bytes that a file has at the most, at least 1024. `null` is any number. Default is 10485760.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u64>", range(min = 1024), extend("default" = 10_485_760)))]
    file_size_limit: Option<Option<u64>>,
    /// The files that there are at the most, with the one that is written, at least 1. `null` is any number. Default is
    /// 4.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<u32>", range(min = 1), extend("default" = 4)))]
    retained_file_count_limit: Option<Option<u32>>,
    /// How long a line may wait until it is written, as `hh:mm:ss` or seconds; at most an hour, and 0 writes at once.
    /// Default is a second.
    #[serde(deserialize_with = "required_duration")]
    #[cfg_attr(feature = "schema", schemars(with = "Duration", extend("maximum" = 3600, "default" = "00:00:01")))]
    flush_interval: Option<Duration>,
    /// The bytes of lines that wait to be written, at least 65536; a line that finds no place is dropped and counted.
    /// Default is 1048576.
    #[serde(deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "u32", range(min = 65536), extend("default" = 1_048_576)))]
    queue_size: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum FormatName {
    #[serde(rename = "W3C")]
    W3c,
    Common,
    Combined,
    Json,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
enum OutputName {
    File,
    Stdout,
}

/// What a line tells of a request.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from, with = "String", extend("enum" = names())))]
struct FieldName(AccessLogField);

impl TryFrom<String> for FieldName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let row = AccessLogField::ALL.iter().find(|row| row.1.eq_ignore_ascii_case(text.trim()));
        row.map(|row| Self(row.0)).ok_or_else(|| format!("expected one of {}", names().join(", ")))
    }
}

fn names() -> Vec<&'static str> {
    AccessLogField::ALL.iter().map(|row| row.1).collect()
}

/// The name of a header field.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(!try_from, with = "String", extend("pattern" = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", "patternErrorMessage" = "expected the name of a header field")))]
struct Header(HeaderName);

impl TryFrom<String> for Header {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_| "expected the name of a header field, such as X-Forwarded-For")
    }
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn required_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    duration::deserialize(deserializer).map(Some)
}

fn headers(list: Vec<Header>) -> Vec<HeaderName> {
    list.into_iter().map(|header| header.0).collect()
}

impl AccessLogSection {
    fn options(self, environment: &HostEnvironment) -> AccessLogOptions {
        let defaults = AccessLogOptions::default();
        let files = AccessLogFiles::default();
        let directory = self.log_directory.map_or(files.directory, Into::into);
        let files = AccessLogFiles {
            directory: startup::rooted(environment, directory),
            file_name: self.file_name.unwrap_or(files.file_name),
            file_size_limit: self.file_size_limit.unwrap_or(files.file_size_limit),
            retained_file_count_limit: self
                .retained_file_count_limit
                .unwrap_or(files.retained_file_count_limit),
        };
        AccessLogOptions {
            format: match self.format {
                None | Some(FormatName::W3c) => AccessLogFormat::W3c,
                Some(FormatName::Common) => AccessLogFormat::Common,
                Some(FormatName::Combined) => AccessLogFormat::Combined,
                Some(FormatName::Json) => AccessLogFormat::Json,
            },
            fields: self.logging_fields.map(|fields| fields.into_iter().map(|field| field.0).collect()),
            additional_request_headers: headers(self.additional_request_headers),
            additional_response_headers: headers(self.additional_response_headers),
            redacted_headers: self.redacted_headers.map_or(defaults.redacted_headers, headers),
            redact_query: self.redact_query.unwrap_or(defaults.redact_query),
            output: match self.output {
                None | Some(OutputName::File) => AccessLogOutput::Files(files),
                Some(OutputName::Stdout) => AccessLogOutput::Stdout,
            },
            flush_interval: self.flush_interval.unwrap_or(defaults.flush_interval),
            queue_size: self.queue_size.map_or(defaults.queue_size, |size| size as usize),
        }
    }
}

/// The log that the configuration wants, if it wants one.
pub(super) fn log(
    configuration: &Configuration,
    environment: &HostEnvironment,
) -> Result<Option<AccessLog>, ConfigurationError> {
    let section = configuration.section(ROOT);
    if !section.exists() {
        return Ok(None);
    }
    let section = section.bind::<AccessLogSection>()?;
    let is_enabled = section.enabled.unwrap_or(true);
    refuse_unused(configuration, &section)?;
    let options = section.options(environment);
    options.check().map_err(|fault| configuration.invalid(&format!("{ROOT}:{}", fault.key), fault.reason))?;
    if !is_enabled {
        return Ok(None);
    }
    match AccessLog::open(&options) {
        Ok(log) => Ok(Some(log)),
        Err(error) => {
            let key = match options.output {
                AccessLogOutput::Files(_) => "LogDirectory",
                AccessLogOutput::Stdout => "Output",
            };
            Err(configuration.invalid(&format!("{ROOT}:{key}"), format_args!("{error:?}")))
        }
    }
}

/// What is said about files has nobody who obeys it if there are none.
fn refuse_unused(
    configuration: &Configuration,
    section: &AccessLogSection,
) -> Result<(), ConfigurationError> {
    if !matches!(section.output, Some(OutputName::Stdout)) {
        return Ok(());
    }
    let given = [
        ("LogDirectory", section.log_directory.is_some()),
        ("FileName", section.file_name.is_some()),
        ("FileSizeLimit", section.file_size_limit.is_some()),
        ("RetainedFileCountLimit", section.retained_file_count_limit.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((key, _)) => {
            let reason = "it is for files, and the Output is Stdout; leave one of them out";
            Err(configuration.invalid(&format!("{ROOT}:{key}"), reason))
        }
        None => Ok(()),
    }
}
