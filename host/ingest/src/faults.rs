//! What a fault of the module costs its connections: nothing, unless faults follow each other.

use std::time::Duration;

use tokio::time::Instant;
use unrip_service::backoff::{Backoff, Ended};

use crate::config::IngestSection;

/// Faults further apart than this have nothing to do with each other.
const FAULTS_APART: Duration = Duration::from_secs(120);
/// Faults in a row after which the new instance adopts every open connection. Each adoption makes the module subscribe
/// again; a venue whose every answer fells the module must not be asked in a tight loop.
const ADOPTING_FAULTS_MAX: u32 = 3;

/// Faults that follow each other.
pub(crate) struct Faults {
    backoff: Backoff,
    in_a_row: u32,
    last: Option<Instant>,
}

impl Faults {
    pub(crate) fn new(ingest: &IngestSection) -> Self {
        let (min, max) = (ingest.fault_wait_ms_min, ingest.fault_wait_ms_max);
        Self::between(Duration::from_millis(min), Duration::from_millis(max))
    }

    fn between(min: Duration, max: Duration) -> Self {
        Self { backoff: Backoff::new(min, max), in_a_row: 0, last: None }
    }

    /// How long the connection that brought the fault stays closed; none if it stays open.
    pub(crate) fn next(&mut self, now: Instant, fraction: f64) -> Option<Duration> {
        if self.last.is_none_or(|last| now.duration_since(last) > FAULTS_APART) {
            self.in_a_row = 0;
            self.backoff.next(Ended::Lasted, fraction);
        }
        self.last = Some(now);
        self.in_a_row = self.in_a_row.saturating_add(1);
        (self.in_a_row > ADOPTING_FAULTS_MAX).then(|| self.backoff.next(Ended::Useless, fraction))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_connections_open_until_faults_follow_each_other() {
        let mut faults = Faults::between(Duration::from_secs(1), Duration::from_secs(5));
        let start = Instant::now();
        let mut wait = |after| faults.next(start + Duration::from_secs(after), 1.0).map(|wait| wait.as_secs());
        assert_eq!([0, 1, 2].map(&mut wait), [None; 3]);
        assert_eq!([3, 4, 5, 6].map(&mut wait), [1, 2, 4, 5].map(Some));
        // Faults far apart cost no connection, however many there are.
        assert_eq!([200, 400, 600, 800, 1_000].map(&mut wait), [None; 5]);
    }
}
