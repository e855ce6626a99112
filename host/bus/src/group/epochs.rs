//! Which records are still wanted: those of the current assignment, and of those the ones since the last seek.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Partition;
use crate::Record;

/// Records with the epoch in which each was polled.
pub(crate) type Batch = Vec<(u64, Record)>;

/// The current epoch of each assigned partition. A record carries the epoch in which it was polled.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: u64,
    of: HashMap<Partition, Place>,
}

/// Where the reading of a partition is.
#[derive(Clone, Copy, Debug)]
struct Place {
    epoch: u64,
    /// The offset that is read next, where it is known.
    next: Option<i64>,
}

impl Epochs {
    /// Starts a new epoch: an assignment, a seek, or a jump over a gap.
    pub(super) fn begin(&self, partition: &Partition, next: Option<i64>) {
        let mut state = self.lock();
        state.last += 1;
        let epoch = state.last;
        state.of.insert(partition.clone(), Place { epoch, next });
    }

    /// Ends the epoch: the partitions were taken away.
    pub(super) fn end(&self, partitions: &[Partition]) {
        let mut state = self.lock();
        for partition in partitions {
            state.of.remove(partition);
        }
    }

    /// Whether the partition is assigned.
    pub(super) fn has(&self, partition: &Partition) -> bool {
        self.lock().of.contains_key(partition)
    }

    /// The assigned partitions.
    pub(super) fn assigned(&self) -> Vec<Partition> {
        self.lock().of.keys().cloned().collect()
    }

    /// The assigned partitions with the offset that each reads next, where it is known.
    pub(super) fn places(&self) -> Vec<(Partition, Option<i64>)> {
        self.lock().of.iter().map(|(partition, place)| (partition.clone(), place.next)).collect()
    }

    /// Marks a record with the epoch in which it was polled.
    pub(super) fn mark(&self, record: Record) -> (u64, Record) {
        let mut state = self.lock();
        let Some(place) = state.of.get_mut(&(record.topic.clone(), record.partition)) else { return (0, record) };
        place.next = Some(record.offset + 1);
        (place.epoch, record)
    }

    /// The records of a batch that are still wanted.
    pub(super) fn current(&self, batch: Batch) -> Vec<Record> {
        let state = self.lock();
        let wanted = |epoch: u64, record: &Record| {
            state.of.get(&(record.topic.clone(), record.partition)).is_some_and(|current| current.epoch == epoch)
        };
        batch.into_iter().filter(|(epoch, record)| wanted(*epoch, record)).map(|(_, record)| record).collect()
    }

    /// A thread that panicked while it held the lock left only complete entries.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordTime;

    fn record(offset: i64) -> Record {
        Record {
            topic: "t".to_owned(),
            partition: 0,
            offset,
            key: None,
            value: Vec::new(),
            tombstone: true,
            headers: Vec::new(),
            timestamp: RecordTime::None,
        }
    }

    #[test]
    fn records_of_an_earlier_assignment_or_before_a_seek_are_not_wanted() {
        let (epochs, here) = (Epochs::default(), ("t".to_owned(), 0));
        epochs.begin(&here, None);
        let before = epochs.mark(record(1));
        assert_eq!(epochs.places(), [(here.clone(), Some(2))]);
        epochs.begin(&here, Some(7));
        let after = epochs.mark(record(2));
        assert_eq!(epochs.current(vec![before, after.clone()]), vec![record(2)]);
        epochs.end(&[here]);
        assert_eq!(epochs.current(vec![after]), vec![]);
    }
}
