//! Lengths of time in configuration: `00:02:10`, `1.12:00:00` or a number of seconds.
//!
//! ```
//! # use std::time::Duration;
//! #[derive(serde::Deserialize)]
//! #[serde(default)]
//! struct Limits {
//!     #[serde(with = "hosting::configuration_duration")]
//!     keep_alive_timeout: Duration,
//!     #[serde(with = "hosting::configuration_duration::optional")]
//!     grace_period: Option<Duration>,
//! }
//! # impl Default for Limits {
//! #     fn default() -> Self {
//! #         Self { keep_alive_timeout: Duration::from_secs(130), grace_period: None }
//! #     }
//! # }
//! ```

use std::{error::Error, fmt, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Reads a length of time.
///
/// ASP.NET Core's forms are taken: `hh:mm`, `hh:mm:ss`, `hh:mm:ss.fff` with up to nine digits after the
/// point, each of them also with days in front, as in `1.12:00:00`. A number without a colon is seconds,
/// such as `90` or `0.5`; there a bare number means days, which nobody expects.
///
/// # Errors
/// The text has another form, or hours, minutes or seconds are out of range.
#[doc(alias = "TimeSpan")]
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let text = text.trim();
    let parsed = if text.contains(':') { time_span(text) } else { seconds(text) };
    parsed.ok_or(ParseDurationError)
}

/// Deserializes a [`Duration`], for `#[serde(with = "...")]`.
///
/// # Errors
/// The text is no length of time, see [`parse`].
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// The same for an `Option<Duration>`, where `null` is `None`.
pub mod optional {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de::Error as _};

    /// Deserializes an optional [`Duration`], for `#[serde(with = "...")]`.
    ///
    /// # Errors
    /// The text is no length of time, see [`parse`](super::parse).
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse(&text)).transpose().map_err(D::Error::custom)
    }
}

/// A text that is no length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseDurationError;

impl fmt::Display for ParseDurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a time such as 00:00:30 or 1.12:00:00, or a number of seconds")
    }
}

impl Error for ParseDurationError {}

/// `[d.]hh:mm[:ss[.fff]]`.
fn time_span(text: &str) -> Option<Duration> {
    let mut parts = text.split(':');
    let (first, minutes, rest) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let (days, hours) = first.split_once('.').unwrap_or(("0", first));
    let whole = whole(days)?
        .checked_mul(24)?
        .checked_add(below(24, hours)?)?
        .checked_mul(60)?
        .checked_add(below(60, minutes)?)?
        .checked_mul(60)?;
    let rest = seconds(rest.unwrap_or("0")).filter(|rest| rest.as_secs() < 60)?;
    Duration::from_secs(whole).checked_add(rest)
}

/// `s[.fff]`.
fn seconds(text: &str) -> Option<Duration> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.len() > 9 {
        return None;
    }
    let nanoseconds = whole(fraction)? * 10_u64.pow(9 - u32::try_from(fraction.len()).ok()?);
    Some(Duration::new(whole(seconds)?, u32::try_from(nanoseconds).ok()?))
}

fn below(limit: u64, text: &str) -> Option<u64> {
    whole(text).filter(|number| *number < limit)
}

/// Digits only: `u64`'s own parser takes a sign.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spans_and_seconds_are_read() {
        for (text, expected) in [
            ("00:02:10", Duration::from_secs(130)),
            ("1:00", Duration::from_secs(3600)),
            ("1.12:00:00", Duration::from_secs(36 * 3600)),
            ("00:00:00.5", Duration::from_millis(500)),
            ("00:00:00.0000001", Duration::from_nanos(100)),
            (" 90 ", Duration::from_secs(90)),
            ("0", Duration::ZERO),
            ("0.25", Duration::from_millis(250)),
            ("23:59:59.999999999", Duration::new(86_399, 999_999_999)),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        for text in [
            "",
            ":",
            "::",
            ".",
            "-1",
            "+1",
            "-00:00:01",
            "24:00:00",
            "00:60:00",
            "00:00:60",
            "1:2:3:4",
            "5s",
            "1.",
            ".5",
            "1e3",
            "00:00:",
            "99999999999999999999",
            "18446744073709551615.00:00:00",
            "0.1234567891",
            "１",
        ] {
            assert_eq!(parse(text), Err(ParseDurationError), "{text}");
        }
    }
}
