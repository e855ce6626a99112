//! The member's own thread: it always polls, so that rebalances are served while batches wait.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use super::epochs::Batch;
use super::explain::{self, News};
use super::rebalance::Membership;
use super::{BATCH_BYTES_MAX, GroupEvent, GroupOptions, Partition, list_of};
use crate::stopped::Stopped;
use crate::{Error, Record};

/// Poll timeout. Bounds how late a command or a leave is noticed.
const POLL: Duration = Duration::from_millis(20);
/// How often a full queue is tried again.
const FULL_POLL: Duration = Duration::from_millis(1);
/// How long a queue may be full before fetching is paused; for shorter times fetching again costs more.
const FULL_MAX: Duration = Duration::from_millis(250);
/// How long one attempt of a seek may take.
const SEEK_TRY: Duration = Duration::from_millis(500);

pub(super) enum Command {
    Pause(Vec<Partition>),
    Resume(Vec<Partition>),
    /// Retried for up to `wait`, or while the partition is assigned if `None`; fetching then resumes if `flow` is set.
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
    /// Polled while the queue was full, and since when it is.
    waiting: Option<(Batch, Instant)>,
    seeks: Vec<Seek>,
    stopped: Stopped,
    /// The client will never work again.
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
        seeks: Vec::new(),
        stopped: Stopped::default(),
        failed: false,
    };
    let run = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| member.run()));
        let Member { consumer, commands, batches, .. } = member;
        if ended.is_err() {
            let reason = "the member's thread panicked".to_owned();
            consumer.context().tell(GroupEvent::Failed(Error::Fatal { operation: "consume", reason }));
        }
        consumer.context().leaving.store(true, std::sync::atomic::Ordering::Release);
        // The member gets `Closed` from now on.
        drop(batches);
        // The last reference is dropped here and never inside the runtime: that leaves the group, and blocks meanwhile.
        while commands.recv().is_ok() {}
        drop(consumer);
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

    /// The first record and what else has already been fetched: no record waits for others.
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

    /// Pauses what is assigned and keeps polling for rebalances.
    fn hold_back(&mut self) {
        let context = self.consumer.context();
        let more: Vec<_> = {
            let full = context.full();
            context.epochs.assigned().into_iter().filter(|at| !full.contains(at)).collect()
        };
        if !more.is_empty() {
            self.consumer.pause(&list_of(&more)).ok();
            context.full().extend(more);
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

    /// The queue has room again: what was paused for it flows, except what the member itself paused.
    fn go_on(&mut self) {
        let context = self.consumer.context();
        let paused = std::mem::take(&mut *context.full());
        if paused.is_empty() {
            return;
        }
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
        // While the queue is full they stay paused, and flow with the others.
        if context.full().is_empty()
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
                    self.consumer.context().epochs.begin(&seek.at, Some(seek.offset));
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

    /// Reports what failed. A break means that the client will never work again.
    fn fail(&mut self, error: &KafkaError) -> ControlFlow<()> {
        let epochs = &self.consumer.context().epochs;
        let held = self.consumer.context().held().clone();
        let places = || epochs.places().into_iter().filter(|(at, _)| !held.contains(at)).collect();
        if let Some(stopped) = self.stopped.take(&*self.consumer, error, places) {
            stopped.into_iter().for_each(|error| self.consumer.context().tell(GroupEvent::Failed(error)));
            return ControlFlow::Continue(());
        }
        for news in explain::explain(&self.consumer, &self.topics, error) {
            let event = match news {
                News::Gap { at, from, to } => {
                    self.jump(&at, to);
                    GroupEvent::Gap { topic: at.0, partition: at.1, from, to }
                }
                News::Start(at) => {
                    self.restart(&at, Offset::Beginning);
                    continue;
                }
                News::Failed(error) => GroupEvent::Failed(error),
            };
            let end = matches!(&event, GroupEvent::Failed(error) if error.is_fatal());
            self.consumer.context().tell(event);
            if end {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn jump(&self, at: &Partition, to: i64) {
        self.consumer.context().epochs.begin(at, Some(to));
        self.restart(at, Offset::Offset(to));
    }

    /// Reads a partition that the client library stopped, from another place.
    fn restart(&self, (topic, partition): &Partition, start: Offset) {
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
