//! The queue to the member: what is fetched waits there, and fetching pauses while it is full.

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use tokio::sync::mpsc::error::TrySendError;

use super::{Member, POLL};
use crate::group::epochs::Batch;
use crate::group::{GroupEvent, Partition, list_of};
use crate::{Error, Record};

/// How often a full queue is tried again.
const FULL_POLL: Duration = Duration::from_millis(1);
/// How long a queue may be full before fetching is paused; for shorter times fetching again costs more.
const FULL_MAX: Duration = Duration::from_millis(250);

impl Member {
    pub(super) fn hand_over(&mut self, batch: Batch, since: Instant) {
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
    pub(super) fn hold_back(&mut self) {
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
    pub(super) fn go_on(&mut self) {
        let context = self.consumer.context();
        let paused = std::mem::take(&mut *context.full());
        if paused.is_empty() {
            return;
        }
        let held = context.held().clone();
        let flows = |at: &Partition| context.epochs.has(at) && !held.contains(at) && !self.stopped.holds(at);
        let wanted: Vec<_> = paused.into_iter().filter(flows).collect();
        self.consumer.resume(&list_of(&wanted)).ok();
    }

    pub(super) fn pause(&self, partitions: Vec<Partition>) {
        let context = self.consumer.context();
        let here: Vec<_> = partitions.into_iter().filter(|at| context.epochs.has(at)).collect();
        if let Err(error) = self.consumer.pause(&list_of(&here)) {
            context.tell(GroupEvent::Failed(Error::from_kafka("pause", "", &error)));
        }
        context.held().extend(here);
    }

    pub(super) fn resume(&self, partitions: Vec<Partition>) {
        let context = self.consumer.context();
        let here: Vec<_> = partitions.into_iter().filter(|at| context.held().remove(at)).collect();
        self.release(&here);
    }

    /// Lets partitions flow that nothing else holds.
    pub(super) fn release(&self, partitions: &[Partition]) {
        let context = self.consumer.context();
        let holds = |at: &&Partition| context.held().contains(*at) || self.stopped.holds(at) || !context.epochs.has(at);
        let free: Vec<_> = partitions.iter().filter(|at| !holds(at)).cloned().collect();
        // While the queue is full they stay paused, and flow with the others.
        if context.full().is_empty()
            && let Err(error) = self.consumer.resume(&list_of(&free))
        {
            context.tell(GroupEvent::Failed(Error::from_kafka("resume", "", &error)));
        }
    }
}
