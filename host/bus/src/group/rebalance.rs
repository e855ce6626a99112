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
use crate::{Error, logging};

/// What the callback and the member's thread share.
pub(crate) struct Membership {
    pub(super) epochs: Epochs,
    /// Set by `leave`: nobody listens any more.
    pub(super) leaving: AtomicBool,
    held: Mutex<HashSet<Partition>>,
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
            events,
            start: options.start,
            revoke_wait: Duration::from_millis(options.revoke_wait_ms_max),
        }
    }

    /// Partitions that are paused because the member asked for it, or wait for its first seek.
    pub(super) fn held(&self) -> MutexGuard<'_, HashSet<Partition>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the member listens still.
    pub(super) fn is_listening(&self) -> bool {
        !self.leaving.load(Ordering::Acquire) && !self.events.is_closed()
    }

    /// Waits while the member reads nothing: `max.poll.interval.ms` puts out one that never does.
    pub(super) fn tell(&self, event: GroupEvent) {
        if self.is_listening() && self.events.blocking_send(event).is_err() {
            tracing::debug!("the member was dropped before it heard of an event");
        }
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions(list);
        if self.start == Start::Held {
            // A given offset keeps the client from asking for committed ones; paused, nothing is fetched from it.
            list.set_all_offsets(Offset::Offset(0))?;
        }
        self.epochs.begin(&partitions);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list)?,
            _ => consumer.assign(list)?,
        }
        if self.start == Start::Held && !partitions.is_empty() {
            self.held().extend(partitions.iter().cloned());
            consumer.pause(list)?;
        }
        // None of them too: a member beyond the partitions is in the group and has nothing to do.
        self.tell(GroupEvent::Assigned(partitions));
        Ok(())
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) -> KafkaResult<()> {
        let partitions = partitions(list);
        let lost = consumer.assignment_lost();
        self.epochs.end(&partitions);
        self.held().retain(|partition| !partitions.contains(partition));
        if !partitions.is_empty() && self.is_listening() {
            let (release, released) = channel();
            self.tell(GroupEvent::Revoked { partitions, lost, guard: RevokeGuard { _release: release } });
            if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = released.recv_timeout(self.revoke_wait) {
                tracing::warn!("a revocation did not wait any longer for its guard");
            }
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        }
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
