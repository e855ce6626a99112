//! The member's own thread: it polls always, so that rebalances are served while batches wait.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::explain;
use super::rebalance::Membership;
use super::{BATCH_BYTES_MAX, GroupEvent, GroupOptions, Partition, list_of};
use crate::{Error, Record};

/// How long one poll waits: so soon is a command or a leave noticed.
const POLL: Duration = Duration::from_millis(20);
/// How often a full queue is tried again.
const FULL_POLL: Duration = Duration::from_millis(1);
/// A queue that is full for so long pauses fetching; shorter waits cost less than fetching anew.
const FULL_MAX: Duration = Duration::from_millis(250);
/// How long one try of a seek may take.
const SEEK_TRY: Duration = Duration::from_millis(500);

/// Records with the epoch in which each was polled.
pub(crate) type Batch = Vec<(u64, Record)>;

pub(super) enum Command {
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
    /// Tried so long (for as long as the partition is assigned if absent); then it flows, if that is wanted.
    Seek {
        at: Partition,
        offset: i64,
        wait: Option<Duration>,
        flow: bool,
        reply: oneshot::Sender<Result<(), Error>>,
    },
}

struct Seek {
    at: Partition,
    offset: i64,
    reply: oneshot::Sender<Result<(), Error>>,
    until: Option<Instant>,
    flow: bool,
}

struct Member {
    consumer: Arc<BaseConsumer<Membership>>,
    commands: Receiver<Command>,
    batches: mpsc::Sender<Batch>,
    batch_records_max: usize,
    topics: Vec<String>,
    /// Polled, and the queue was full.
    waiting: Option<(Batch, Instant)>,
    /// The partitions that were paused because the queue stays full.
    paused: Option<Vec<Partition>>,
    seeks: Vec<Seek>,
    /// The client failed for good.
    failed: bool,
}

pub(super) fn start(
    consumer: Arc<BaseConsumer<Membership>>,
    options: &GroupOptions,
    batches: mpsc::Sender<Batch>,
) -> Result<(Sender<Command>, oneshot::Receiver<()>), Error> {
    let (send, commands) = channel();
    let (end, ended) = oneshot::channel();
    let mut member = Member {
        consumer,
        commands,
        batches,
        batch_records_max: options.batch_records_max.max(1),
        topics: options.topics.clone(),
        waiting: None,
        paused: None,
        seeks: Vec::new(),
        failed: false,
    };
    let run = move || {
        member.run();
        // Nobody listens any more; dropping the consumer tells the group.
        member.consumer.context().leaving.store(true, std::sync::atomic::Ordering::Release);
        drop(member);
        end.send(()).ok();
    };
    let thread = std::thread::Builder::new().name("bus-member".to_owned()).spawn(run);
    thread.map_err(|e| Error::Fatal { operation: "start member thread", reason: e.to_string() })?;
    Ok((send, ended))
}

impl Member {
    fn run(&mut self) {
        while !self.failed && self.consumer.context().is_listening() {
            self.obey();
            self.try_seeks();
            match self.waiting.take() {
                Some((batch, since)) => self.hand_over(batch, since),
                None => self.failed = self.poll(POLL).is_break(),
            }
        }
    }

    /// Polls once and hands over what is there. A break means that the client has failed for good.
    fn poll(&mut self, wait: Duration) -> ControlFlow<()> {
        let polled = self.consumer.poll(wait).map(|polled| polled.map(|message| Record::from_message(&message)));
        let Some(first) = polled else { return ControlFlow::Continue(()) };
        let (batch, error) = self.gather(first);
        if !batch.is_empty() {
            self.hand_over(batch, Instant::now());
        }
        error.map_or(ControlFlow::Continue(()), |error| self.fail(&error))
    }

    /// What is there already beside the first record: no record waits for company.
    fn gather(&self, first: Result<Record, KafkaError>) -> (Batch, Option<KafkaError>) {
        let epochs = &self.consumer.context().epochs;
        let (mut batch, mut bytes, mut polled) = (Vec::new(), 0, Some(first));
        while let Some(result) = polled {
            match result {
                Ok(record) => {
                    bytes += record.bytes();
                    batch.push(epochs.mark(record));
                }
                Err(error) => return (batch, Some(error)),
            }
            if batch.len() >= self.batch_records_max || bytes >= BATCH_BYTES_MAX {
                break;
            }
            let more = self.consumer.poll(Duration::ZERO);
            polled = more.map(|polled| polled.map(|message| Record::from_message(&message)));
        }
        (batch, None)
    }

