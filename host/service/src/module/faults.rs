//! A module's faults for operators: a counter by kind, and log lines that cannot flood.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::{Duration, Instant};

use unrip_engine::{FaultCounts, FaultKind};

use crate::metrics::{CounterBy, Registry};

/// Between two log lines about faults of one kind.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Counts every fault; logs the first of each kind and then, while more come, how many there were.
pub(super) struct FaultReport {
    counter: CounterBy,
    kinds: BTreeMap<FaultKind, Logged>,
}

struct Logged {
    at: Instant,
    /// Faults that no line has mentioned yet.
    unlogged: u64,
}

impl FaultReport {
    pub(super) fn new(registry: &Registry) -> Self {
        let help = "Failed calls of the module, by kind.";
        Self { counter: registry.counter_by("unrip_module_faults_total", help, "kind"), kinds: BTreeMap::new() }
    }

    pub(super) fn counter(&self) -> &CounterBy {
        &self.counter
    }

    pub(super) fn report(&mut self, module: &str, faults: FaultCounts) {
        for (kind, count, text) in faults.iter() {
            self.note(kind, count, text, module);
        }
        let now = Instant::now();
        self.log_counts(module, |logged| now.duration_since(logged.at) >= LOG_EVERY, now);
    }

    fn note(&mut self, kind: FaultKind, count: u64, text: &str, module: &str) {
        self.counter.add(kind.code(), count);
        match self.kinds.entry(kind) {
            Entry::Occupied(mut logged) => logged.get_mut().unlogged += count,
            Entry::Vacant(first) => {
                tracing::warn!(module, kind = kind.code(), text, "a call of the module failed");
                first.insert(Logged { at: Instant::now(), unlogged: count.saturating_sub(1) });
            }
        }
    }

    /// Logs what is left.
    pub(super) fn finish(&mut self, module: &str) {
        self.log_counts(module, |_| true, Instant::now());
    }

    fn log_counts(&mut self, module: &str, is_due: impl Fn(&Logged) -> bool, now: Instant) {
        for (kind, logged) in &mut self.kinds {
            if logged.unlogged > 0 && is_due(logged) {
                tracing::warn!(module, kind = kind.code(), count = logged.unlogged, "calls of the module failed again");
                *logged = Logged { at: now, unlogged: 0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_faults_is_two_lines_and_all_of_them_are_counted() {
        let mut report = FaultReport::new(&Registry::new());
        for _ in 0..1_000 {
            report.note(FaultKind::Trap, 3, "x", "a-venue/a-role");
        }
        let logged = &report.kinds[&FaultKind::Trap];
        assert_eq!(logged.unlogged, 2_999);
        assert_eq!(report.counter.get("module_trap"), 3_000);
        report.finish("a-venue/a-role");
        assert_eq!(report.kinds[&FaultKind::Trap].unlogged, 0);
    }
}
