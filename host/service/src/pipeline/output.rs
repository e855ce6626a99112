//! Writing a batch's outputs: all of them, in order, until each is acknowledged.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use unrip_bus::{BusConfig, Delivery, Error, Outgoing, Producer};

use super::meters::Meters;
use crate::bus_watch::BusWatch;
use crate::run::RunError;

/// Between two tries while records cannot be written.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Acknowledgements that take longer make the broker suspect.
const SUSPECT_AFTER: Duration = Duration::from_secs(2);
/// How long acknowledgements are awaited once the service should stop. What is not acknowledged then is not committed.
const DRAIN_WAIT: Duration = Duration::from_secs(5);

/// A record to write and the input (its place in the batch) that led to it.
#[derive(Clone, Debug)]
pub(super) struct Output {
    pub(super) input: usize,
    pub(super) record: Outgoing,
    pub(super) dead_letter: bool,
}

/// How writing a batch ended.
#[derive(Debug)]
pub(super) enum Written {
    /// Everything is acknowledged, but for these, which the broker will never take.
    All(Vec<(Output, Error)>),
    /// The service should stop, and not everything is acknowledged.
    Stopped,
}

pub(super) struct Writer {
    bus: BusConfig,
    producer: Producer,
    watch: BusWatch,
    shutdown: CancellationToken,
}

impl Writer {
    pub(super) fn new(bus: &BusConfig, watch: &BusWatch, shutdown: &CancellationToken) -> Result<Self, RunError> {
        let producer = Producer::new(bus).map_err(|error| RunError::Config(error.to_string()))?;
        Ok(Self { bus: bus.clone(), producer, watch: watch.clone(), shutdown: shutdown.clone() })
    }

    /// Writes and waits. What fails in passing is written again: its ids make the repeat recognisable.
    pub(super) async fn write(&mut self, mut outputs: Vec<Output>, meters: &Meters) -> Written {
        let mut refused = Vec::new();
        while !outputs.is_empty() {
            let Some(failed) = self.write_once(outputs, meters).await else { return Written::Stopped };
            outputs = Vec::new();
            let mut renew = false;
            for (output, error) in failed {
                match error {
                    Error::Refused { .. } | Error::Configuration { .. } => refused.push((output, error)),
                    error => {
                        renew |= error.is_fatal();
                        self.watch.suspect(&error);
                        outputs.push(output);
                    }
                }
            }
            if !outputs.is_empty() && !self.pause(outputs.len(), renew, meters).await {
                return Written::Stopped;
            }
        }
        Written::All(refused)
    }

    /// What was not acknowledged, and why; `None` if the service should stop before all is known.
    async fn write_once(&self, outputs: Vec<Output>, meters: &Meters) -> Option<Vec<(Output, Error)>> {
        let work = async {
            let mut queued: Vec<(Output, Result<Delivery, Error>)> = Vec::with_capacity(outputs.len());
            for output in outputs {
                let delivery = self.producer.enqueue(output.record.clone()).await;
                queued.push((output, delivery));
            }
            let mut failed = Vec::new();
            for (output, delivery) in queued {
                let acknowledged = match delivery {
                    Ok(delivery) => delivery.await,
                    Err(error) => Err(error),
                };
                match acknowledged {
                    Ok(position) => meters.produced(&position.topic),
                    Err(error) => failed.push((output, error)),
                }
            }
            failed
        };
        tokio::pin!(work);
        let stop = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(DRAIN_WAIT).await;
        };
        tokio::pin!(stop);
        loop {
            tokio::select! {
                failed = &mut work => return Some(failed),
                () = &mut stop => return None,
                () = tokio::time::sleep(SUSPECT_AFTER) => self.watch.suspect(&Error::Retriable {
                    operation: "produce",
                    reason: "no acknowledgement yet".to_owned(),
                }),
            }
        }
    }

    /// Waits before the next try; `false` if the service should stop.
    async fn pause(&mut self, records: usize, renew: bool, meters: &Meters) -> bool {
        meters.failed(records);
        if self.shutdown.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await.is_none() {
            return false;
        }
        if renew {
            match Producer::new(&self.bus) {
                Ok(producer) => self.producer = producer,
                Err(error) => tracing::warn!(%error, "no new producer yet"),
            }
        }
        true
    }
}
