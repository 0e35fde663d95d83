//! What the load of slow clients tells while it runs, a line of JSON at a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How it stands; comes every five seconds.
    Progress(Progress),
    /// The last line.
    Summary(Summary),
}

/// How it stands.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Since the beginning.
    pub seconds: u64,
    /// The slow connections that have not ended.
    pub open: u64,
    /// Those that the server has ended so far.
    pub ended: u64,
    /// The requests of well-behaved clients that were answered so far.
    pub answers: u64,
    /// Those that were not.
    pub errors: u64,
}

/// How it was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Summary {
    /// How slow connections ended, by their kind and what the server did.
    pub ends: BTreeMap<String, Times>,
    /// The latencies of the well-behaved clients, in microseconds.
    pub latencies: Times,
    /// How often one of them was not answered.
    pub errors: u64,
}

/// How long something took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// How often.
    pub count: u64,
    /// The shortest.
    pub min: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// 99 % of them took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}
