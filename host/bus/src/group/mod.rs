//! A member of a consumer group.

mod epochs;
mod explain;
mod member;
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
use crate::{BusConfig, Error, Isolation, Record};
use epochs::Batch;
use member::Command;
use rebalance::Membership;

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
    /// whole session after every end, also after [`GroupConsumer::leave`]: only for members that always come back. Two
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

    fn settings(&self) -> Vec<(&'static str, String)> {
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

/// What happens to a member.
#[derive(Debug)]
pub enum GroupEvent {
    /// Partitions newly assigned to this member; empty when the group has more members than partitions.
    Assigned(Vec<Partition>),
    /// These partitions are being taken away; no record of them follows. Finish, commit, then drop the guard.
    Revoked {
        /// The partitions.
        partitions: Vec<Partition>,
        /// They already belong to others: a commit is refused.
        lost: bool,
        /// The rebalance waits, bounded, until this is dropped.
        guard: RevokeGuard,
    },
    /// Records in the order of their partitions; never empty.
    Records(Vec<Record>),
    /// Retention or a deletion removed the records `from..to` before this member read them. Reading continues at `to`:
    /// count, log and record the loss.
    Gap {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The first offset that was not read.
        from: i64,
        /// The oldest offset that is left.
        to: i64,
    },
    /// Something failed. Continue with `next` unless the error is fatal.
    Failed(Error),
}

/// Holds a rebalance until dropped (at most `revoke_wait_ms_max`).
#[derive(Debug)]
pub struct RevokeGuard {
    _release: Sender<()>,
}

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
///             let next = records.iter().map(|record| (record.topic.clone(), record.partition, record.offset + 1));
///             member.commit(next.collect()).await?;
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
        let (commands, ended) = member::start(Arc::clone(&consumer), &options, send)?;
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
                    None => return GroupEvent::Failed(Error::Closed { operation: "next" }),
                }
            }
        }
    }

    /// Commits next offsets: (topic, partition, offset of the next record to read). Waits for the broker's answer.
    /// Partitions that this member no longer has are left out, and the answer is [`Error::NotOwner`]: a late commit would
    /// move back the offset of the member that has them now.
    pub async fn commit(&self, offsets: Vec<(String, i32, i64)>) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.blocking("commit", move |consumer| {
            // The lock is not held while the broker is asked: the client library answers a commit only after a rebalance
            // whose callback would wait for it.
            let (mine, others): (Vec<_>, Vec<_>) = {
                let owned = consumer.context().owned();
                offsets.into_iter().partition(|(topic, partition, _)| owned.contains(&(topic.clone(), *partition)))
            };
            let mut list = TopicPartitionList::new();
            for (topic, partition, offset) in &mine {
                let added = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
                added.map_err(|e| Error::from_kafka("commit", topic, &e))?;
            }
            if !mine.is_empty() {
                consumer.commit(&list, CommitMode::Sync).map_err(|e| Error::from_kafka("commit", "", &e))?;
            }
            match others.first() {
                None => Ok(()),
                Some((topic, partition, _)) => {
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
    pub async fn seek(&self, topic: &str, partition: i32, offset: i64) -> Result<(), Error> {
        let wait = Some(Duration::from_millis(REQUEST_WAIT_MS_MAX));
        self.seeking((topic.to_owned(), partition), offset, wait, false).await
    }

    /// Starts the partition at the offset and lets it flow. The request is sent at once; the answer comes when it is done
    /// or when the partition is taken away. The member's own thread does it, and that thread is blocked while a
    /// revocation waits for its guard: a holder of guards must not wait for this answer.
    pub fn begin_at(
        &self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        self.seeking((topic.to_owned(), partition), offset, None, true)
    }

    fn seeking(
        &self,
        at: Partition,
        offset: i64,
        wait: Option<Duration>,
        flow: bool,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        // A member whose thread has ended drops the reply's sender.
        self.commands.send(Command::Seek { at, offset, wait, flow, reply }).ok();
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
