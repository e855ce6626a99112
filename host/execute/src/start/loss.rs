//! The fold against the log at start: the same log, another one, or one that lost what still matters.
//!
//! Another log is no loss where others have written it: the fold is rebuilt from it. A journal that is fresh, or
//! ends before the fold does, has lost history; while that history can still make a trade repeat or leave a command
//! without its result, nothing may be dispatched until a person has decided.

use std::fmt;

use unrip_core::{Timestamp, Uuid};

use crate::store::{Checkpoint, PartitionView, StoreError};
use unrip_protocol::fold::Entry;

/// What one partition's log is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// Its oldest offset.
    pub(crate) low: i64,
    /// The offset after its last record.
    pub(crate) high: i64,
    /// The journal's id, where its genesis is still there.
    pub(crate) journal_id: Option<Uuid>,
    /// The `event_id` at the fold's last offset, where the log holds that offset.
    pub(crate) at_fold_end: Option<Uuid>,
}

/// What the fold is to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LossFinding {
    /// Its image up to the fold's end.
    Same,
    /// The image of another log: it is dropped and rebuilt.
    Other(String),
    /// The log has lost what lay at this offset and behind it.
    Lost(i64, String),
}

/// Compares a partition's fold with its log. `is_fresh`: no partition of the journal holds more than its genesis.
pub(crate) fn compare(fold: &Checkpoint, log: &Log, is_fresh: bool) -> LossFinding {
    let next = fold.next_offset;
    match (fold.journal_id, log.journal_id) {
        (Some(known), Some(found)) if known != found && is_fresh => {
            return LossFinding::Lost(
                0,
                format!("journal {known} is gone, and {found} in its place holds nothing yet"),
            );
        }
        (Some(known), Some(found)) if known != found => {
            return LossFinding::Other(format!("the journal is {found}, the fold knows {known}"));
        }
        _ => {}
    }
    if log.low > next {
        return LossFinding::Other(format!("the log begins at {}, the fold ends at {next}", log.low));
    }
    if log.high < next {
        return LossFinding::Lost(log.high, format!("the log ends at {} and was read up to {next} before", log.high));
    }
    match (fold.last_event_id, log.at_fold_end) {
        (Some(known), Some(found)) if known != found => {
            LossFinding::Other(format!("offset {} holds another record than before", next - 1))
        }
        _ => LossFinding::Same,
    }
}

/// What of a lost piece of journal still matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stake {
    /// Claimed commands that have not ended.
    pub(crate) open: usize,
    /// Outcomes whose results are not known to be published.
    pub(crate) unpublished: usize,
    /// Ended commands whose signed action may still take effect.
    pub(crate) live: usize,
}

impl Stake {
    /// What a partition's fold holds of the offsets from `lost` on; `newest` is the newest time in any log.
    pub(crate) fn of(view: &PartitionView<'_>, lost: i64, newest: Timestamp, skew_ms: i64) -> Result<Self, StoreError> {
        let is_lost = |entry: &Entry| entry.claim.is_some_and(|claim| claim.offset >= lost);
        let open = view.open()?.iter().filter(|entry| is_lost(entry)).count();
        let unpublished = view.unpublished_ids()?.iter().filter(|(offset, _)| *offset >= lost).count();
        let is_live = |entry: &Entry| !entry.is_open() && entry.head.deadline.plus_millis(skew_ms) >= newest;
        let live = view.claimed()?.iter().filter(|entry| is_lost(entry) && is_live(entry)).count();
        Ok(Self { open, unpublished, live })
    }

    /// Whether nothing is at stake.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            open: self.open + other.open,
            unpublished: self.unpublished + other.unpublished,
            live: self.live + other.live,
        }
    }
}

impl fmt::Display for Stake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} claims without an outcome, {} results to publish, {} signed actions that may still take effect",
            self.open, self.unpublished, self.live
        )
    }
}

/// What a person reads when nothing is dispatched any more.
pub(crate) fn quarantine(topic: &str, partition: i32, why: &str, stake: Stake) -> String {
    format!(
        "{topic}/{partition}: {why}. This executor still knows {stake}, which the journal has lost: nothing is \
         dispatched. Stop the other executors, then either write the history back \
         (`unrip-execute --config FILE --reseed-journal \"WHO: WHY\"`), or accept the loss by removing \
         execute.state_dir: commands older than the journal are then stale, and dispatch waits until every answer \
         that may be out has expired"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fold(next_offset: i64) -> Checkpoint {
        let (last_event_id, journal_id) = (Some(Uuid::from_u128(7)), Some(Uuid::from_u128(1)));
        Checkpoint { next_offset, last_event_id, journal_id, ..Checkpoint::default() }
    }

    fn log(id: u128, low: i64, high: i64, at_fold_end: Option<u128>) -> Log {
        let journal_id = (low == 0).then(|| Uuid::from_u128(id));
        Log { low, high, journal_id, at_fold_end: at_fold_end.map(Uuid::from_u128) }
    }

    #[test]
    fn tells_the_same_log_from_another_and_from_a_shorter_one() {
        let same = [
            (log(1, 0, 10, Some(7)), false),
            (log(1, 0, 20, Some(7)), false),
            (log(1, 10, 20, None), false),
            (log(1, 10, 10, None), false),
        ];
        for (log, is_fresh) in same {
            assert_eq!(compare(&fold(10), &log, is_fresh), LossFinding::Same, "{log:?}");
        }
        for (log, expected) in [
            (log(2, 0, 30, Some(7)), "the fold knows"),
            (log(1, 11, 20, None), "begins at 11"),
            (log(1, 0, 20, Some(8)), "another record"),
        ] {
            let LossFinding::Other(reason) = compare(&fold(10), &log, false) else { panic!("{log:?}") };
            assert!(reason.contains(expected), "{reason}");
        }
        assert!(matches!(compare(&fold(10), &log(2, 0, 1, None), true), LossFinding::Lost(0, _)));
        assert!(matches!(compare(&fold(10), &log(1, 0, 4, None), false), LossFinding::Lost(4, _)));
        assert!(matches!(compare(&fold(10), &log(1, 3, 4, None), false), LossFinding::Lost(4, _)));
    }
}
