//! Which faults come, and when: all of it from the seed, nothing from what happens.

use std::time::Duration;

use super::args::FaultKind;
use super::rng::Rng;

/// Shortest and longest pause between two faults, in milliseconds.
const PAUSE_MS: (u64, u64) = (150, 1_600);

/// Something that goes wrong. `victim` is counted round the executors there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `kill -9` of an executor.
    Kill {
        /// Whom.
        victim: u64,
    },
    /// `kill -9` of an executor, and its state is deleted.
    LoseState {
        /// Whom.
        victim: u64,
    },
    /// `kill -9` of another service.
    KillService {
        /// Whom, counted round them.
        victim: u64,
    },
    /// SIGSTOP of an executor, SIGCONT later.
    Pause {
        /// Whom.
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
    /// The venue has trouble.
    Venue {
        /// Which.
        trouble: Trouble,
        /// For how long, in milliseconds.
        ms: u64,
    },
}

/// What a venue can do to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Answers come late: some within the executor's patience, some after it.
    Late {
        /// So many milliseconds.
        by_ms: u64,
    },
    /// Half of the answers never come.
    Never,
    /// The connection breaks and the answer was not looked at.
    DropBefore,
    /// The answer is recorded, then the connection breaks.
    DropAfter,
    /// An error that says nothing, accepted or not.
    Odd,
    /// New connections are refused, the old ones broken.
    Refuse,
    /// All connections break once.
    Close,
    /// Nothing is sent or read.
    Silence,
    /// Questions get 503 or a late answer.
    Http,
}

impl Trouble {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Late { .. } => "late",
            Self::Never => "never",
            Self::DropBefore => "drop_before",
            Self::DropAfter => "drop_after",
            Self::Odd => "odd_error",
            Self::Refuse => "refuse",
            Self::Close => "close",
            Self::Silence => "silence",
            Self::Http => "http",
        }
    }
}

/// The faults of a campaign, one after the other.
#[derive(Clone, Debug)]
pub struct Plan {
    rng: Rng,
    weights: Vec<(u64, Draw)>,
    session_ms: u64,
}

type Draw = fn(&mut Rng, u64) -> Fault;

impl Plan {
    /// The plan of a seed. `session_ms`: the group's patience with a member.
    pub fn new(seed: u64, session_ms: u64, wants: impl Fn(FaultKind) -> bool) -> Self {
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
        let wanted = all.into_iter().filter(|(kind, ..)| wants(*kind));
        Self { rng: Rng::new(seed), weights: wanted.map(|(_, weight, draw)| (weight, draw)).collect(), session_ms }
    }

    /// The pause before the next fault, and the fault.
    pub fn draw(&mut self) -> (Duration, Fault) {
        let pause = Duration::from_millis(self.rng.between(PAUSE_MS.0, PAUSE_MS.1));
        let mut drawn = self.rng.below(self.weights.iter().map(|(weight, _)| weight).sum());
        for (weight, draw) in &self.weights {
            match drawn.checked_sub(*weight) {
                Some(left) => drawn = left,
                None => return (pause, draw(&mut self.rng, self.session_ms)),
            }
        }
        (pause, Fault::Kill { victim: self.rng.any() })
    }
}

/// Half of the pauses are shorter than the group's patience, half are longer.
fn pause(rng: &mut Rng, session_ms: u64) -> Fault {
    let victim = rng.any();
    let ms = match rng.percent(50) {
        true => rng.between(50, session_ms * 8 / 10),
        false => rng.between(session_ms + 200, session_ms * 3 + 1_000),
    };
    Fault::Pause { victim, ms }
}

fn venue(rng: &mut Rng, _: u64) -> Fault {
    let trouble = match rng.below(9) {
        0 => Trouble::Late { by_ms: rng.between(100, 4_000) },
        1 => Trouble::Never,
        2 => Trouble::DropBefore,
        3 => Trouble::DropAfter,
        4 => Trouble::Odd,
        5 => Trouble::Refuse,
        6 => Trouble::Close,
        7 => Trouble::Silence,
        _ => Trouble::Http,
    };
    Fault::Venue { trouble, ms: rng.between(500, 3_500) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(seed: u64, wants: impl Fn(FaultKind) -> bool) -> Vec<(Duration, Fault)> {
        let mut plan = Plan::new(seed, 1_000, wants);
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
        assert!(has(|fault| matches!(fault, Fault::Venue { trouble: Trouble::Silence, .. })));
    }
}
