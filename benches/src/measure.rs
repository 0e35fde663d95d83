//! What is read off while a peer is asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Requests, handshakes or messages answered in a second.
    PerSecond,
    /// Microseconds of the server's processes (user and system) for each of them.
    CpuMicros,
    /// User-space instructions of the server for each of them.
    Instructions,
    /// Half of the answers took no longer, in microseconds.
    P50Micros,
    /// 99 % of the answers took no longer.
    P99Micros,
    /// 99.9 % of the answers took no longer.
    P999Micros,
    /// Resident memory of the server's processes at the end, in KiB.
    ResidentKib,
    /// Resident memory for each idle connection, in bytes.
    IdleBytes,
    /// From the start of the process to the first answer, in milliseconds.
    StartUpMillis,
}

impl Measure {
    /// The head of a column.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::PerSecond => "per second",
            Self::CpuMicros => "CPU µs each",
            Self::Instructions => "instructions each",
            Self::P50Micros => "p50 µs",
            Self::P99Micros => "p99 µs",
            Self::P999Micros => "p99.9 µs",
            Self::ResidentKib => "resident KiB",
            Self::IdleBytes => "bytes per connection",
            Self::StartUpMillis => "start-up ms",
        }
    }

    /// The digits after the point that mean something.
    #[must_use]
    pub fn digits(self) -> usize {
        match self {
            Self::CpuMicros | Self::StartUpMillis => 2,
            _ => 0,
        }
    }
}

/// What was read off one peer in one round.
pub type Sample = BTreeMap<Measure, f64>;

/// The number in the middle, or the mean of the two there.
#[must_use]
pub fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(numbers[middle]),
        _ => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
