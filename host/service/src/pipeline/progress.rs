//! Whether the loop gets on: the age of the batch in hand, and how far the partitions are behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use unrip_bus::{BusConfig, Isolation, LogReader, Partition};

use crate::health::Condition;
use crate::metrics::{Gauge, GaugeByTwo};
use crate::run::Context;

/// Between two looks at the batch in hand.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Looks at the batch between two looks at the lag, which cost a request per partition.
const LOOKS_PER_LAG: u32 = 10;
/// How long the ends of all partitions may take to be asked for; the others keep their last value.
const LAG_WAIT: Duration = Duration::from_secs(5);

/// What the loop tells of itself. The task that watches it ends with it.
pub(super) struct Progress {
    shared: Arc<Shared>,
    _watch: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    batch_since: Option<Instant>,
    /// The next offset of each assigned partition; none while nothing was read or committed.
    next: BTreeMap<Partition, Option<i64>>,
}

struct Watch {
    shared: Arc<Shared>,
    bus: BusConfig,
    age_max: Duration,
    progress: Condition,
    age: Gauge,
    lag: GaugeByTwo,
    shown: Vec<Partition>,
}

impl Progress {
    /// Watches from now on: the condition `progress` is missing while a batch is older than `age_max`.
    pub(super) fn start(bus: &BusConfig, age_max: Duration, context: &Context) -> Self {
        let progress = context.health.condition("progress", "");
        progress.met();
        let shared = Arc::<Shared>::default();
        let metrics = &context.metrics;
        let watch = Watch {
            shared: Arc::clone(&shared),
            bus: bus.clone(),
            age_max,
            progress,
            age: metrics.gauge("unrip_batch_age_seconds", "Since the batch in hand was read; 0 between batches."),
            lag: metrics.gauge_by_two(
                "unrip_partition_lag_records",
                "Records in a partition that are not finished.",
                ["topic", "partition"],
            ),
            shown: Vec::new(),
        };
        Self { shared, _watch: AbortOnDropHandle::new(tokio::spawn(watch.run())) }
    }

    /// A batch is in hand since then; none between batches.
    pub(super) fn batch(&self, since: Option<Instant>) {
        self.shared.lock().batch_since = since;
    }

    /// These partitions are this member's, to be read from there.
    pub(super) fn assigned(&self, partitions: impl IntoIterator<Item = (Partition, Option<i64>)>) {
        self.shared.lock().next.extend(partitions);
    }

    /// The partition is finished up to this offset.
    pub(super) fn finished(&self, partition: &Partition, next: i64) {
        if let Some(known) = self.shared.lock().next.get_mut(partition) {
            *known = Some(next);
        }
    }

    /// These partitions are another member's.
    pub(super) fn revoked(&self, partitions: &[Partition]) {
        let mut state = self.shared.lock();
        state.next.retain(|partition, _| !partitions.contains(partition));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    async fn run(mut self) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut count, mut reader) = (0, None);
        loop {
            looks.tick().await;
            self.look();
            count += 1;
            if count % LOOKS_PER_LAG == 0 {
                // A broker that is away is logged by those who read and write.
                let _ = tokio::time::timeout(LAG_WAIT, self.look_at_lag(&mut reader)).await;
            }
        }
    }

    fn look(&self) {
        let age = self.shared.lock().batch_since.map(|since| since.elapsed()).unwrap_or_default();
        self.age.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        if age > self.age_max {
            self.progress.missing(&format!(
                "a batch has been in hand for {} s (pipeline.batch_age_ms_max is {})",
                age.as_secs(),
                self.age_max.as_millis()
            ));
        } else {
            self.progress.met();
        }
    }

    async fn look_at_lag(&mut self, reader: &mut Option<LogReader>) {
        let next = self.shared.lock().next.clone();
        for (topic, partition) in self.shown.drain(..).filter(|partition| !next.contains_key(partition)) {
            self.lag.remove(&topic, &partition.to_string());
        }
        self.shown = next.keys().cloned().collect();
        if reader.is_none() {
            *reader = LogReader::open(&self.bus, Vec::new(), Isolation::ReadCommitted).ok();
        }
        let Some(reader) = reader else { return };
        for ((topic, partition), next) in next {
            if let Ok((low, end)) = reader.watermarks(&topic, partition).await {
                let lag = end - next.unwrap_or(low).max(low);
                self.lag.set(&topic, &partition.to_string(), lag.max(0));
            }
        }
    }
}
