//! A member of a consumer group.

use crate::{BusConfig, Error, Isolation, Record};

/// A topic's partition.
pub type Partition = (String, i32);

/// Where a partition starts for which the group has committed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At its oldest record.
    Earliest,
    /// Nowhere: `Failed` says so.
    Error,
    /// Committed offsets are not asked at all: the partition is paused until the member seeks and resumes it.
    Held,
}

/// How to join.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// Group name.
    pub group: String,
    /// Topics.
    pub topics: Vec<String>,
    /// Where a partition without committed offset starts.
    pub start: Start,
    /// Which records are seen.
    pub isolation: Isolation,
    /// Records in one `Records` at most.
    pub batch_records_max: usize,
    /// After this silence the broker gives the partitions to others, in milliseconds.
    pub session_timeout_ms: u64,
    /// How long a revocation waits for the member to let go, in milliseconds.
    pub revoke_wait_ms_max: u64,
}

impl GroupOptions {
    /// Earliest, read committed, batches of 256, session of 10 s.
    pub fn new(group: impl Into<String>, topics: Vec<String>) -> Self {
        Self {
            group: group.into(),
            topics,
            start: Start::Earliest,
            isolation: Isolation::ReadCommitted,
            batch_records_max: 256,
            session_timeout_ms: 10_000,
            revoke_wait_ms_max: 10_000,
        }
    }
}

/// What happens to a member.
#[derive(Debug)]
pub enum GroupEvent {
    /// These partitions are now this member's too.
    Assigned(Vec<Partition>),
    /// These partitions are being taken. Finish, commit, then drop the guard.
    Revoked {
        /// The partitions.
        partitions: Vec<Partition>,
        /// They already belong to others: a commit will fail.
        lost: bool,
        /// The rebalance waits, bounded, until this is dropped.
        guard: RevokeGuard,
    },
    /// Records in the order of their partitions; never empty.
    Records(Vec<Record>),
    /// Something failed. Go on with `next` unless the error is fatal.
    Failed(Error),
}

/// Holds a rebalance until dropped.
#[derive(Debug)]
pub struct RevokeGuard {}

/// A member of a group.
pub struct GroupConsumer {}

impl GroupConsumer {
    /// Joins. Needs no broker yet.
    pub fn join(_config: &BusConfig, _options: GroupOptions) -> Result<Self, Error> {
        Err(Error::Closed { operation: "join" })
    }

    /// The next event. Safe to cancel.
    pub async fn next(&mut self) -> GroupEvent {
        GroupEvent::Failed(Error::Closed { operation: "next" })
    }

    /// Commits next offsets: (topic, partition, offset of the next record to read). Waits for the broker's answer.
    pub async fn commit(&self, _offsets: Vec<(String, i32, i64)>) -> Result<(), Error> {
        Err(Error::Closed { operation: "commit" })
    }

    /// Stops fetching. Records fetched before may still come.
    pub fn pause(&self, _partitions: &[Partition]) {}

    /// Goes on fetching.
    pub fn resume(&self, _partitions: &[Partition]) {}

    /// Continues the partition at the offset; what was fetched before does not come any more.
    pub async fn seek(&self, _topic: &str, _partition: i32, _offset: i64) -> Result<(), Error> {
        Err(Error::Closed { operation: "seek" })
    }

    /// The group's committed next offsets.
    pub async fn committed(&self, _partitions: &[Partition]) -> Result<Vec<(Partition, Option<i64>)>, Error> {
        Err(Error::Closed { operation: "committed" })
    }

    /// (oldest offset, end) of a partition.
    pub async fn watermarks(&self, _topic: &str, _partition: i32) -> Result<(i64, i64), Error> {
        Err(Error::Closed { operation: "watermarks" })
    }

    /// Leaves the group, so that others take over at once.
    pub async fn leave(self) {}
}
