//! Which point an executor is armed with when it starts: each in its turn, those first that were hit least.

use std::collections::BTreeMap;

use super::rng::Rng;

/// Points that a life reaches once or twice: they are armed for their first hits.
const RARE: [&str; 17] = [
    "assigned",
    "fence_append_before",
    "fence_acked",
    "fence_read",
    "claim_taken_up",
    "init_transactions_before",
    "init_transactions_after",
    "doubt_before",
    "resolve_begin",
    "resolve_answered",
    "resolve_decided",
    "evidence_append_before",
    "evidence_acked",
    "revoked",
    "released",
    "lost",
    "rejoin_before",
];

/// What must be done to an executor so that it comes to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Help {
    /// Nothing: its work leads there.
    None,
    /// It is asked to stop.
    Terminate,
    /// Another one leaves and comes back.
    Rebalance,
    /// It sleeps longer than the group's patience.
    Sleep,
    /// The same, while the venue's answers are late.
    SleepThroughAnswers,
}

/// An armed point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arm {
    /// Its name.
    pub point: String,
    /// What the executor reads: `NAME:HIT:ACT`.
    pub text: String,
    /// What leads it there.
    pub help: Help,
}

/// The points and how often each was armed and hit.
#[derive(Clone, Debug)]
pub struct Arms {
    rng: Rng,
    may_stop: bool,
    counts: BTreeMap<String, Count>,
}

/// Of one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// An executor was started with it.
    pub armed: u64,
    /// `kill -9` there.
    pub kills: u64,
    /// SIGSTOP there.
    pub stops: u64,
}

impl Arms {
    /// All of these points in turn. `may_stop`: some stop the process instead of killing it.
    pub fn new(seed: u64, points: Vec<String>, may_stop: bool) -> Self {
        let counts = points.into_iter().map(|point| (point, Count::default())).collect();
        Self { rng: Rng::new(seed), may_stop, counts }
    }

    /// The next point for an executor that starts.
    pub fn draw(&mut self) -> Option<Arm> {
        // A point that was armed and not reached waits a while: others are easier to reach.
        let rank = |count: &Count| count.armed + 2 * (count.kills + count.stops);
        let least = self.counts.values().map(rank).min()?;
        let due: Vec<String> =
            self.counts.iter().filter(|(_, count)| rank(count) == least).map(|(point, _)| point.clone()).collect();
        let point = due.get(usize::try_from(self.rng.below(due.len() as u64)).ok()?)?.clone();
        self.counts.entry(point.clone()).or_default().armed += 1;
        let hits = match point.as_str() {
            rare if RARE.contains(&rare) => 2,
            // Several commands share one of these.
            shared if shared.starts_with("offsets_") || shared.starts_with("result_") => 4,
            _ => 12,
        };
        let hit = if help(&point) == Help::None { self.rng.between(1, hits) } else { 1 };
        let act = match self.rng.below(20) {
            0 => format!("pause_ms={}", self.rng.between(200, 2_500)),
            1 | 2 if self.may_stop => "stop".to_owned(),
            _ => "kill".to_owned(),
        };
        Some(Arm { text: format!("{point}:{hit}:{act}"), help: help(&point), point })
    }

    /// An executor killed itself there.
    pub fn killed(&mut self, point: &str) {
        self.counts.entry(point.to_owned()).or_default().kills += 1;
    }

    /// An executor stopped itself there.
    pub fn stopped(&mut self, point: &str) {
        self.counts.entry(point.to_owned()).or_default().stops += 1;
    }

    /// By name.
    pub fn counts(&self) -> &BTreeMap<String, Count> {
        &self.counts
    }
}

fn help(point: &str) -> Help {
    match point {
        "drain_begin" | "drain_end" => Help::Terminate,
        "revoked" | "released" => Help::Rebalance,
        "lost" | "rejoin_before" => Help::Sleep,
        "evidence_append_before" | "evidence_acked" => Help::SleepThroughAnswers,
        _ => Help::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_gets_its_turn() {
        let points: Vec<String> = ["assigned", "claim_acked", "drain_end"].map(str::to_owned).into();
        let mut arms = Arms::new(1, points.clone(), true);
        for _ in 0..points.len() {
            let arm = arms.draw().unwrap();
            assert!(arm.text.starts_with(&format!("{}:", arm.point)));
            arms.killed(&arm.point);
        }
        assert!(arms.counts().values().all(|count| count.kills == 1 && count.armed == 1));
        assert_eq!(Arms::new(1, Vec::new(), true).draw(), None);
    }
}
