//! The loop itself: one batch at a time, so that order and commit safety need no bookkeeping in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;
use unrip_bus::{Error, GroupConsumer, GroupEvent, GroupOptions, Partition, Record};

use super::hold::Holds;
use super::meters::Meters;
use super::output::{Output, Writer, Written};
use super::{Setup, Step, Transform};
use crate::bus_watch::BusWatch;
use crate::dead_letter::{self, Reason};
use crate::health::Condition;
use crate::run::{Context, RunError};

/// How long the last commit and leaving the group may take.
const STOP_WAIT: Duration = Duration::from_secs(5);
/// How long one commit may take; the next one carries its offsets too.
const COMMIT_WAIT: Duration = Duration::from_secs(3);
/// Before the group is joined anew after a final error of the consumer.
const REJOIN_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Flow {
    setup: Setup,
    context: Context,
    watch: BusWatch,
    assigned: Condition,
    meters: Meters,
    consumer: GroupConsumer,
    writer: Writer,
    /// Away only while a batch is with it.
    transform: Option<Box<dyn Transform>>,
    /// Finished and acknowledged, not committed yet: the next offset of each partition.
    finished: BTreeMap<Partition, i64>,
    commit_at: Option<Instant>,
    holds: Holds,
}

/// A batch after its transformation: what to write, and how far each partition is done when that is acknowledged.
#[derive(Default)]
struct Plan {
    outputs: Vec<Output>,
    done: BTreeMap<Partition, i64>,
    held: BTreeMap<Partition, i64>,
}

impl Flow {
    pub(super) async fn start(
        setup: Setup,
        transform: Box<dyn Transform>,
        context: &Context,
    ) -> Result<Self, RunError> {
        let watch = BusWatch::start(&setup.bus, &context.health, &context.shutdown);
        let assigned = context.health.condition("partitions", "none assigned yet");
        let writer = Writer::new(&setup.bus, &watch, &context.shutdown)?;
        let consumer = join(&setup).map_err(|error| RunError::Config(error.to_string()))?;
        // Asked to stop before that: the loop sees it at once.
        watch.reached_at_start(setup.start_timeout_ms).await?;
        Ok(Self {
            meters: Meters::new(&context.metrics),
            context: context.clone(),
            setup,
            watch,
            assigned,
            consumer,
            writer,
            transform: Some(transform),
            finished: BTreeMap::new(),
            commit_at: None,
            holds: Holds::default(),
        })
    }

