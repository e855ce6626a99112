//! The module at its seat, as this role asks it.

use std::sync::Arc;

use unrip_core::{ModuleRef, Timestamp};
use unrip_engine::Fault;
use unrip_engine::ingestor::{Effect, Event, Ingestor};
use unrip_service::module::Seat;
use unrip_service::{Context, RunError};

use crate::config::IngestConfig;

/// Kind, in the fault metric, of a result that breaks the contract.
const CONTRACT: &str = "contract";

/// A handle to the module.
pub(crate) struct Module {
    seat: Seat<Ingestor>,
    /// The code behind the newest answer.
    module_ref: Arc<ModuleRef>,
}

/// The event, given back, and what the module wants done.
pub(crate) type Answer = (Event, Result<Vec<Effect>, Fault>);

impl Module {
    /// Loads and checks the module of the configuration.
    pub(crate) async fn start(config: &IngestConfig, context: &Context) -> Result<Self, RunError> {
        let seat = Seat::start(&config.module, config.expected(), Some(config.network()), context).await?;
        let module_ref = seat.ask(|_: &mut Ingestor| ()).await?.module;
        Ok(Self { seat, module_ref })
    }

    /// The code behind the newest answer: it goes into the records made of that answer.
    pub(crate) fn module_ref(&self) -> &ModuleRef {
        &self.module_ref
    }

    /// Counts a result that broke the contract although the call itself went well.
    pub(crate) fn breached(&self) {
        self.seat.faults().inc(CONTRACT);
    }

    /// What the module wants done on `event`.
    pub(crate) async fn handle(&mut self, event: Event, now: Timestamp) -> Result<Answer, RunError> {
        let answer = self.seat.ask(move |ingestor| {
            let effects = ingestor.handle(&event, now);
            (event, effects)
        });
        let answer = answer.await?;
        self.module_ref = answer.module;
        Ok(answer.value)
    }
}
