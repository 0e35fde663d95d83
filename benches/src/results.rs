//! What a run has found, kept as JSON.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::machine::Machine;
use crate::measure::{Measure, Sample, median};
use crate::peer::REFERENCE;

/// A whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    /// The command that was given.
    pub command: String,
    /// Where, when and with what.
    pub machine: Machine,
    /// Each peer under each workload.
    pub series: Vec<Series>,
}

/// One peer under one workload.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    /// The workload's name.
    pub workload: String,
    /// The peer's name.
    pub peer: String,
    /// A sample for each round.
    pub samples: Vec<Sample>,
    /// Why a round failed, if one did.
    pub failure: Option<String>,
}

impl Series {
    /// The median of the rounds.
    #[must_use]
    pub fn median(&self, measure: Measure) -> Option<f64> {
        median(self.samples.iter().filter_map(|sample| sample.get(&measure).copied()).collect())
    }

    /// The ratios to another series, round by round: the least, their median, the greatest.
    #[must_use]
    pub fn ratio(&self, to: &Self, measure: Measure) -> Option<[f64; 3]> {
        let pairs = self.samples.iter().zip(&to.samples);
        let ratios = pairs.filter_map(|(sample, other)| Some(sample.get(&measure)? / other.get(&measure)?));
        let ratios: Vec<f64> = ratios.collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = ratios.iter().copied().fold(0.0, f64::max);
        Some([least, median(ratios)?, greatest])
    }
}

impl Results {
    /// The series of one workload.
    pub fn of(&self, workload: &str) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(move |series| series.workload == workload)
    }

    /// The series that the ratios of a workload are to.
    #[must_use]
    pub fn reference(&self, workload: &str) -> Option<&Series> {
        self.of(workload).find(|series| series.peer == REFERENCE)
    }

    /// Reads what [`save`](Self::save) has written.
    ///
    /// # Errors
    /// When the file cannot be read or is not such a file.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        serde_json::from_slice(&text)
            .map_err(|error| format!("{} holds no results: {error}", path.display()).into())
    }

    /// Writes all of it as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        fs::write(path, serde_json::to_string_pretty(self)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
    }
}
