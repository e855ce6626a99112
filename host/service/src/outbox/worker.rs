//! The task that writes.

use std::collections::BTreeMap;
use std::future::{Ready, ready};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Join, join};
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::Instant;
use unrip_bus::{BusConfig, Delivery, Error, Position, Producer};

use super::lane::{Blocked, Lane};
use super::{Entry, Refused};
use crate::bus_watch::BusWatch;
use crate::health::Condition;
use crate::metrics::{Counter, CounterBy};
use crate::run::Context;

/// Before a topic that takes no records is tried again, and before a new producer is made.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Without an acknowledgement for this long, the broker is probed.
const SUSPECT_AFTER: Duration = Duration::from_secs(2);

type Sent = Join<Ready<(u64, Entry)>, Delivery>;

pub(super) struct Worker {
    bus: BusConfig,
    watch: BusWatch,
    outputs: Condition,
    /// Absent from a fatal error until the next one is made.
    producer: Option<Producer>,
    sent: FuturesUnordered<Sent>,
    lanes: BTreeMap<String, Lane<Entry>>,
    /// Numbers the records in the order in which they came.
    next: u64,
    retry_at: Option<Instant>,
    progress_at: Instant,
    produced: CounterBy,
    repeated: Counter,
    remade: Counter,
}

impl Worker {
    pub(super) fn new(bus: &BusConfig, watch: &BusWatch, producer: Producer, context: &Context) -> Self {
        let outputs = context.health.condition("outputs", "");
        outputs.met();
        let metrics = &context.metrics;
        Self {
            bus: bus.clone(),
            watch: watch.clone(),
            outputs,
            producer: Some(producer),
            sent: FuturesUnordered::new(),
            lanes: BTreeMap::new(),
            next: 0,
            retry_at: None,
            progress_at: Instant::now(),
            produced: metrics.counter_by("unrip_records_produced_total", "Records acknowledged, by topic.", "topic"),
            repeated: metrics.counter("unrip_records_repeated_total", "Records that had to be written again."),
            remade: metrics.counter("unrip_producers_remade_total", "Producers made after one failed for good."),
        }
    }

    /// Until the outbox is dropped and everything is acknowledged or handed back.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Entry>) {
        let mut open = true;
        while open || !self.sent.is_empty() || self.lanes.values().any(Lane::is_waiting) {
            let retry_at = self.retry_at;
            tokio::select! {
                biased;
                Some(((number, entry), result)) = self.sent.next(), if !self.sent.is_empty() => {
                    self.settle(number, entry, result).await;
                }
                () = sleep_until(retry_at) => self.retry().await,
                () = tokio::time::sleep_until(self.progress_at + SUSPECT_AFTER), if !self.sent.is_empty() => self.suspect(),
                entry = queue.recv(), if open => match entry {
                    Some(entry) => self.take(entry).await,
                    None => open = false,
                },
            }
        }
    }

    async fn take(&mut self, entry: Entry) {
        let number = self.next;
        self.next += 1;
        let lane = self.lane(&entry.record.topic);
        if lane.must_wait() || self.producer.is_none() {
            self.lane(&entry.record.topic).wait(number, entry);
        } else {
            self.write(number, entry).await;
        }
    }

    async fn write(&mut self, number: u64, entry: Entry) {
        let Some(producer) = &self.producer else { return self.lane(&entry.record.topic).wait(number, entry) };
        // The copy is what is written again if the broker does not take the first.
        match producer.enqueue(entry.record.clone()).await {
            Ok(delivery) => {
                if self.sent.is_empty() {
                    self.progress_at = Instant::now();
                }
                self.lane(&entry.record.topic).in_flight += 1;
                self.sent.push(join(ready((number, entry)), delivery));
            }
            Err(error) => self.failed(number, entry, error),
        }
    }

    async fn settle(&mut self, number: u64, entry: Entry, result: Result<Position, Error>) {
        let lane = self.lane(&entry.record.topic);
        lane.in_flight = lane.in_flight.saturating_sub(1);
        match result {
            Ok(position) => {
                self.progress_at = Instant::now();
                self.produced.inc(&position.topic);
                if self.lane(&position.topic).unblock() {
                    tracing::info!(topic = position.topic, "the topic takes records again");
                    self.show();
                    self.release(&entry.record.topic).await;
                }
                // A receipt that was dropped is not needed.
                let _ = entry.reply.send(Ok(position));
            }
            Err(error) => self.failed(number, entry, error),
        }
    }

    fn failed(&mut self, number: u64, entry: Entry, error: Error) {
        let operators = match &error {
            Error::Refused { .. } | Error::Configuration { .. } => {
                let Entry { record, reply, .. } = entry;
                // A receipt that was dropped is not needed.
                let _ = reply.send(Err(Refused { record, error }));
                return;
            }
            Error::MissingTopic { .. } | Error::Denied { .. } => true,
            _ => false,
        };
        self.repeated.inc();
        self.retry_at.get_or_insert_with(|| Instant::now() + RETRY_PAUSE);
        if error.is_fatal() {
            self.drop_producer(&error);
        } else {
            let blocked = Blocked { reason: error.to_string(), operators };
            if self.lane(&entry.record.topic).block(blocked) && operators {
                tracing::warn!(topic = entry.record.topic, %error, "cannot write to the topic; retrying");
            }
            if !operators {
                self.watch.suspect(&error);
            }
        }
        self.lane(&entry.record.topic).wait(number, entry);
        self.show();
    }

    /// The next one is made when this one has given up everything that it still had.
    fn drop_producer(&mut self, error: &Error) {
        let Some(producer) = self.producer.take() else { return };
        tracing::error!(%error, "the producer failed for good; making a new one and writing again what it did not");
        self.watch.suspect(error);
        // Dropping waits for the client's threads.
        tokio::task::spawn_blocking(move || drop(producer));
    }

    async fn retry(&mut self) {
        self.retry_at = None;
        if self.producer.is_none() && self.sent.is_empty() {
            match Producer::new(&self.bus) {
                Ok(producer) => {
                    self.remade.inc();
                    self.producer = Some(producer);
                }
                Err(error) => tracing::error!(%error, "cannot make a producer; retrying"),
            }
        }
        if self.producer.is_some() {
            let topics: Vec<String> = self.lanes.keys().cloned().collect();
            for topic in topics {
                self.release(&topic).await;
            }
        }
        if self.producer.is_none() || self.lanes.values().any(|lane| lane.blocked().is_some()) {
            self.retry_at = Some(Instant::now() + RETRY_PAUSE);
        }
    }

    /// Writes what waits for the topic, as far as it takes records.
    async fn release(&mut self, topic: &str) {
        while self.producer.is_some()
            && let Some((number, entry)) = self.lane(topic).next()
        {
            let failures = self.repeated.get();
            self.write(number, entry).await;
            if self.repeated.get() > failures {
                return;
            }
        }
    }

    fn suspect(&mut self) {
        self.progress_at = Instant::now();
        self.watch.suspect(&Error::Retriable { operation: "produce", reason: "no acknowledgement yet".to_owned() });
    }

    fn show(&self) {
        let blocked = self.lanes.values().filter_map(Lane::blocked);
        match blocked.filter(|blocked| blocked.operators).map(|blocked| blocked.reason.as_str()).next() {
            Some(reason) => self.outputs.missing(reason),
            None => self.outputs.met(),
        }
    }

    fn lane(&mut self, topic: &str) -> &mut Lane<Entry> {
        self.lanes.entry(topic.to_owned()).or_default()
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
