//! The rebalance callback. It runs inside `poll`, on the member's own thread, and may wait there.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tokio::sync::mpsc;

use super::epochs::Epochs;
use super::{GroupEvent, GroupOptions, Partition, RevokeGuard, Start};
use crate::config::REQUEST_WAIT_MS_MAX;
use crate::{Error, logging};

/// What the callback and the member's thread share.
pub(crate) struct Membership {
    pub(super) epochs: Epochs,
    /// Set by `leave`: events are no longer read.
    pub(super) leaving: AtomicBool,
    held: Mutex<HashSet<Partition>>,
    full: Mutex<HashSet<Partition>>,
    owned: Mutex<HashSet<Partition>>,
    /// Taken away since the member's thread last asked.
    revoked: Mutex<Vec<Partition>>,
    events: mpsc::Sender<GroupEvent>,
    start: Start,
    revoke_wait: Duration,
}

impl Membership {
    pub(super) fn new(options: &GroupOptions, events: mpsc::Sender<GroupEvent>) -> Self {
        Self {
            epochs: Epochs::default(),
            leaving: AtomicBool::new(false),
            held: Mutex::default(),
            full: Mutex::default(),
            owned: Mutex::default(),
            revoked: Mutex::default(),
            events,
            start: options.start,
            revoke_wait: Duration::from_millis(options.revoke_wait_ms_max),
        }
    }

    /// Partitions that are paused because the member asked for it, or that wait for its first seek.
    pub(super) fn held(&self) -> MutexGuard<'_, HashSet<Partition>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions that are paused because the queue to the member is full.
    pub(super) fn full(&self) -> MutexGuard<'_, HashSet<Partition>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions whose offsets this member may commit: assigned, or revoked and still waited for.
    pub(super) fn owned(&self) -> MutexGuard<'_, HashSet<Partition>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partitions that were taken away since the last call.
    pub(super) fn take_revoked(&self) -> Vec<Partition> {
        std::mem::take(&mut *self.revoked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where a partition without a committed offset starts.
    pub(super) fn start(&self) -> Start {
        self.start
    }

    /// Whether the member still reads events.
    pub(super) fn is_listening(&self) -> bool {
        !self.leaving.load(Ordering::Acquire) && !self.events.is_closed()
    }

    /// Waits while the member reads no event: `max.poll.interval.ms` removes a member that never does.
    pub(super) fn tell(&self, event: GroupEvent) {
        if self.is_listening() && self.events.blocking_send(event).is_err() {
            tracing::debug!("the member was dropped before it read an event");
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions(list);
        self.place(consumer, list)?;
        for at in list.elements() {
            let next = if let Offset::Offset(offset) = at.offset() { Some(offset) } else { None };
            self.epochs.begin(&(at.topic().to_owned(), at.partition()), next);
        }
        self.owned().extend(partitions.iter().cloned());
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list)?,
            _ => consumer.assign(list)?,
        }
        if self.start == Start::Held && !partitions.is_empty() {
            self.held().extend(partitions.iter().cloned());
            consumer.pause(list)?;
        }
        // Also sent when empty: a group may have more members than partitions.
        self.tell(GroupEvent::Assigned(partitions));
        Ok(())
    }

    /// Sets where each partition starts. The client library resets nothing by itself: a start that is not in the log is
    /// reported, so that what retention removed unread is a [`GroupEvent::Gap`].
    fn place(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> KafkaResult<()> {
        if self.start == Start::Held {
            // A given offset keeps the client from asking for committed ones; paused, nothing is fetched from it.
            return list.set_all_offsets(Offset::Offset(0));
        }
        if list.count() == 0 {
            return Ok(());
        }
        let wait = Duration::from_millis(REQUEST_WAIT_MS_MAX);
        let committed = match consumer.committed_offsets(list.clone(), wait) {
            Ok(committed) => committed,
            Err(error) => {
                // The client library asks again by itself, and reports a partition without a committed offset.
                tracing::warn!(%error, "cannot read committed offsets; the client asks again");
                return Ok(());
            }
        };
        for at in committed.elements() {
            let start = match at.offset() {
                Offset::Offset(offset) => Offset::Offset(offset),
                _ if self.start == Start::Earliest => Offset::Beginning,
                other => other,
            };
            list.set_partition_offset(at.topic(), at.partition(), start)?;
        }
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions(list);
        let lost = consumer.assignment_lost();
        self.epochs.end(&partitions);
        if lost {
            self.disown(&partitions);
        }
        if !partitions.is_empty() && self.is_listening() {
            let (release, released) = channel();
            self.tell(GroupEvent::Revoked {
                partitions: partitions.clone(),
                lost,
                guard: RevokeGuard { _release: release },
            });
            if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = released.recv_timeout(self.revoke_wait) {
                tracing::warn!(
                    wait_ms = self.revoke_wait.as_millis(),
                    "a revocation did not wait longer for its guard; commits of these partitions are refused from now on"
                );
            }
        }
        self.disown(&partitions);
        self.held().retain(|partition| !partitions.contains(partition));
        self.full().retain(|partition| !partitions.contains(partition));
        self.revoked.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&partitions);
        // The client library keeps a pause over an assignment: a partition that comes back would never flow.
        consumer.resume(list)?;
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
    }

    fn disown(&self, partitions: &[Partition]) {
        self.owned().retain(|partition| !partitions.contains(partition));
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        logging::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        logging::report(&error, reason);
    }
}

impl ConsumerContext for Membership {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, word: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let done = match word {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoke(consumer, list),
            other => {
                let code = RDKafkaErrorCode::from(other);
                self.tell(GroupEvent::Failed(Error::from_code("rebalance", "", code)));
                consumer.unassign()
            }
        };
        if let Err(error) = done {
            self.tell(GroupEvent::Failed(Error::from_kafka("rebalance", "", &error)));
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|at| (at.topic().to_owned(), at.partition())).collect()
}
