//! How soon the connections open anew after the module failed.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::IngestSection;

/// Faults further apart than this have nothing to do with each other.
const FAULTS_APART: Duration = Duration::from_secs(120);

/// Faults soon after each other: a frame that fells the module must not become a storm of reconnects.
pub(crate) struct Faults {
    min: Duration,
    max: Duration,
    streak: u32,
    last: Option<Instant>,
}

impl Faults {
    pub(crate) fn new(ingest: &IngestSection) -> Self {
        let min = Duration::from_millis(ingest.fault_wait_min_ms);
        Self { min, max: Duration::from_millis(ingest.fault_wait_max_ms).max(min), streak: 0, last: None }
    }

    /// How long to wait before the connections open anew: doubling, from half to all of it at random.
    pub(crate) fn next(&mut self, now: Instant, fraction: f64) -> Duration {
        let apart = self.last.is_none_or(|last| now.duration_since(last) > FAULTS_APART);
        self.streak = if apart { 0 } else { self.streak.saturating_add(1) };
        self.last = Some(now);
        let doubled = self.min.saturating_mul(2u32.saturating_pow(self.streak));
        doubled.min(self.max).mul_f64(0.5 + fraction / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_longer_after_faults_that_follow_soon() {
        let mut faults = Faults { min: Duration::from_secs(1), max: Duration::from_secs(5), streak: 0, last: None };
        let start = Instant::now();
        let mut wait = |after| faults.next(start + Duration::from_secs(after), 1.0).as_secs();
        assert_eq!([wait(0), wait(1), wait(2), wait(3), wait(200)], [1, 2, 4, 5, 1]);
    }
}
