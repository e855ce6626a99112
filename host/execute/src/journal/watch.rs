//! What may happen to topics under a running executor: cut, recreated, or given more partitions. Seen within seconds;
//! then nothing is dispatched any more and the process ends, and at its next start state and journal are compared.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use unrip_bus::{Admin, BusConfig, Isolation, LogReader};
use unrip_core::topic;
use unrip_service::RunError;

use crate::journal::tail::made_anew;
use crate::runtime::Input;
use crate::runtime::retry::{record_at, state_error, unavailable};
use crate::store::Store;
use unrip_protocol::wire;

/// Pause between two looks at the journal.
const PAUSE: Duration = Duration::from_secs(3);
/// Looks at the journal between two looks at the partition counts.
const COUNT_LOOKS: u32 = 3;

/// Looks at the topics that the executor stands on.
pub struct Watch {
    bus: BusConfig,
    store: Store,
    partitions: i32,
    probe: LogReader,
    admin: Admin,
    looks: u32,
    /// Partitions that ended before their folds at the last look: an end may lag for a moment after an election.
    short: BTreeMap<i32, i64>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// Watches in the background until something is wrong, and ends the loop with it.
pub(crate) fn start(bus: &BusConfig, store: &Store, count: i32, failed: mpsc::Sender<Input>) -> Result<(), RunError> {
    let mut watch = Watch::new(bus, store, count)?;
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Err(error) = watch.look().await {
                // The loop is gone: so is the service.
                let _ = failed.send(Input::Failed(error)).await;
                return;
            }
        }
    });
    Ok(())
}

impl Watch {
    /// Needs no broker yet.
    ///
    /// # Errors
    /// A setting of the bus is wrong.
    pub fn new(bus: &BusConfig, store: &Store, partitions: i32) -> Result<Self, RunError> {
        Ok(Self {
            bus: bus.clone(),
            store: store.clone(),
            partitions,
            probe: LogReader::open(bus, Vec::new(), Isolation::ReadUncommitted).map_err(unavailable)?,
            admin: Admin::new(bus).map_err(unavailable)?,
            looks: 0,
            short: BTreeMap::new(),
        })
    }

    /// One look.
    ///
    /// # Errors
    /// What happened: state (74) where the journal is not the one that was folded, configuration (64) where partition
    /// counts changed, unavailable (69) where a topic is gone. A broker that is away is no error.
    pub async fn look(&mut self) -> Result<(), RunError> {
        self.looks = self.looks.wrapping_add(1);
        if self.looks % COUNT_LOOKS == 1 {
            self.counts().await?;
        }
        for partition in 0..self.partitions {
            let fold = self.store.view(partition).and_then(|view| view.checkpoint()).map_err(state_error)?;
            let Some(fold) = fold else { continue };
            let (low, high) = match self.probe.watermarks(topic::JOURNAL, partition).await {
                Ok(found) => found,
                Err(error) if error.is_retriable() => return Ok(()),
                Err(error) => return Err(unavailable(error)),
            };
            if high < fold.next_offset {
                if self.short.insert(partition, high).is_some() {
                    return Err(cut(partition, high, fold.next_offset));
                }
                continue;
            }
            self.short.remove(&partition);
            // All partitions are recreated together: one of them is looked at each time.
            let is_next = i64::from(partition) == i64::from(self.looks) % i64::from(self.partitions.max(1));
            if let (true, 0, true, Some(known)) = (is_next, low, high > 0, fold.journal_id) {
                let first = record_at(&self.bus, topic::JOURNAL, partition, 0).await?;
                let found = first.and_then(|record| wire::read(record.offset, record.value).journal_id);
                if let Some(found) = found.filter(|found| *found != known) {
                    return Err(made_anew(partition, known, found));
                }
            }
        }
        Ok(())
    }

    async fn counts(&self) -> Result<(), RunError> {
        for name in topic::PARTITIONED {
            let found = match self.admin.describe(name).await {
                Ok(found) => found,
                Err(error) if error.is_retriable() => return Ok(()),
                Err(error) => return Err(unavailable(error)),
            };
            match found {
                None => {
                    return Err(RunError::Unavailable(format!(
                        "topic {name} is gone; run `unrip topics ensure` and start again"
                    )));
                }
                Some(found) if found.partitions != self.partitions => {
                    return Err(RunError::Config(format!(
                        "topic {name} has {} partitions now and had {} at start: keys lie elsewhere than their history. \
                         Nothing is dispatched. Stop all services, delete the topics concerned, run `unrip topics ensure`",
                        found.partitions, self.partitions
                    )));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn cut(partition: i32, high: i64, next: i64) -> RunError {
    RunError::State(format!(
        "{}/{partition} ends at {high} and was read up to {next} before: records are lost. Nothing is dispatched; start \
         again: the state is then compared with the journal, and what is lost is named",
        topic::JOURNAL
    ))
}
