//! The loop itself: one batch at a time, so that order and commit safety need no bookkeeping in flight.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use unrip_bus::{GroupConsumer, GroupEvent, Partition, Record};

use super::fatal::Judge;
use super::hold::Holds;
use super::meters::Meters;
use super::progress::Progress;
use super::reading::Reading;
use super::stage::Stage;
use super::{Setup, membership, topics};
use crate::bus_watch::BusWatch;
use crate::health::Condition;
use crate::outbox::{Outbox, OutboxLimits};
use crate::repeats::Repeats;
use crate::run::{Context, RunError};

/// Outputs that may wait for their acknowledgement, in bytes: what one batch can make the host hold.
const OUTPUT_BYTES_MAX: usize = 8 * 1_024 * 1_024;
/// Outputs that may wait for their acknowledgement.
const OUTPUT_RECORDS_MAX: usize = 16_384;
/// How long acknowledgements are awaited once the service should stop. What is not acknowledged then is not committed.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Flow<S: Stage> {
    pub(super) setup: Setup,
    pub(super) context: Context,
    pub(super) watch: BusWatch,
    pub(super) assigned: Condition,
    pub(super) meters: Meters,
    pub(super) dead_letter_lines: Repeats,
    pub(super) progress: Progress,
    pub(super) consumer: GroupConsumer,
    pub(super) outbox: Outbox,
    pub(super) stage: S,
    pub(super) judge: Judge<S::Input>,
    /// Finished and acknowledged, not committed yet: the next offset of each partition.
    pub(super) finished: BTreeMap<Partition, i64>,
    pub(super) commit_at: Option<Instant>,
    pub(super) holds: Holds,
    pub(super) reading: Reading,
    /// Cancelled a while after the service was asked to stop: nothing is awaited any more.
    pub(super) give_up: CancellationToken,
    _give_up: AbortOnDropHandle<()>,
}

impl<S: Stage> Flow<S> {
    pub(super) async fn start(setup: Setup, stage: S, context: &Context) -> Result<Self, RunError> {
        let assigned = context.health.condition("partitions", "none assigned yet");
        let watch = BusWatch::start(&setup.bus, &context.health, &context.shutdown);
        let limits = OutboxLimits { records_max: OUTPUT_RECORDS_MAX, bytes_max: OUTPUT_BYTES_MAX };
        let outbox = Outbox::start(&setup.bus, &watch, limits, context)?;
        let age_max = Duration::from_millis(setup.options.batch_age_ms_max);
        let progress = Progress::start(&setup.bus, age_max, context);
        // Asked to stop meanwhile: the loop sees it at once.
        if watch.reached_at_start(setup.start_timeout_ms).await? {
            topics::wait(&setup, &watch, context).await?;
        }
        let reading = Reading::new(&context.health);
        context.health.started();
        let consumer = membership::join(&setup).map_err(|error| RunError::Config(error.to_string()))?;
        let give_up = CancellationToken::new();
        let (shutdown, expired) = (context.shutdown.clone(), give_up.clone());
        let drain = tokio::spawn(async move {
            shutdown.cancelled().await;
            tokio::time::sleep(DRAIN_WAIT).await;
            expired.cancel();
        });
        Ok(Self {
            meters: Meters::new(&context.metrics),
            dead_letter_lines: Repeats::default(),
            context: context.clone(),
            setup,
            watch,
            assigned,
            progress,
            consumer,
            outbox,
            stage,
            judge: Judge::default(),
            finished: BTreeMap::new(),
            commit_at: None,
            holds: Holds::default(),
            reading,
            give_up,
            _give_up: AbortOnDropHandle::new(drain),
        })
    }

    /// However it ends, what was acknowledged is committed and the group left.
    pub(super) async fn run(mut self) -> Result<(), RunError> {
        let ended = self.until_stopped().await;
        self.stop().await;
        ended
    }

    async fn until_stopped(&mut self) -> Result<(), RunError> {
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
                Some(other) => self.membership(other).await?,
                None => {}
            }
            self.timers().await;
        }
        Ok(())
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
}

pub(super) fn place(record: &Record) -> Partition {
    (record.topic.clone(), record.partition)
}
