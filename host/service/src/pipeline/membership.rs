//! The loop as a member of its group: what it is assigned, what it commits, how it leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use unrip_bus::{Error, GroupConsumer, GroupEvent, GroupOptions, Partition, Position};

use super::Setup;
use super::flow::Flow;
use super::stage::Stage;
use crate::dead_letter::{self, LostRecords};
use crate::run::RunError;

/// How long the last commit and leaving the group may take.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// How long one commit may take; the next one carries its offsets too.
const COMMIT_WAIT: Duration = Duration::from_secs(3);
/// How long the committed offsets of new partitions may take; without them their lag is shown once something was read.
const COMMITTED_WAIT: Duration = Duration::from_secs(1);
/// Before the group is joined again after a final error of the consumer.
const REJOIN_PAUSE: Duration = Duration::from_secs(1);

impl<S: Stage> Flow<S> {
    pub(super) async fn membership(&mut self, event: GroupEvent) -> Result<(), RunError> {
        match event {
            GroupEvent::Assigned(partitions) => {
                self.assigned.met();
                self.reading.allowed();
                tracing::info!(partitions = %names(&partitions), "partitions assigned");
                self.assigned(partitions).await;
            }
            GroupEvent::Revoked { partitions, lost, guard } => {
                tracing::info!(partitions = %names(&partitions), lost, "partitions revoked");
                // Nothing is in flight between two batches: what is finished only needs its commit.
                if !lost {
                    self.commit().await;
                }
                for partition in &partitions {
                    self.finished.remove(partition);
                    self.holds.forget(partition);
                    self.reading.forget(partition);
                }
                self.progress.revoked(&partitions);
                drop(guard);
            }
            GroupEvent::Failed(error @ Error::Panicked { .. }) => return Err(RunError::Software(error.to_string())),
            GroupEvent::Failed(error) if error.is_fatal() => self.rejoin(&error).await,
            GroupEvent::Failed(error) => self.failed(&error),
            GroupEvent::Gap { topic, partition, from, to } => self.lost(&topic, partition, from, to).await?,
            GroupEvent::Records(_) => {}
        }
        Ok(())
    }

    fn failed(&mut self, error: &Error) {
        match error {
            Error::MissingTopic { .. } => self.assigned.missing(&error.to_string()),
            Error::Stopped { topic, partition, .. } => {
                tracing::error!(%error, "a partition cannot be read; retrying");
                self.reading.stopped((topic.clone(), *partition), &error.to_string());
            }
            // The topic was made again, or its log was cut off at the end. Where to continue is the operator's decision:
            // the oldest record may be days of repeats. The other partitions flow.
            Error::OutOfRange { topic, partition, .. } => {
                let reason = format!("{error}; set the offset of group {} and restart", self.setup.group);
                tracing::error!(reason, "a partition cannot be read; it waits for the operator");
                self.reading.stopped((topic.clone(), *partition), &reason);
            }
            Error::Denied { .. } => {
                tracing::error!(%error, "the broker denies the group's reading; retrying");
                self.reading.denied(&error.to_string());
            }
            _ => {}
        }
        self.watch.suspect(error);
    }

    /// Records were deleted before they were read: a metric, a line and a dead letter say so before anything later is
    /// committed.
    async fn lost(&mut self, topic: &str, partition: i32, from: i64, to: i64) -> Result<(), RunError> {
        self.meters.lost(topic, u64::try_from(to - from).unwrap_or_default());
        tracing::error!(
            topic,
            partition,
            from,
            to,
            "records were deleted before they were read; continuing after them"
        );
        let lost = LostRecords { topic, partition, offset: from, end: to };
        let (context, setup) = (&self.context, &self.setup);
        let letter = dead_letter::from_lost_records(
            &lost,
            &setup.group,
            setup.venue.as_str(),
            context.clock.now(),
            &context.ids,
        );
        self.write_letter(letter).await
    }

    async fn assigned(&mut self, partitions: Vec<Partition>) {
        let committed = tokio::time::timeout(COMMITTED_WAIT, self.consumer.committed(&partitions)).await;
        let mut next: BTreeMap<_, _> = partitions.into_iter().map(|partition| (partition, None)).collect();
        next.extend(committed.ok().and_then(Result::ok).unwrap_or_default());
        self.progress.assigned(next);
    }

    pub(super) async fn commit(&mut self) {
        self.commit_at = None;
        if self.finished.is_empty() {
            return;
        }
        let next = |((topic, partition), next): (&Partition, &i64)| Position::new(topic, *partition, *next);
        let offsets = self.finished.iter().map(next).collect();
        let away = || Error::Retriable { operation: "commit", reason: "no answer yet".to_owned() };
        let commit = tokio::time::timeout(COMMIT_WAIT, self.consumer.commit(offsets));
        match commit.await.unwrap_or_else(|_| Err(away())) {
            Ok(()) => {
                self.finished.clear();
                self.reading.allowed();
            }
            // Another member does it again: the same ids.
            Err(error @ Error::NotOwner { .. }) => {
                tracing::debug!(%error, "the partitions are another member's; not committed");
                self.finished.clear();
            }
            Err(error) => {
                if matches!(error, Error::Denied { .. }) {
                    self.reading.denied(&error.to_string());
                }
                self.watch.suspect(&error);
                let interval = Duration::from_millis(self.setup.options.commit_interval_ms.max(500));
                self.commit_at = Some(Instant::now() + interval);
            }
        }
    }

    /// Joins the group again: reading continues at the committed offsets, so records are repeated and none is lost.
    pub(super) async fn rejoin(&mut self, error: &Error) {
        self.assigned.missing(&error.to_string());
        tracing::warn!(%error, "the consumer failed for good; joining the group again");
        self.finished.clear();
        self.commit_at = None;
        self.holds.clear();
        self.reading.clear();
        self.context.shutdown.run_until_cancelled(tokio::time::sleep(REJOIN_PAUSE)).await;
        match join(&self.setup) {
            Ok(consumer) => self.consumer = consumer,
            Err(error) => tracing::warn!(%error, "cannot join the group; retrying"),
        }
    }

    pub(super) async fn stop(mut self) {
        if tokio::time::timeout(STOP_WAIT, self.commit()).await.is_err() || !self.finished.is_empty() {
            tracing::warn!("the last commit was not confirmed; the next start repeats some records");
        }
        if tokio::time::timeout(STOP_WAIT, self.consumer.leave()).await.is_err() {
            tracing::warn!("leaving the group was not confirmed");
        }
    }
}

pub(super) fn join(setup: &Setup) -> Result<GroupConsumer, Error> {
    let options = GroupOptions {
        batch_records_max: setup.options.batch_records_max,
        session_timeout_ms: setup.options.session_timeout_ms,
        instance_id: setup.options.group_instance_id.clone(),
        ..GroupOptions::new(&setup.group, setup.topics.clone())
    };
    GroupConsumer::join(&setup.bus, options)
}

fn names(partitions: &[Partition]) -> String {
    let mut names: Vec<String> = partitions.iter().map(|(topic, partition)| format!("{topic}/{partition}")).collect();
    names.sort();
    names.join(" ")
}
