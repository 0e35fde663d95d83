//! Values of attributes. An error is the rest of a sentence that begins with the attribute and its value.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::HostingModel;
use crate::ranges;

/// Whole seconds in their range.
pub(super) fn seconds(text: &str, range: &RangeInclusive<u32>) -> Result<Duration, String> {
    ranges::number(text, range, "seconds").map(|seconds| Duration::from_secs(seconds.into()))
}

/// `true` or `false` in any case.
pub(super) fn bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is no switch; expected true or false".to_owned()),
    }
}

/// `[d.]hh:mm:ss`, in whole seconds and in its range. Without days the hours may be more than 23.
pub(super) fn time_span(text: &str, range: &RangeInclusive<u32>) -> Result<Duration, String> {
    let time = parse_time_span(text)?;
    match ranges::outside_time(time, range) {
        Some(reason) => Err(reason),
        None => Ok(time),
    }
}

fn parse_time_span(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "is no time; expected hh:mm:ss in whole seconds, such as 00:02:00";
    let parts: Vec<_> = text.split(':').collect();
    let &[first, minutes, seconds] = parts.as_slice() else { return Err(EXPECTED.to_owned()) };
    let (days, hours) = first.split_once('.').map_or((None, first), |(days, hours)| (Some(days), hours));
    let whole = |part: &str| {
        let is_number = !part.is_empty() && part.len() <= 9 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u64>().ok().filter(|_| is_number).ok_or_else(|| EXPECTED.to_owned())
    };
    let (days, hours, has_days) = (days.map_or(Ok(0), whole)?, whole(hours)?, days.is_some());
    let (minutes, seconds) = (whole(minutes)?, whole(seconds)?);
    for (value, below, name) in [(hours, 24, "hours"), (minutes, 60, "minutes"), (seconds, 60, "seconds")] {
        if value >= below && (has_days || name != "hours") {
            return Err(format!("has {value} {name}, which must be below {below}"));
        }
    }
    Ok(Duration::from_secs(((days * 24 + hours) * 60 + minutes) * 60 + seconds))
}

/// The hosting model by its name in any case; an empty text is none, as it is for the original.
pub(super) fn hosting_model(text: &str) -> Result<HostingModel, String> {
    match text.to_ascii_lowercase().as_str() {
        "inprocess" => Ok(HostingModel::InProcess),
        "outofprocess" | "" => Ok(HostingModel::OutOfProcess),
        _ => Err("is no hosting model; expected inprocess or outofprocess".to_owned()),
    }
}
