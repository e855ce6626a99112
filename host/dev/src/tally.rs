//! Counts what flows: per topic, per status, per reason, and the time from frame to result.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use unrip_bus::Record;
use unrip_core::envelope::AnyEnvelope;
use unrip_core::topic;

/// Latencies kept at most, 8 MB of them; later ones are counted only.
const LATENCIES_MAX: usize = 1_000_000;
/// Commands whose end is followed at most.
const COMMANDS_MAX: usize = 1_000_000;

/// The counts so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Records per topic.
    pub topics: BTreeMap<String, u64>,
    /// Dead letters by topic and reason.
    pub dead_letters: BTreeMap<String, BTreeMap<String, u64>>,
    /// Results by status.
    pub results: BTreeMap<String, u64>,
    /// Raw events by venue.
    pub raw: BTreeMap<String, u64>,
    /// Claims: each is at most one signed action.
    pub claims: u64,
    /// Commands without a result.
    open: HashSet<String>,
    /// Commands with a result.
    ended: HashSet<String>,
    /// Microseconds from frame to result.
    latencies: Vec<u64>,
}

/// Time from the frame's arrival to the record of the result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: usize,
    /// Half of them were quicker.
    pub p50_ms: f64,
    /// All but one of a hundred were quicker.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Tally {
    /// Counts a record.
    pub fn add(&mut self, record: &Record) {
        *self.topics.entry(record.topic.clone()).or_default() += 1;
        let Ok(envelope) = AnyEnvelope::read(&record.value) else { return };
        let text =
            |key: &str| envelope.payload.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        match envelope.event_type.as_str() {
            "raw_frame" => *self.raw.entry(envelope.venue.to_string()).or_default() += 1,
            "journal_claim" => self.claims += 1,
            "dead_letter" => {
                let reasons = self.dead_letters.entry(record.topic.clone()).or_default();
                *reasons.entry(text("reason_code")).or_default() += 1;
            }
            "execute_trade" if record.topic == topic::EXECUTE_TRADE => self.command(text("command_id")),
            "trade_result"
                // A repeat after a crash without transactions is the same result.
                if self.result(text("command_id")) => {
                    *self.results.entry(text("status")).or_default() += 1;
                    let micros = envelope.ingested_at.micros().saturating_sub(envelope.observed_at.micros());
                    if self.latencies.len() < LATENCIES_MAX {
                        self.latencies.push(micros.max(0).unsigned_abs());
                    }
                }
            _ => {}
        }
    }

    /// Commands seen that have no result yet.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Commands seen.
    pub fn commands(&self) -> usize {
        self.open.len() + self.ended.len()
    }

    fn command(&mut self, id: String) {
        if !self.ended.contains(&id) && self.open.len() < COMMANDS_MAX {
            self.open.insert(id);
        }
    }

    /// Whether the result is the first of its command. It may be read before the command: they are two topics.
    fn result(&mut self, id: String) -> bool {
        self.open.remove(&id);
        self.ended.len() >= COMMANDS_MAX || self.ended.insert(id)
    }

    /// The latencies so far.
    pub fn latency(&self) -> Option<Latency> {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
            sorted.get(rank).map(|micros| *micros as f64 / 1_000.0)
        };
        Some(Latency { count: sorted.len(), p50_ms: at(50)?, p99_ms: at(99)?, max_ms: at(100)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::record;
    use serde_json::json;

    fn command(id: &str) -> Record {
        record(topic::EXECUTE_TRADE, "execute_trade", json!({ "command_id": id }))
    }

    fn result(id: &str) -> Record {
        record(topic::TRADE_RESULT, "trade_result", json!({ "command_id": id, "status": "executed" }))
    }

    #[test]
    fn follows_commands_to_their_results_in_any_order() {
        let mut tally = Tally::default();
        for record in [command("1"), command("2"), result("1"), result("3"), command("3"), result("1"), command("1")] {
            tally.add(&record);
        }
        assert_eq!(tally.open(), 1);
        assert_eq!(tally.commands(), 3);
        assert_eq!(tally.results["executed"], 2, "a repeat is the same result");
        assert_eq!(tally.topics[topic::TRADE_RESULT], 3);
    }

    #[test]
    fn takes_percentiles_by_nearest_rank() {
        let tally = Tally { latencies: (1..=200).rev().map(|n| n * 1_000).collect(), ..Tally::default() };
        let latency = tally.latency().unwrap();
        assert_eq!((latency.p50_ms, latency.p99_ms, latency.max_ms), (100.0, 198.0, 200.0));
        let one = Tally { latencies: vec![5_000], ..Tally::default() };
        assert_eq!(one.latency().unwrap().p99_ms, 5.0);
        assert_eq!(Tally::default().latency(), None);
    }

    #[test]
    fn counts_dead_letters_by_reason() {
        let mut tally = Tally::default();
        tally.add(&record("dead.raw.a", "dead_letter", json!({ "reason_code": "not_json" })));
        tally.add(&record("dead.raw.a", "dead_letter", json!({ "reason_code": "not_json" })));
        assert_eq!(tally.dead_letters["dead.raw.a"]["not_json"], 2);
    }
}
