//! What numbers and times may be, in `web.config` and in the section `Module` alike.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Seconds.
pub(crate) const STARTUP_TIME_LIMIT: RangeInclusive<u32> = 1..=3600;
/// Seconds.
pub(crate) const SHUTDOWN_TIME_LIMIT: RangeInclusive<u32> = 0..=600;
pub(crate) const RAPID_FAILS_PER_MINUTE: RangeInclusive<u32> = 0..=100;
/// Seconds, 360 hours. Within none at all nothing could be answered but by luck.
pub(crate) const REQUEST_TIMEOUT: RangeInclusive<u32> = 1..=1_296_000;
pub(crate) const PROCESSES_PER_APPLICATION: RangeInclusive<u32> = 1..=100;
/// Bytes.
pub(crate) const MAX_ALLOWED_CONTENT_LENGTH: RangeInclusive<u32> = 0..=u32::MAX;

/// A whole number in its range. An error is the rest of a sentence that begins with the value.
pub(crate) fn number(text: &str, range: &RangeInclusive<u32>, unit: &str) -> Result<u32, String> {
    let expected = || {
        let unit = if unit.is_empty() { String::new() } else { format!(" of {unit}") };
        format!("is no whole number{unit}; expected one from {} to {}", range.start(), range.end())
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(expected());
    }
    // More digits than a number has room for are above every range, or below it.
    let beyond = if text.starts_with('-') { i128::MIN } else { i128::MAX };
    let number = text.parse().unwrap_or(beyond);
    match outside(number, range, unit) {
        Some(reason) => Err(reason),
        None => u32::try_from(number).map_err(|_| expected()),
    }
}

/// Why a number is not in its range: `is above 600 (seconds); expected a whole number from 0 to 600`.
fn outside(number: i128, range: &RangeInclusive<u32>, unit: &str) -> Option<String> {
    let (least, most) = (range.start(), range.end());
    let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
    let which = if number > i128::from(*most) {
        format!("is above {most}{unit}")
    } else if number < i128::from(*least) {
        format!("is below {least}{unit}")
    } else {
        return None;
    };
    Some(format!("{which}; expected a whole number from {least} to {most}"))
}

/// The same for a time, which is said as it is written.
pub(crate) fn outside_time(time: Duration, range: &RangeInclusive<u32>) -> Option<String> {
    let (least, most) = (Duration::from_secs((*range.start()).into()), *range.end());
    let which = if time > Duration::from_secs(most.into()) {
        format!("is above {}", span(most))
    } else if time < least {
        format!("is below {}", span(*range.start()))
    } else {
        return None;
    };
    Some(format!("{which}; expected a time from {}", shown(range)))
}

/// A range of times: `00:00:00 to 01:00:00`.
pub(crate) fn shown(range: &RangeInclusive<u32>) -> String {
    format!("{} to {}", span(*range.start()), span(*range.end()))
}

/// `hh:mm:ss`, with as many hours as there are.
fn span(seconds: u32) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
