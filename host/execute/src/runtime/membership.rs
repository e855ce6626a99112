//! This executor's membership of the group: reading, holding back, committing, leaving.

use std::collections::BTreeMap;
use std::time::Duration;

use unrip_bus::{BusConfig, GroupConsumer, GroupEvent, GroupOptions, Isolation, Position, RevokeGuard, Start};
use unrip_core::{Timestamp, topic};
use unrip_service::{Condition, RunError};

use crate::config::ExecuteSection;
use crate::points::{Point, reach};
use crate::runtime::Performed;
use crate::runtime::partition::PartitionState;
use crate::runtime::retry::unavailable;

/// Commands in one batch.
const BATCH_RECORDS_MAX: usize = 64;
/// How long leaving the group may take.
const LEAVE_WAIT: Duration = Duration::from_secs(5);
/// How long a commit may hold the loop.
const COMMIT_WAIT: Duration = Duration::from_secs(2);

/// Partitions that are being handed over, until when at most, and what holds the handover.
pub(crate) struct Leaving {
    pub(crate) partitions: Vec<i32>,
    pub(crate) until: Timestamp,
    pub(crate) guard: RevokeGuard,
}

/// The group's membership, and what is waiting to be committed or handed over.
pub(crate) struct Membership {
    bus: BusConfig,
    options: GroupOptions,
    group: Option<GroupConsumer>,
    /// Offsets to commit, by partition.
    commits: BTreeMap<i32, i64>,
    leaving: Vec<Leaving>,
    /// Whether a newer executor fenced this one: the group is to be left and joined again.
    rejoin: bool,
    /// Met at the first assignment.
    joined: Condition,
}

impl Membership {
    pub(crate) fn new(bus: &BusConfig, venue: &str, section: &ExecuteSection, joined: Condition) -> Self {
        let mut options = GroupOptions::new(group_id(venue), vec![topic::EXECUTE_TRADE.to_owned()]);
        // Nothing is read before the fence is: the loop seeks and resumes.
        options.start = Start::Held;
        options.isolation = Isolation::ReadCommitted;
        options.batch_records_max = BATCH_RECORDS_MAX;
        options.session_timeout_ms = section.session_timeout_ms;
        options.revoke_wait_ms_max = section.drain_timeout_ms;
        let (commits, leaving) = (BTreeMap::new(), Vec::new());
        Self { bus: bus.clone(), options, group: None, commits, leaving, rejoin: false, joined }
    }

    pub(crate) fn join(&mut self) -> Result<(), RunError> {
        self.group = Some(GroupConsumer::join(&self.bus, self.options.clone()).map_err(unavailable)?);
        Ok(())
    }

