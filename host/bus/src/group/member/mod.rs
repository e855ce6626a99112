//! The member's own thread: it always polls, so that rebalances are served while batches wait.

mod queue;
mod seek;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::{mpsc, oneshot};

use super::epochs::Batch;
use super::explain::{self, News};
use super::rebalance::Membership;
use super::{BATCH_BYTES_MAX, GroupEvent, GroupOptions, Partition};
use crate::stopped::{Place, Retried, Stopped};
use crate::{BusConfig, Error, Record};
use seek::Seek;

/// Poll timeout. Bounds how late a command or a leave is noticed.
const POLL: Duration = Duration::from_millis(20);

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
    /// What a bug in this thread would do.
    #[cfg(test)]
    Panic,
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
    config: &BusConfig,
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
        stopped: Stopped::new(config, options.isolation),
        failed: false,
    };
    let run = move || {
        let ended = catch_unwind(AssertUnwindSafe(|| member.run()));
        let Member { consumer, commands, batches, .. } = member;
        if ended.is_err() {
            consumer.context().tell(GroupEvent::Failed(Error::Panicked { operation: "consume" }));
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
            self.watch_stopped();
            match self.waiting.take() {
                Some((batch, since)) => self.hand_over(batch, since),
                None => self.failed = self.poll(POLL).is_break(),
            }
        }
    }

    /// Tries partitions again that could not be read, and finds those that stand still.
    fn watch_stopped(&mut self) {
        self.stopped.forget(&self.consumer.context().take_revoked());
        for retried in self.stopped.retry() {
            match retried {
                Retried::Still(error) => self.consumer.context().tell(GroupEvent::Failed(error)),
                Retried::Free(at) => self.release(&[at]),
            }
        }
        // A full queue stops every partition.
        if self.waiting.is_none() && self.consumer.context().full().is_empty() {
            let context = self.consumer.context();
            let found = self.stopped.look(&self.consumer, || flowing(context));
            found.into_iter().for_each(|error| context.tell(GroupEvent::Failed(error)));
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

    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Pause(partitions) => self.pause(partitions),
                Command::Resume(partitions) => self.resume(partitions),
                Command::Seek { at, offset, wait, flow, reply } => {
                    let until = wait.map(|wait| Instant::now() + wait);
                    self.seeks.push(Seek { at, offset, reply, until, flow });
                }
                #[cfg(test)]
                #[allow(clippy::panic, reason = "this is what the test is about")]
                Command::Panic => panic!("as a test wants it"),
            }
        }
    }

    /// Reports what failed. A break means that the client will never work again.
    fn fail(&mut self, error: &KafkaError) -> ControlFlow<()> {
        let context = self.consumer.context();
        self.stopped.forget(&context.take_revoked());
        if let Some(stopped) = self.stopped.take(&self.consumer, error, || flowing(context)) {
            stopped.into_iter().for_each(|error| context.tell(GroupEvent::Failed(error)));
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
}

/// The partitions that the member lets flow, with their next offsets.
fn flowing(context: &Membership) -> Vec<Place> {
    let held = context.held().clone();
    context.epochs.places().into_iter().filter(|(at, _)| !held.contains(at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GroupConsumer;

    /// Far above what this takes; keeps a failing test from hanging.
    const WAIT: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_panic_of_the_thread_is_reported_once_and_ends_the_member_outside_the_runtime() {
        let options = GroupOptions::new("g", vec!["t".to_owned()]);
        let mut member = GroupConsumer::join(&BusConfig::at("127.0.0.1:1"), options).unwrap();
        member.commands.send(Command::Panic).unwrap();
        let failed = tokio::time::timeout(WAIT, async {
            loop {
                match member.next().await {
                    GroupEvent::Failed(error) if error.is_retriable() => {}
                    event => return event,
                }
            }
        });
        let failed = failed.await.unwrap();
        assert!(matches!(failed, GroupEvent::Failed(Error::Panicked { .. })), "{failed:?}");
        assert!(matches!(member.next().await, GroupEvent::Failed(Error::Closed { .. })));
        let answer = member.seek(&crate::Position::new("t", 0, 0)).await;
        assert!(matches!(answer, Err(Error::Closed { .. })), "{answer:?}");
        // Its thread drops the client: here, on the runtime, that would block and panic.
        tokio::time::timeout(WAIT, member.leave()).await.unwrap();
    }
}