    fn hand_over(&mut self, batch: Batch, since: Instant) {
        match self.batches.try_send(batch) {
            Ok(()) => self.go_on(),
            Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(batch)) => {
                self.waiting = Some((batch, since));
                if since.elapsed() < FULL_MAX {
                    std::thread::sleep(FULL_POLL);
                } else {
                    self.hold_back();
                }
            }
        }
    }

    /// Pauses what is assigned and polls on for rebalances.
    fn hold_back(&mut self) {
        let context = self.consumer.context();
        let paused = self.paused.get_or_insert_default();
        let more: Vec<_> = context.epochs.assigned().into_iter().filter(|at| !paused.contains(at)).collect();
        if !more.is_empty() {
            self.consumer.pause(&list_of(&more)).ok();
            paused.extend(more);
        }
        let polled = self.consumer.poll(POLL).map(|polled| polled.map(|message| Record::from_message(&message)));
        match polled {
            // Of a partition that was assigned in this very poll.
            Some(Ok(record)) => {
                let marked = self.consumer.context().epochs.mark(record);
                if let Some((batch, _)) = &mut self.waiting {
                    batch.push(marked);
                }
            }
            Some(Err(error)) => self.failed = self.fail(&error).is_break(),
            None => {}
        }
    }

    fn go_on(&mut self) {
        let Some(paused) = self.paused.take() else { return };
        let context = self.consumer.context();
        let held = context.held().clone();
        let wanted: Vec<_> = paused.into_iter().filter(|at| context.epochs.has(at) && !held.contains(at)).collect();
        self.consumer.resume(&list_of(&wanted)).ok();
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Pause(partitions) => self.pause(partitions),
                Command::Resume(partitions) => self.resume(partitions),
                Command::Seek { at, offset, wait, flow, reply } => {
                    let until = wait.map(|wait| Instant::now() + wait);
                    self.seeks.push(Seek { at, offset, reply, until, flow });
                }
            }
        }
    }

    fn pause(&self, partitions: Vec<Partition>) {
        let context = self.consumer.context();
        let here: Vec<_> = partitions.into_iter().filter(|at| context.epochs.has(at)).collect();
        if let Err(error) = self.consumer.pause(&list_of(&here)) {
            context.tell(GroupEvent::Failed(Error::from_kafka("pause", "", &error)));
        }
        context.held().extend(here);
    }

    fn resume(&self, partitions: Vec<Partition>) {
        let context = self.consumer.context();
        let here: Vec<_> = partitions.into_iter().filter(|at| context.held().remove(at)).collect();
        // While the queue is full they stay paused; they go on with the others.
        if self.paused.is_none()
            && let Err(error) = self.consumer.resume(&list_of(&here))
        {
            context.tell(GroupEvent::Failed(Error::from_kafka("resume", "", &error)));
        }
    }

    /// A partition just assigned may need a moment until it can be sought.
    fn try_seeks(&mut self) {
        for seek in std::mem::take(&mut self.seeks) {
            if !self.consumer.context().epochs.has(&seek.at) {
                let reason = format!("{}/{} is not assigned", seek.at.0, seek.at.1);
                seek.reply.send(Err(Error::NotOwner { operation: "seek", reason })).ok();
                continue;
            }
            match self.seek(&seek.at, seek.offset) {
                Ok(()) => {
                    self.consumer.context().epochs.begin(std::slice::from_ref(&seek.at));
                    if seek.flow {
                        self.resume(vec![seek.at]);
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

    /// Tells what failed. A break means that the client has failed for good.
    fn fail(&self, error: &KafkaError) -> ControlFlow<()> {
        let context = self.consumer.context();
        for error in explain::explain(&self.consumer, &self.topics, error) {
            let end = error.is_fatal();
            context.tell(GroupEvent::Failed(error));
            if end {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}