    /// The next event; none comes without a group.
    pub(crate) async fn next(&mut self) -> GroupEvent {
        match &mut self.group {
            Some(group) => group.next().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn group(&self) -> Result<&GroupConsumer, RunError> {
        self.group.as_ref().ok_or_else(|| RunError::Software("assigned without a group".to_owned()))
    }

    /// The group assigned partitions.
    pub(crate) fn joined(&self) {
        self.joined.met();
    }

    /// Leaves and joins again at the next tick.
    pub(crate) fn rejoin(&mut self) -> Performed {
        self.rejoin = true;
        Performed::Done
    }

    /// Whether to leave and join again; asked once.
    pub(crate) fn take_rejoin(&mut self) -> bool {
        std::mem::take(&mut self.rejoin)
    }

    /// Starts to read commands. The loop does not wait for it: a revocation that waits for the loop holds up the answer.
    pub(crate) fn start_reading(&self, partition: i32, next: i64) {
        let Some(group) = &self.group else { return };
        let started = group.begin_at(&Position::new(topic::EXECUTE_TRADE, partition, next));
        tokio::spawn(async move {
            if let Err(error) = started.await {
                // Taken away meanwhile: the new owner reads it.
                tracing::info!(partition, next, %error, "reading not started");
            }
        });
    }

    /// Holds reading of partitions with too many commands in hand, and resumes it later.
    pub(crate) fn hold_back(&self, partitions: &mut BTreeMap<i32, PartitionState>, open_max: usize) {
        let Some(group) = &self.group else { return };
        for (partition, state) in partitions {
            let topic = (topic::EXECUTE_TRADE.to_owned(), *partition);
            if !state.paused && state.core.open_count() >= open_max {
                group.pause(&[topic]);
                state.paused = true;
            } else if state.paused && state.core.is_active() && state.core.open_count() <= open_max / 2 {
                group.resume(&[topic]);
                state.paused = false;
            }
        }
    }

    /// An orderly revocation: the guard is held until the partitions are drained, or until then.
    pub(crate) fn hand_over(&mut self, partitions: Vec<i32>, until: Timestamp, guard: RevokeGuard) {
        self.leaving.push(Leaving { partitions, until, guard });
    }

    /// Handovers that are finished, or have taken too long.
    pub(crate) fn take_finished(&mut self, now: Timestamp, is_drained: impl Fn(&[i32]) -> bool) -> Vec<Leaving> {
        self.leaving.extract_if(.., |one| now >= one.until || is_drained(&one.partitions)).collect()
    }

    /// The journal holds every command of the partition below this offset.
    pub(crate) fn note_commit(&mut self, partition: i32, offset: i64) -> Performed {
        self.commits.insert(partition, offset);
        Performed::Done
    }

    /// The partition is not ours any more: nothing of it is committed.
    pub(crate) fn forget(&mut self, partition: i32) {
        self.commits.remove(&partition);
    }

    /// Commits what the journal holds. A failure loses nothing: the records are read again.
    pub(crate) async fn commit(&mut self) {
        let offsets: Vec<_> = std::mem::take(&mut self.commits)
            .into_iter()
            .map(|(partition, offset)| Position::new(topic::EXECUTE_TRADE, partition, offset))
            .collect();
        let Some(group) = self.group.as_ref().filter(|_| !offsets.is_empty()) else { return };
        let again = offsets.clone();
        reach(Point::OffsetsCommitBefore);
        match tokio::time::timeout(COMMIT_WAIT, group.commit(offsets)).await {
            Ok(Ok(())) => reach(Point::OffsetsCommitAfter),
            Ok(Err(error)) if error.is_retriable() => {
                tracing::warn!(%error, "offsets not committed; retrying");
                for Position { partition, offset, .. } in again {
                    self.commits.entry(partition).or_insert(offset);
                }
            }
            Ok(Err(error)) => tracing::warn!(%error, "offsets not committed; the commands are read again"),
            Err(_) => tracing::warn!("committing offsets takes too long; the commands are read again"),
        }
    }

    pub(crate) async fn leave(&mut self) {
        let Some(group) = self.group.take() else { return };
        // The member's thread may be in a revocation: it cannot leave before that is let go.
        self.leaving.clear();
        if tokio::time::timeout(LEAVE_WAIT, group.leave()).await.is_err() {
            tracing::warn!("leaving the group takes too long; the broker will notice by its session timeout");
        }
    }
}

/// The group of a venue's executors.
pub(crate) fn group_id(venue: &str) -> String {
    topic::group("execute", venue)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unrip_service::health::Health;

    fn membership() -> Membership {
        let bus = toml::from_str("brokers = \"127.0.0.1:1\"").unwrap();
        let section = toml::from_str("executor_id = \"a\"\nstate_dir = \"s\"").unwrap();
        Membership::new(&bus, "a-venue", &section, Health::default().condition("partitions", "waiting"))
    }

    #[test]
    fn rejoins_once_for_each_fence() {
        let mut membership = membership();
        assert!(!membership.take_rejoin());
        assert_eq!(membership.rejoin(), Performed::Done);
        assert!(membership.take_rejoin() && !membership.take_rejoin());
    }

    #[tokio::test]
    async fn commits_nothing_of_a_partition_that_is_gone_and_nothing_without_a_group() {
        let mut membership = membership();
        for (partition, offset) in [(1, 7), (2, 9)] {
            assert_eq!(membership.note_commit(partition, offset), Performed::Done);
        }
        membership.forget(1);
        assert_eq!(membership.commits, BTreeMap::from([(2, 9)]));
        membership.commit().await;
        assert!(membership.commits.is_empty() && membership.group().is_err());
    }
}
