//! What a member is given.

use std::sync::mpsc::Sender;

use super::Partition;
use crate::{Error, Record};

/// What happens to a member.
#[derive(Debug)]
pub enum GroupEvent {
    /// Partitions newly assigned to this member; empty when the group has more members than partitions.
    Assigned(Vec<Partition>),
    /// These partitions are being taken away; no record of them follows. Finish, commit, then drop the guard.
    Revoked {
        /// The partitions.
        partitions: Vec<Partition>,
        /// They already belong to others: a commit is refused.
        lost: bool,
        /// The rebalance waits, bounded, until this is dropped.
        guard: RevokeGuard,
    },
    /// Records in the order of their partitions; never empty.
    Records(Vec<Record>),
    /// Retention or a deletion removed the records `from..to` before this member read them. Reading continues at `to`:
    /// count, log and record the loss.
    Gap {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The first offset that was not read.
        from: i64,
        /// The oldest offset that is left.
        to: i64,
    },
    /// Something failed. Continue with `next` unless the error is fatal.
    Failed(Error),
}

/// Holds a rebalance until dropped (at most `revoke_wait_ms_max`).
#[derive(Debug)]
pub struct RevokeGuard {
    pub(super) _release: Sender<()>,
}
