//! What was found: broken promises, each with everything that is known of its command.

use serde::Serialize;

/// A promise that does not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Breach {
    /// What kind, snake_case.
    pub code: String,
    /// The command, where it is about one.
    pub command_id: Option<String>,
    /// What exactly.
    pub detail: String,
    /// The records of the command and the ledger's lines about its quote.
    pub traces: Vec<String>,
}

impl Breach {
    /// A breach that is about no command.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.to_owned(), command_id: None, detail: detail.into(), traces: Vec::new() }
    }

    /// A breach of a command.
    pub fn of(code: &str, command_id: &str, detail: impl Into<String>) -> Self {
        Self { command_id: Some(command_id.to_owned()), ..Self::new(code, detail) }
    }
}

/// How long commands were in doubt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Doubts {
    /// Commands of which `in_doubt` was said.
    pub count: usize,
    /// Half of them were resolved sooner, from `in_doubt` to the result.
    pub p50_ms: f64,
    /// All but one of a hundred were.
    pub p99_ms: f64,
    /// The last of them.
    pub max_ms: f64,
}

impl Doubts {
    /// Of these times, in microseconds.
    pub fn of(mut times: Vec<i64>) -> Self {
        times.sort_unstable();
        let at = |hundredths: usize| {
            let rank = (times.len() * hundredths).div_ceil(100).saturating_sub(1);
            times.get(rank).map_or(0.0, |micros| *micros as f64 / 1_000.0)
        };
        Self { count: times.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_percentiles_by_nearest_rank() {
        let doubts = Doubts::of((1..=200).rev().map(|n| n * 1_000).collect());
        assert_eq!((doubts.count, doubts.p50_ms, doubts.p99_ms, doubts.max_ms), (200, 100.0, 198.0, 200.0));
        assert_eq!(Doubts::of(Vec::new()), Doubts::default());
    }
}
