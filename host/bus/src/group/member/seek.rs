//! Where partitions continue: seeks of the member, and jumps over what the log no longer has.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::oneshot;

use super::Member;
use crate::Error;
use crate::group::{GroupEvent, Partition, list_of};

/// How long one attempt of a seek may take.
const SEEK_TRY: Duration = Duration::from_millis(500);

pub(super) struct Seek {
    pub(super) at: Partition,
    pub(super) offset: i64,
    pub(super) reply: oneshot::Sender<Result<(), Error>>,
    pub(super) until: Option<Instant>,
    pub(super) flow: bool,
}

impl Member {
    /// A partition just assigned may need a moment until it can be sought.
    pub(super) fn try_seeks(&mut self) {
        for seek in std::mem::take(&mut self.seeks) {
            if !self.consumer.context().epochs.has(&seek.at) {
                let reason = format!("{}/{} is not assigned", seek.at.0, seek.at.1);
                seek.reply.send(Err(Error::NotOwner { operation: "seek", reason })).ok();
                continue;
            }
            match self.seek(&seek.at, seek.offset) {
                Ok(()) => {
                    self.consumer.context().epochs.begin(&seek.at, Some(seek.offset));
                    let at = vec![seek.at];
                    // From its new place it may be readable.
                    self.stopped.forget(&at);
                    self.release(&at);
                    if seek.flow {
                        self.resume(at);
                    }
                    seek.reply.send(Ok(())).ok();
                }
                Err(_) if seek.until.is_none_or(|until| Instant::now() < until) => self.seeks.push(seek),
                Err(error) => drop(seek.reply.send(Err(error))),
            }
        }
    }

    fn seek(&self, (topic, partition): &Partition, offset: i64) -> Result<(), Error> {
        let failed = |e: KafkaError| Error::from_kafka("seek", topic, &e);
        let mut list = list_of(&[]);
        list.add_partition_offset(topic, *partition, Offset::Offset(offset)).map_err(failed)?;
        let sought = self.consumer.seek_partitions(list, SEEK_TRY).map_err(failed)?;
        sought
            .elements()
            .iter()
            .try_for_each(rdkafka::topic_partition_list::TopicPartitionListElem::error)
            .map_err(failed)
    }

    pub(super) fn jump(&self, at: &Partition, to: i64) {
        self.consumer.context().epochs.begin(at, Some(to));
        self.restart(at, Offset::Offset(to));
    }

    /// Reads a partition that the client library stopped, from another place.
    pub(super) fn restart(&self, (topic, partition): &Partition, start: Offset) {
        let again = || {
            let mut list = list_of(&[(topic.clone(), *partition)]);
            self.consumer.incremental_unassign(&list)?;
            list.set_partition_offset(topic, *partition, start)?;
            self.consumer.incremental_assign(&list)
        };
        if let Err(error) = again() {
            let error = Error::from_kafka("restart partition", topic, &error);
            self.consumer.context().tell(GroupEvent::Failed(error));
        }
    }
}
