//! Which faults come, and when: all of it from the seed, nothing from what happens.

use std::time::Duration;

use super::args::FaultKind;
use super::rng::Rng;

/// Shortest and longest pause between two faults, in milliseconds.
const PAUSE_MS: (u64, u64) = (150, 1_600);

/// Something that goes wrong. `victim` is the index of the process to hit, modulo the candidates there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of an executor.
    Kill {
        /// Index of the executor, modulo their number.
        victim: u64,
    },
    /// `kill -9` of an executor, and its state is deleted.
    LoseState {
        /// Index of the executor, modulo their number.
        victim: u64,
    },
    /// `kill -9` of another service.
    KillService {
        /// Index of the service, modulo their number.
        victim: u64,
    },
    /// SIGSTOP of an executor, SIGCONT later.
    Pause {
        /// Index of the executor, modulo their number.
        victim: u64,
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Executors come and go every second.
    Storm {
        /// For how long, in milliseconds.
        ms: u64,
    },
    /// Every executor is restarted in an orderly way, one after the other.
    Rolling,
    /// `kill -9` of the broker, and a new start.
    Broker,
    /// The venue's fake is asked for one of its faults.
    Venue(VenueFault),
}

/// A fault that a venue's description declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenueFault {
    pub name: String,
    /// How long it is meant to last, in milliseconds.
    pub ms: u64,
    /// How late late answers come, in milliseconds: some within the executor's patience, some after it.
    pub by_ms: u64,
}

/// The fault by which answers come late, where a venue has it.
pub const LATE: &str = "late";
/// Ends every fault; each fake has it.
pub const NONE: &str = "none";

/// The faults of a campaign, one after the other.
#[derive(Clone, Debug)]
pub struct Plan {
    rng: Rng,
    weights: Vec<(u64, Draw)>,
    bounds: Bounds,
}

/// What faults are drawn within.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The group's patience with a member, in milliseconds.
    pub session_ms: u64,
    /// The faults that the venue's fake has.
    pub venue_faults: Vec<String>,
}

type Draw = fn(&mut Rng, &Bounds) -> Fault;

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64, bounds: Bounds, wants: impl Fn(FaultKind) -> bool) -> Self {
        let all: [(FaultKind, u64, Draw); 9] = [
            (FaultKind::Random, 26, |rng, _| Fault::Kill { victim: rng.any() }),
            (FaultKind::State, 3, |rng, _| Fault::LoseState { victim: rng.any() }),
            (FaultKind::Stop, 16, pause),
            (FaultKind::Rebalance, 6, |rng, _| Fault::Storm { ms: rng.between(3_000, 8_000) }),
            (FaultKind::Rolling, 4, |_, _| Fault::Rolling),
            (FaultKind::Services, 12, |rng, _| Fault::KillService { victim: rng.any() }),
            (FaultKind::Venue, 30, venue),
            (FaultKind::Broker, 1, |_, _| Fault::Broker),
            // Points need no fault of their own, but a plan must not be empty.
            (FaultKind::Point, 1, |rng, _| Fault::Kill { victim: rng.any() }),
        ];
        let can = |kind: FaultKind| kind != FaultKind::Venue || !bounds.venue_faults.is_empty();
        let wanted = all.into_iter().filter(|(kind, ..)| wants(*kind) && can(*kind));
        let weights = wanted.map(|(_, weight, draw)| (weight, draw)).collect();
        Self { rng: Rng::new(seed), weights, bounds }
    }

    /// The pause before the next fault, and the fault.
    pub fn draw(&mut self) -> (Duration, Fault) {
        let pause = Duration::from_millis(self.rng.between(PAUSE_MS.0, PAUSE_MS.1));
        let mut drawn = self.rng.below(self.weights.iter().map(|(weight, _)| weight).sum());
        for (weight, draw) in &self.weights {
            match drawn.checked_sub(*weight) {
                Some(left) => drawn = left,
                None => return (pause, draw(&mut self.rng, &self.bounds)),
            }
        }
        (pause, Fault::Kill { victim: self.rng.any() })
    }
}

/// Half of the pauses are shorter than the group's patience, half are longer.
fn pause(rng: &mut Rng, &Bounds { session_ms, .. }: &Bounds) -> Fault {
    let victim = rng.any();
    let ms = match rng.percent(50) {
        true => rng.between(50, session_ms * 8 / 10),
        false => rng.between(session_ms + 200, session_ms * 3 + 1_000),
    };
    Fault::Pause { victim, ms }
}

fn venue(rng: &mut Rng, bounds: &Bounds) -> Fault {
    let drawn = usize::try_from(rng.below(bounds.venue_faults.len() as u64)).unwrap_or_default();
    let name = bounds.venue_faults.get(drawn).cloned().unwrap_or_else(|| NONE.to_owned());
    Fault::Venue(VenueFault { name, ms: rng.between(500, 3_500), by_ms: rng.between(100, 4_000) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(seed: u64, wants: impl Fn(FaultKind) -> bool) -> Vec<(Duration, Fault)> {
        let bounds = Bounds { session_ms: 1_000, venue_faults: ["late", "silence"].map(str::to_owned).into() };
        let mut plan = Plan::new(seed, bounds, wants);
        (0..500).map(|_| plan.draw()).collect()
    }

    #[test]
    fn a_seed_replays_its_plan() {
        assert_eq!(faults(7, |_| true), faults(7, |_| true));
        assert_ne!(faults(7, |_| true), faults(8, |_| true));
    }

    #[test]
    fn only_wanted_kinds_come_and_all_of_them() {
        let storms = faults(1, |kind| kind == FaultKind::Rebalance);
        assert!(storms.iter().all(|(_, fault)| matches!(fault, Fault::Storm { .. })));
        let all = faults(1, |_| true);
        let has = |wanted: fn(&Fault) -> bool| all.iter().any(|(_, fault)| wanted(fault));
        assert!(has(|fault| matches!(fault, Fault::Kill { .. })));
        assert!(has(|fault| matches!(fault, Fault::LoseState { .. })));
        assert!(has(|fault| matches!(fault, Fault::KillService { .. })));
        assert!(has(|fault| matches!(fault, Fault::Pause { ms, .. } if *ms < 1_000)));
        assert!(has(|fault| matches!(fault, Fault::Pause { ms, .. } if *ms > 1_000)));
        assert!(has(|fault| matches!(fault, Fault::Broker)));
        for name in ["late", "silence"] {
            assert!(all.iter().any(|(_, fault)| matches!(fault, Fault::Venue(fault) if fault.name == name)), "{name}");
        }
    }

    #[test]
    fn a_venue_without_faults_is_left_alone() {
        let mut plan = Plan::new(1, Bounds { session_ms: 1_000, venue_faults: Vec::new() }, |_| true);
        assert!((0..500).all(|_| !matches!(plan.draw().1, Fault::Venue(_))));
    }
}
