//! Stopping in order: take nothing new, finish or leave in doubt, publish, commit, leave the group.

use std::time::Duration;

use tokio::sync::mpsc;
use unrip_service::RunError;

use crate::journal::tail::{state, unavailable};
use crate::points::{Point, reach};
use crate::runtime::Input;
use crate::runtime::executor::{Service, TICK};
use crate::venue::Heard;
use unrip_protocol::partition::Event;

/// How long leaving the group may take.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

impl Service {
    /// Finishes what is in flight or leaves it in doubt, publishes, commits, leaves.
    pub(crate) async fn stop(
        mut self,
        inputs: &mut mpsc::Receiver<Input>,
        heard: &mut mpsc::Receiver<Heard>,
    ) -> Result<(), RunError> {
        tracing::info!("draining");
        reach(Point::DrainBegin);
        let partitions: Vec<i32> = self.slots.keys().copied().collect();
        for partition in &partitions {
            self.step(*partition, Event::Revoked)?;
        }
        let drain = Duration::from_millis(self.config.execute.drain_timeout_ms);
        let deadline = tokio::time::Instant::now() + drain;
        let mut tick = tokio::time::interval(TICK);
        while !(self.drained(&partitions) && self.is_published(&partitions)?) {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!("the drain took too long: the rest is left in doubt for the next owner");
                    break;
                }
                Some(input) = inputs.recv() => self.input(input)?,
                Some(heard) = heard.recv() => self.heard(heard)?,
                _ = tick.tick() => {
                    for partition in &partitions {
                        self.step(*partition, Event::Tick)?;
                    }
                }
            }
        }
        reach(Point::DrainEnd);
        self.commit().await;
        self.stop_publishers.cancel();
        self.leave().await;
        self.producer.flush(drain).await.map_err(unavailable)
    }

    fn is_published(&self, partitions: &[i32]) -> Result<bool, RunError> {
        for partition in partitions {
            let ours = self.slots.get(partition).is_some_and(|slot| slot.publisher.is_some());
            if ours
                && !self
                    .store
                    .view(*partition)
                    .and_then(|view| view.unpublished(&self.maker.venue, 1))
                    .map_err(state)?
                    .is_empty()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) async fn leave(&mut self) {
        let Some(group) = self.group.take() else { return };
        // The member's thread may stand in a revocation: it cannot leave before that is let go.
        self.leaving.clear();
        if tokio::time::timeout(LEAVE_WAIT, group.leave()).await.is_err() {
            tracing::warn!("leaving the group takes too long; the broker will notice");
        }
    }
}
