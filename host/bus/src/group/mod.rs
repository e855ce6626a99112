//! A member of a consumer group.

mod epochs;
mod event;
mod explain;
mod member;
mod options;
mod rebalance;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset;
use tokio::sync::{mpsc, oneshot};

use crate::config::REQUEST_WAIT_MS_MAX;
use crate::reader::watermarks;
use crate::{BusConfig, Error, Position};
use epochs::Batch;
use member::Command;
use rebalance::Membership;

pub use event::{GroupEvent, RevokeGuard};
pub use options::{GroupOptions, Start};

/// Records in one batch, where nothing else is asked for.
pub const BATCH_RECORDS_DEFAULT: usize = 256;
/// Bytes after which a batch is closed.
pub const BATCH_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Batches that wait for [`GroupConsumer::next`]; then fetching pauses.
const BATCHES_AHEAD_MAX: usize = 2;
/// Events other than records that wait for [`GroupConsumer::next`].
const EVENTS_AHEAD_MAX: usize = 64;
/// How long [`GroupConsumer::leave`] waits until the group has been informed, in milliseconds.
const LEAVE_WAIT_MS_MAX: u64 = 5_000;
/// How long a member may stop polling before the group removes it, in milliseconds.
const POLL_INTERVAL_MS_MAX: u64 = 60_000;

/// A topic's partition.
pub type Partition = (String, i32);

/// A member of a group: cooperative-sticky, with offsets committed only by [`GroupConsumer::commit`].
///
/// Dropping it leaves the group too, without waiting for that.
///
/// ```no_run
/// use unrip_bus::{BusConfig, Error, GroupConsumer, GroupEvent, GroupOptions};
///
/// # async fn example() -> Result<(), Error> {
/// let bus = BusConfig::at("127.0.0.1:9092");
/// let options = GroupOptions::new("normalize.a-venue", vec!["raw.a_venue.quote".to_owned()]);
/// let mut member = GroupConsumer::join(&bus, options)?;
/// loop {
///     match member.next().await {
///         GroupEvent::Records(records) => {
///             // Write every output first, and commit once all are acknowledged.
///             let next = records.iter().map(|record| record.next_position()).collect();
///             member.commit(next).await?;
///         }
///         GroupEvent::Revoked { guard, .. } => drop(guard),
///         GroupEvent::Gap { topic, partition, from, to } => println!("{topic}/{partition}: {from}..{to} are lost"),
///         GroupEvent::Failed(error) if error.is_fatal() => return Err(error),
///         GroupEvent::Failed(_) | GroupEvent::Assigned(_) => {}
///     }
/// }
/// # }
/// ```
pub struct GroupConsumer {
    consumer: Arc<BaseConsumer<Membership>>,
    events: mpsc::Receiver<GroupEvent>,
    batches: mpsc::Receiver<Batch>,
    /// A batch that waits for an event that was sent before it.
    held: Option<Batch>,
    commands: Sender<Command>,
    ended: oneshot::Receiver<()>,
}

impl std::fmt::Debug for GroupConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupConsumer").finish_non_exhaustive()
    }
}

impl GroupConsumer {
    /// Joins. Needs no broker yet. Without topics it never becomes a member and only asks (`committed`, `watermarks`).
    pub fn join(config: &BusConfig, options: GroupOptions) -> Result<Self, Error> {
        let settings = config.consumer(&options.group, options.isolation, &options.settings())?;
        let (tell, events) = mpsc::channel(EVENTS_AHEAD_MAX);
        let membership = Membership::new(&options, tell);
        let failed = |e: KafkaError| Error::from_kafka("join", &options.group, &e);
        let consumer: Arc<BaseConsumer<Membership>> =
            Arc::new(settings.create_with_context(membership).map_err(failed)?);
        let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        if !topics.is_empty() {
            consumer.subscribe(&topics).map_err(failed)?;
        }
        let (send, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let (commands, ended) = member::start(Arc::clone(&consumer), config, &options, send)?;
        Ok(Self { consumer, events, batches, held: None, commands, ended })
    }

    /// The next event. Safe to cancel.
    pub async fn next(&mut self) -> GroupEvent {
        loop {
            // Events come before the batches sent after them: when a batch is here, so is every earlier event.
            if let Ok(event) = self.events.try_recv() {
                return event;
            }
            if let Some(batch) = self.held.take() {
                let records = self.consumer.context().epochs.current(batch);
                if records.is_empty() {
                    continue;
                }
                return GroupEvent::Records(records);
            }
            tokio::select! {
                event = self.events.recv() => {
                    return event.unwrap_or(GroupEvent::Failed(Error::Closed { operation: "next" }));
                }
                batch = self.batches.recv() => match batch {
                    Some(batch) => self.held = Some(batch),
                    // What the thread reported before it ended comes first: it says why.
                    None => {
                        let last = self.events.try_recv();
                        return last.unwrap_or(GroupEvent::Failed(Error::Closed { operation: "next" }));
                    }
                }
            }
        }
    }

    /// Commits where reading continues: the position of the next record of each partition. Waits for the broker's answer.
    /// Partitions that this member no longer has are left out, and the answer is [`Error::NotOwner`]: a late commit would
    /// move back the offset of the member that has them now.
    pub async fn commit(&self, offsets: Vec<Position>) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.blocking("commit", move |consumer| {
            // The lock is not held while the broker is asked: the client library answers a commit only after a rebalance
            // whose callback would wait for it.
            let (mine, others): (Vec<_>, Vec<_>) = {
                let owned = consumer.context().owned();
                offsets.into_iter().partition(|at| owned.contains(&at.place()))
            };
            let mut list = TopicPartitionList::new();
            for Position { topic, partition, offset } in &mine {
                let added = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
                added.map_err(|e| Error::from_kafka("commit", topic, &e))?;
            }
            if !mine.is_empty() {
                consumer.commit(&list, CommitMode::Sync).map_err(|e| Error::from_kafka("commit", "", &e))?;
            }
            match others.first() {
                None => Ok(()),
                Some(Position { topic, partition, .. }) => {
                    let reason = format!("{topic}/{partition} was given to others; its offset was not committed");
                    Err(Error::NotOwner { operation: "commit", reason })
                }
            }
        })
        .await
    }

