//! Stopping in order: take nothing new, finish or leave in doubt, publish, commit, leave the group.

use std::time::Duration;

use tokio::sync::mpsc;
use unrip_protocol::partition::Event;
use unrip_service::RunError;

use crate::points::{Point, reach};
use crate::runtime::Input;
use crate::runtime::assignment::are_drained;
use crate::runtime::executor::{Executor, TICK};
use crate::runtime::retry::state_error;
use crate::venue::VenueEvent;

impl Executor {
    /// Finishes what is in flight or leaves it in doubt, publishes, commits, leaves.
    pub(crate) async fn stop(
        mut self,
        inputs: &mut mpsc::Receiver<Input>,
        heard: &mut mpsc::Receiver<VenueEvent>,
    ) -> Result<(), RunError> {
        tracing::info!("draining");
        reach(Point::DrainBegin);
        let partitions: Vec<i32> = self.partitions.keys().copied().collect();
        for partition in &partitions {
            self.step(*partition, Event::Revoked)?;
        }
        let drain = Duration::from_millis(self.config.execute.drain_timeout_ms);
        let deadline = tokio::time::Instant::now() + drain;
        let mut tick = tokio::time::interval(TICK);
        while !(are_drained(&self.partitions, &partitions) && self.is_published()?) {
            tokio::select! {
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!("the drain took too long; the rest is left in doubt for the next owner");
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
        self.membership.commit().await;
        self.publishers.stop();
        self.membership.leave().await;
        self.journal.flush(drain).await
    }

    /// Whether every outcome of our partitions is published.
    fn is_published(&self) -> Result<bool, RunError> {
        let venue = self.config.service.venue.as_str();
        for (partition, _) in self.partitions.iter().filter(|(_, state)| state.publisher.is_some()) {
            let waiting = self.store.view(*partition).and_then(|view| view.unpublished(venue, 1));
            if !waiting.map_err(state_error)?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
