use std::fmt;

/// The upper bounds of the buckets of a histogram, in its unit: finite, above zero, each larger than the one before.
///
/// ```
/// use server_abstractions::HistogramBounds;
/// let bounds = HistogramBounds::new([0.1, 1.0, 10.0])?;
/// assert_eq!(bounds.as_slice(), [0.1, 1.0, 10.0]);
/// assert!(HistogramBounds::new([1.0, 0.1]).is_err());
/// # Ok::<(), server_abstractions::HistogramBoundsError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[doc(alias = "InstrumentAdvice")]
pub struct HistogramBounds(Vec<f64>);

impl HistogramBounds {
    /// The most bounds there may be. Each costs eight bytes for every set of attributes, and a line in Prometheus' text.
    pub const MOST: usize = 200;

    /// Takes a list that is right.
    ///
    /// # Errors
    /// When it is empty or has more than [`MOST`](Self::MOST), or when one of them is not a number above zero or not larger than the one before it.
    pub fn new(bounds: impl Into<Vec<f64>>) -> Result<Self, HistogramBoundsError> {
        let bounds = bounds.into();
        if bounds.is_empty() || bounds.len() > Self::MOST {
            return Err(HistogramBoundsError::Count(bounds.len()));
        }
        let mut last = 0.0;
        for (index, &bound) in bounds.iter().enumerate() {
            if !bound.is_finite() || bound <= 0.0 {
                return Err(HistogramBoundsError::Value { index, bound });
            }
            if bound <= last {
                return Err(HistogramBoundsError::Order { index, bound, last });
            }
            last = bound;
        }
        Ok(Self(bounds))
    }

    /// Seconds for what should be over soon, such as requests: 5 ms to 10 s, as the semantic conventions of OpenTelemetry
    /// advise.
    pub fn short_seconds() -> Self {
        Self(vec![0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0])
    }

    /// Seconds for what may last, such as connections: 10 ms to 300 s.
    pub fn long_seconds() -> Self {
        Self(vec![0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0])
    }

    /// The bounds.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }
}

/// Why a list of bounds is none.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum HistogramBoundsError {
    /// There are none, or too many.
    Count(usize),
    /// One is not a number above zero.
    Value {
        /// Its place, from 0.
        index: usize,
        /// The bound.
        bound: f64,
    },
    /// One is not larger than the one before it.
    Order {
        /// Its place, from 0.
        index: usize,
        /// The bound.
        bound: f64,
        /// The one before.
        last: f64,
    },
}

impl HistogramBoundsError {
    /// The place of the bound that is wrong, if it is one.
    pub fn index(&self) -> Option<usize> {
        match *self {
            Self::Count(_) => None,
            Self::Value { index, .. } | Self::Order { index, .. } => Some(index),
        }
    }
}

impl fmt::Display for HistogramBoundsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => {
                write!(f, "there are {count} bounds, and there must be 1 to {}", HistogramBounds::MOST)
            }
            Self::Value { bound, .. } => write!(f, "the bound {bound} is not a number above 0"),
            Self::Order { bound, last, .. } => {
                write!(f, "the bound {bound} is not larger than the one before it, {last}")
            }
        }
    }
}

impl std::error::Error for HistogramBoundsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_wrong_is_refused_at_its_place() {
        for (bounds, index) in [
            (vec![], None),
            (vec![1.0; 201], None),
            (vec![0.0, 1.0], Some(0)),
            (vec![-1.0], Some(0)),
            (vec![1.0, f64::INFINITY], Some(1)),
            (vec![1.0, f64::NAN], Some(1)),
            (vec![1.0, 2.0, 2.0], Some(2)),
            (vec![1.0, 3.0, 2.0], Some(2)),
        ] {
            assert_eq!(HistogramBounds::new(bounds.clone()).unwrap_err().index(), index, "{bounds:?}");
        }
        for right in [HistogramBounds::short_seconds(), HistogramBounds::long_seconds()] {
            assert_eq!(HistogramBounds::new(right.as_slice()), Ok(right));
        }
    }
}
