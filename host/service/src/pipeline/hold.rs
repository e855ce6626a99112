//! Partitions that wait because a module said `retry-after`.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use unrip_bus::Partition;

use super::options::PipelineSection;

/// The records that are being tried again, one per partition at most.
#[derive(Debug, Default)]
pub(super) struct Holds(BTreeMap<Partition, Hold>);

#[derive(Debug)]
struct Hold {
    offset: i64,
    attempts: u32,
    since: Instant,
    until: Instant,
    waiting: bool,
}

impl Holds {
    /// Holds the partition at `offset`; `Err` with the number of attempts when the record has used them up.
    pub(super) fn hold(
        &mut self,
        partition: &Partition,
        offset: i64,
        ms: u32,
        bounds: &PipelineSection,
        now: Instant,
    ) -> Result<(), u32> {
        let wait = Duration::from_millis(u64::from(ms).min(bounds.retry_wait_ms_max));
        let before = self.0.get(partition).filter(|hold| hold.offset == offset);
        let (attempts, since) = before.map_or((0, now), |hold| (hold.attempts, hold.since));
        let total = now.duration_since(since) + wait;
        if attempts >= bounds.retry_attempts_max || total > Duration::from_millis(bounds.retry_total_ms_max) {
            return Err(attempts);
        }
        let hold = Hold { offset, attempts: attempts + 1, since, until: now + wait, waiting: true };
        self.0.insert(partition.clone(), hold);
        Ok(())
    }

    /// Whether a record must not be processed now: its partition waits at this record or an earlier one.
    pub(super) fn blocks(&self, partition: &Partition) -> bool {
        self.0.get(partition).is_some_and(|hold| hold.waiting)
    }

    /// The record passed, as outputs or as a dead letter.
    pub(super) fn passed(&mut self, partition: &Partition, offset: i64) {
        if self.0.get(partition).is_some_and(|hold| hold.offset <= offset) {
            self.0.remove(partition);
        }
    }

    /// The partitions whose wait is over, once each.
    pub(super) fn released(&mut self, now: Instant) -> Vec<Partition> {
        let over = self.0.iter_mut().filter(|(_, hold)| hold.waiting && hold.until <= now);
        over.map(|(partition, hold)| {
            hold.waiting = false;
            partition.clone()
        })
        .collect()
    }

    /// When the next wait is over.
    pub(super) fn next_release(&self) -> Option<Instant> {
        self.0.values().filter(|hold| hold.waiting).map(|hold| hold.until).min()
    }

    /// The partition now belongs to another member.
    pub(super) fn forget(&mut self, partition: &Partition) {
        self.0.remove(partition);
    }

    /// All partitions are another member's, or will be assigned again.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        ("raw.a_venue.quote".to_owned(), 0)
    }

    #[test]
    fn holds_a_record_a_bounded_number_of_times() {
        let bounds = PipelineSection { retry_attempts_max: 2, ..PipelineSection::default() };
        let (mut holds, start) = (Holds::default(), Instant::now());
        for attempt in 0..2 {
            let now = start + Duration::from_secs(attempt);
            assert_eq!(holds.hold(&partition(), 7, 1_000, &bounds, now), Ok(()));
            assert!(holds.blocks(&partition()));
            assert_eq!(holds.next_release(), Some(now + Duration::from_secs(1)));
            assert_eq!(holds.released(now + Duration::from_secs(1)), vec![partition()]);
            assert!(!holds.blocks(&partition()) && holds.next_release().is_none());
        }
        assert_eq!(holds.hold(&partition(), 7, 1_000, &bounds, start + Duration::from_secs(2)), Err(2));
        // Another record of the partition has attempts of its own.
        holds.passed(&partition(), 7);
        assert_eq!(holds.hold(&partition(), 8, 1_000, &bounds, start), Ok(()));
    }

    #[test]
    fn holds_a_record_a_bounded_time() {
        let bounds = PipelineSection { retry_total_ms_max: 9_000, ..PipelineSection::default() };
        let (mut holds, start) = (Holds::default(), Instant::now());
        // A wait of an hour is cut to retry_wait_ms_max (5 s); the second would end after 10 s.
        assert_eq!(holds.hold(&partition(), 7, 3_600_000, &bounds, start), Ok(()));
        assert_eq!(holds.hold(&partition(), 7, 3_600_000, &bounds, start + Duration::from_secs(5)), Err(1));
    }
}
