//! What was done to the system, counted.

use std::collections::BTreeMap;

use serde::Serialize;

/// The counts.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// `kill -9` by kind: `point`, `random`, `state` (and its state deleted), `broker`, or the service.
    pub kills: BTreeMap<String, u64>,
    /// Executors that were paused, by what stopped them: `point` or `random`.
    pub pauses: BTreeMap<String, u64>,
    /// Storms of rebalances.
    pub storms: u64,
    /// Rolling restarts of all executors that went through.
    pub rolling_restarts: u64,
    /// Executors that were asked to stop and did so with exit code 0.
    pub clean_stops: u64,
    /// Restarts of the broker after `kill -9`.
    pub broker_restarts: u64,
    /// Faults of the venue by name.
    pub venue_faults: BTreeMap<String, u64>,
    /// Services that ended because something outside was away, by name.
    pub unavailable: BTreeMap<String, u64>,
}

impl Counts {
    /// All `kill -9`.
    pub fn kills_total(&self) -> u64 {
        self.kills.values().sum()
    }

    /// One more `kill -9`.
    pub fn killed(&mut self, kind: &str) {
        *self.kills.entry(kind.to_owned()).or_default() += 1;
    }

    /// One more pause.
    pub fn paused(&mut self, kind: &str) {
        *self.pauses.entry(kind.to_owned()).or_default() += 1;
    }
}