    pub(super) async fn go(mut self) -> Result<(), RunError> {
        let shutdown = self.context.shutdown.clone();
        while !shutdown.is_cancelled() {
            let timer = self.commit_at.into_iter().chain(self.holds.next_release()).min();
            let timer_over = async {
                match timer {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                () = shutdown.cancelled() => None,
                event = self.consumer.next() => Some(event),
                () = timer_over => None,
            };
            match event {
                Some(GroupEvent::Records(records)) => self.batch(records).await?,
                Some(other) => self.membership(other).await,
                None => {}
            }
            self.timers().await;
        }
        self.stop().await;
        Ok(())
    }

    async fn membership(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Assigned(partitions) => {
                self.assigned.met();
                tracing::info!(partitions = %names(&partitions), "partitions assigned");
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
                }
                drop(guard);
            }
            GroupEvent::Failed(error) if error.is_fatal() => self.rejoin(&error).await,
            GroupEvent::Failed(error) => {
                if matches!(error, Error::MissingTopic { .. }) {
                    self.assigned.missing(&error.to_string());
                }
                self.watch.suspect(&error);
            }
            GroupEvent::Gap { topic, partition, from, to } => {
                tracing::error!(topic, partition, from, to, "records were removed before they were read");
            }
            GroupEvent::Records(_) => {}
        }
    }

    async fn batch(&mut self, mut records: Vec<Record>) -> Result<(), RunError> {
        let began = Instant::now();
        records.retain(|record| !self.holds.blocks(&place(record)));
        if records.is_empty() {
            return Ok(());
        }
        let (records, steps) = self.transform(records).await?;
        let plan = self.plan(&records, steps, began);
        let Written::All(refused) = self.writer.write(plan.outputs, &self.meters).await else { return Ok(()) };
        if !self.bury(&records, refused).await? {
            return Ok(());
        }
        self.meters.batch(began.elapsed());
        for record in
            records.iter().filter(|record| plan.done.get(&place(record)).is_some_and(|end| record.offset < *end))
        {
            self.meters.consumed(&record.topic);
        }
        if !plan.done.is_empty() {
            let interval = Duration::from_millis(self.setup.options.commit_interval_ms);
            self.commit_at.get_or_insert_with(|| Instant::now() + interval);
        }
        self.finished.extend(plan.done);
        self.wait_at(plan.held).await;
        Ok(())
    }

    async fn transform(&mut self, records: Vec<Record>) -> Result<(Vec<Record>, Vec<Step>), RunError> {
        let gone = || RunError::Software("the transformation of a batch failed".to_owned());
        let mut transform = self.transform.take().ok_or_else(gone)?;
        let work = tokio::task::spawn_blocking(move || {
            let steps = transform.transform(&records);
            (transform, records, steps)
        });
        let (transform, records, steps) = work.await.map_err(|_| gone())?;
        self.transform = Some(transform);
        let steps = steps.map_err(|ended| RunError::Module(ended.to_string()))?;
        if steps.len() != records.len() {
            return Err(RunError::Software(format!("{} steps for {} records", steps.len(), records.len())));
        }
        Ok((records, steps))
    }

    fn plan(&mut self, records: &[Record], steps: Vec<Step>, now: Instant) -> Plan {
        let mut plan = Plan::default();
        for (input, (record, step)) in records.iter().zip(steps).enumerate() {
            let partition = place(record);
            // Order within a partition: nothing passes the record that it waits for.
            if plan.held.contains_key(&partition) {
                continue;
            }
            let (outputs, dead) = match step {
                Step::Done(outputs) => (outputs, None),
                Step::Dead { outputs, code, text } => (outputs, Some((code, text))),
                Step::RetryAfter { ms, code, text } => {
                    self.meters.retry(&code);
                    match self.holds.hold(&partition, record.offset, ms, &self.setup.options, now) {
                        Ok(()) => {
                            tracing::debug!(
                                topic = record.topic,
                                partition = record.partition,
                                offset = record.offset,
                                code,
                                ms,
                                "held"
                            );
                            plan.held.insert(partition, record.offset);
                            continue;
                        }
                        Err(attempts) => {
                            (Vec::new(), Some((code, format!("{text} (given up after {attempts} retries)"))))
                        }
                    }
                }
            };
            plan.outputs.extend(outputs.into_iter().map(|record| Output { input, record, dead_letter: false }));
            if let Some((code, text)) = dead {
                plan.outputs.push(self.dead_letter(input, record, &code, &text));
            }
            self.holds.passed(&partition, record.offset);
            plan.done.insert(partition, record.offset + 1);
        }
        plan
    }

    fn dead_letter(&self, input: usize, record: &Record, code: &str, text: &str) -> Output {
        self.meters.dead(code);
        let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
        tracing::warn!(topic, partition, offset, code, text, "dead letter");
        let (context, setup) = (&self.context, &self.setup);
        let reason = Reason { code, text };
        let letter =
            dead_letter::from_record(record, &setup.group, reason, &setup.venue, context.clock.now(), &context.ids);
        Output { input, record: letter, dead_letter: true }
    }

    /// Dead letters for inputs whose outputs the broker will never take; `false` if the service should stop.
    async fn bury(&mut self, records: &[Record], refused: Vec<(Output, Error)>) -> Result<bool, RunError> {
        let mut letters = Vec::new();
        let mut seen = BTreeSet::new();
        for (output, error) in refused {
            if output.dead_letter {
                return Err(RunError::Unavailable(format!("a dead letter for {}: {error}", output.record.topic)));
            }
            if let Some(record) = records.get(output.input).filter(|_| seen.insert(output.input)) {
                let text = format!("output for {}: {error}", output.record.topic);
                letters.push(self.dead_letter(output.input, record, "output_refused", &text));
            }
        }
        match self.writer.write(letters, &self.meters).await {
            Written::Stopped => Ok(false),
            Written::All(refused) => match refused.first() {
                None => Ok(true),
                Some((letter, error)) => {
                    Err(RunError::Unavailable(format!("a dead letter for {}: {error}", letter.record.topic)))
                }
            },
        }
    }

    /// Stops reading held partitions and puts them back to the record that waits.
    async fn wait_at(&mut self, held: BTreeMap<Partition, i64>) {
        for (partition, offset) in held {
            self.consumer.pause(std::slice::from_ref(&partition));
            if let Err(error) = self.consumer.seek(&partition.0, partition.1, offset).await {
                // Joining anew begins at the committed offsets: repeats, and nothing lost.
                return self.rejoin(&error).await;
            }
        }
    }

    async fn timers(&mut self) {
        let now = Instant::now();
        let released = self.holds.released(now);
        if !released.is_empty() {
            self.consumer.resume(&released);
        }
        if self.commit_at.is_some_and(|at| at <= now) {
            self.commit().await;
        }
    }

    async fn commit(&mut self) {
        self.commit_at = None;
        if self.finished.is_empty() {
            return;
        }
        let offsets =
            self.finished.iter().map(|((topic, partition), next)| (topic.clone(), *partition, *next)).collect();
        let away = || Error::Retriable { operation: "commit", reason: "no answer yet".to_owned() };
        let commit = tokio::time::timeout(COMMIT_WAIT, self.consumer.commit(offsets));
        match commit.await.unwrap_or_else(|_| Err(away())) {
            Ok(()) => self.finished.clear(),
            // Another member does it again: the same ids.
            Err(error @ Error::NotOwner { .. }) => {
                tracing::debug!(%error, "commit");
                self.finished.clear();
            }
            Err(error) => {
                self.watch.suspect(&error);
                let interval = Duration::from_millis(self.setup.options.commit_interval_ms.max(500));
                self.commit_at = Some(Instant::now() + interval);
            }
        }
    }

    async fn rejoin(&mut self, error: &Error) {
        self.assigned.missing(&error.to_string());
        tracing::warn!(%error, "joining the group anew");
        self.finished.clear();
        self.commit_at = None;
        self.holds.clear();
        self.context.shutdown.run_until_cancelled(tokio::time::sleep(REJOIN_PAUSE)).await;
        match join(&self.setup) {
            Ok(consumer) => self.consumer = consumer,
            Err(error) => tracing::warn!(%error, "cannot join"),
        }
    }

    async fn stop(mut self) {
        if tokio::time::timeout(STOP_WAIT, self.commit()).await.is_err() || !self.finished.is_empty() {
            tracing::warn!("the last commit was not confirmed: the next start repeats a little");
        }
        if tokio::time::timeout(STOP_WAIT, self.consumer.leave()).await.is_err() {
            tracing::warn!("leaving the group was not confirmed");
        }
    }
}

fn join(setup: &Setup) -> Result<GroupConsumer, Error> {
    let options = GroupOptions {
        batch_records_max: setup.options.batch_records_max,
        session_timeout_ms: setup.options.session_timeout_ms,
        ..GroupOptions::new(&setup.group, setup.topics.clone())
    };
    GroupConsumer::join(&setup.bus, options)
}

fn place(record: &Record) -> Partition {
    (record.topic.clone(), record.partition)
}

fn names(partitions: &[Partition]) -> String {
    let mut names: Vec<String> = partitions.iter().map(|(topic, partition)| format!("{topic}/{partition}")).collect();
    names.sort();
    names.join(" ")
}
