//! How a member joins.

use super::{BATCH_RECORDS_DEFAULT, POLL_INTERVAL_MS_MAX};
use crate::Isolation;

/// Where a partition starts for which the group has committed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At its oldest record.
    Earliest,
    /// Nowhere: `Failed` says so.
    Error,
    /// Committed offsets are not asked at all: each partition comes paused, until the member seeks and resumes it.
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
    /// How long a member may be silent until the broker gives its partitions to others, in milliseconds. After a
    /// crash nothing is read for this long. A shorter time mends that sooner, but a pause of the process or of the
    /// network that is longer costs a rebalance, and records that were not committed are read twice.
    pub session_timeout_ms: u64,
    /// A name of this member that is the same after a restart (static membership). A member that returns within its
    /// session gets its partitions back at once and no other member is disturbed. In return the broker waits for the
    /// whole session after every end, also after [`crate::GroupConsumer::leave`]: only for members that always come back. Two
    /// members of one name: the older one gets a fatal error.
    pub instance_id: Option<String>,
    /// How long a revocation waits for the member to let go, in milliseconds.
    pub revoke_wait_ms_max: u64,
}

impl GroupOptions {
    /// From the earliest record, read committed, batches of 256, a session of 10 s, revocations wait 10 s.
    pub fn new(group: impl Into<String>, topics: Vec<String>) -> Self {
        Self {
            group: group.into(),
            topics,
            start: Start::Earliest,
            isolation: Isolation::ReadCommitted,
            batch_records_max: BATCH_RECORDS_DEFAULT,
            session_timeout_ms: 10_000,
            instance_id: None,
            revoke_wait_ms_max: 10_000,
        }
    }

    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            // The member chooses every start itself, so that no record is passed over silently.
            ("auto.offset.reset", "error".to_owned()),
            ("partition.assignment.strategy", "cooperative-sticky".to_owned()),
            ("session.timeout.ms", self.session_timeout_ms.to_string()),
            ("heartbeat.interval.ms", (self.session_timeout_ms / 3).max(1).to_string()),
            ("max.poll.interval.ms", POLL_INTERVAL_MS_MAX.max(self.session_timeout_ms).to_string()),
        ];
        settings.extend(self.instance_id.iter().map(|id| ("group.instance.id", id.clone())));
        settings
    }
}
