//! Starts a publisher for each partition of ours, and ends them together.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use unrip_bus::{BusConfig, Producer};
use unrip_service::clock::Clock;

use crate::config::ExecuteSection;
use crate::journal::records::Maker;
use crate::results::publish::Publisher;
use crate::runtime::Input;
use crate::runtime::partition::RunningPublisher;
use crate::store::{Store, Writer};

/// What a publisher is made of.
pub(crate) struct Publishers {
    pub(crate) bus: BusConfig,
    pub(crate) producer: Producer,
    pub(crate) store: Store,
    pub(crate) writer: Writer,
    pub(crate) maker: Maker,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) section: ExecuteSection,
    pub(crate) stop: CancellationToken,
}

impl Publishers {
    /// Publishes a partition's results until the handle is dropped.
    pub(crate) fn start(&self, partition: i32) -> RunningPublisher {
        let (running, stop) = RunningPublisher::new(&self.stop);
        let publisher = Publisher {
            partition,
            bus: self.bus.clone(),
            producer: self.producer.clone(),
            store: self.store.clone(),
            writer: self.writer.clone(),
            maker: self.maker.clone(),
            clock: Arc::clone(&self.clock),
            how: self.section.publish,
            production: self.section.production,
            inputs: self.inputs.clone(),
            poke: Arc::clone(&running.poke),
            stop,
        };
        tokio::spawn(publisher.run());
        running
    }

    /// Ends all publishers.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }
}