    /// Stops fetching these partitions. Records fetched before may still come.
    pub fn pause(&self, partitions: &[Partition]) {
        // A member whose thread has ended fetches nothing anyway.
        self.commands.send(Command::Pause(partitions.to_vec())).ok();
    }

    /// Resumes fetching these partitions.
    pub fn resume(&self, partitions: &[Partition]) {
        self.commands.send(Command::Resume(partitions.to_vec())).ok();
    }

    /// Continues the partition at the offset; records fetched before are dropped.
    pub async fn seek(&self, to: &Position) -> Result<(), Error> {
        self.seeking(to, Some(Duration::from_millis(REQUEST_WAIT_MS_MAX)), false).await
    }

    /// Starts the partition at the offset and lets it flow. The request is sent at once; the answer comes when it is done
    /// or when the partition is taken away. The member's own thread does it, and that thread is blocked while a
    /// revocation waits for its guard: a holder of guards must not wait for this answer.
    pub fn begin_at(&self, from: &Position) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.seeking(from, None, true)
    }

    fn seeking(
        &self,
        to: &Position,
        wait: Option<Duration>,
        flow: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        // A member whose thread has ended drops the reply's sender.
        self.commands.send(Command::Seek { at: to.place(), offset: to.offset, wait, flow, reply }).ok();
        async move { answer.await.unwrap_or(Err(Error::Closed { operation: "seek" })) }
    }

    /// The group's committed next offsets.
    pub async fn committed(&self, partitions: &[Partition]) -> Result<Vec<(Partition, Option<i64>)>, Error> {
        let list = list_of(partitions);
        self.blocking("committed", move |consumer| {
            let found = consumer.committed_offsets(list, Duration::from_millis(REQUEST_WAIT_MS_MAX));
            let found = found.map_err(|e| Error::from_kafka("committed", "", &e))?;
            let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
            let elements = found.elements();
            Ok(elements.iter().map(|at| ((at.topic().to_owned(), at.partition()), offset(at.offset()))).collect())
        })
        .await
    }

    /// (oldest offset, end) of a partition. With `ReadCommitted` the end is the last stable one.
    pub async fn watermarks(&self, topic: &str, partition: i32) -> Result<(i64, i64), Error> {
        let topic = topic.to_owned();
        self.blocking("watermarks", move |consumer| watermarks(consumer, &topic, partition)).await
    }

    /// Leaves the group, so that others take over at once. Commit first. Waits for the broker for a bounded time.
    pub async fn leave(self) {
        let Self { consumer, events, batches, commands, ended, .. } = self;
        consumer.context().leaving.store(true, Ordering::Release);
        // The member's thread must hold the last reference: dropping it is what leaves the group.
        drop((consumer, events, batches, commands));
        if tokio::time::timeout(Duration::from_millis(LEAVE_WAIT_MS_MAX), ended).await.is_err() {
            tracing::warn!("the leave was not confirmed in time; the broker ends the session after its timeout");
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&BaseConsumer<Membership>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let consumer = Arc::clone(&self.consumer);
        let called = tokio::task::spawn_blocking(move || call(&consumer)).await;
        called.map_err(|_| Error::Closed { operation })?
    }
}

fn list_of(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}
