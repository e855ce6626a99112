//! What to send to a venue and what its frames are.

use unrip_core::{ModuleRef, Timestamp};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::host::Host;
use crate::limits::check_entries;
use crate::v0_1::{self, bindings::ingestor as bindings};
use crate::worker::Worker;
use crate::{Engine, Fault, FaultKind, Grants, Limits, LoadError, Module, World};

pub use crate::v0_1::bindings::ingestor::exports::unrip::ingestor::ingestor::{
    Connect, Effect, Event, Frame, RawRecord,
};

/// An ingestor's instance.
#[derive(Debug)]
pub struct Ingestor {
    pub(crate) worker: Worker<bindings::Module>,
}

impl Ingestor {
    /// Instantiates and configures `module`.
    pub fn new(
        engine: &Engine,
        module: &Module,
        limits: &Limits,
        grants: &Grants,
        config: &serde_json::Value,
    ) -> Result<Self, LoadError> {
        let bind = |store: &mut Store<Host>, instance: &Instance| bindings::Module::new(store, instance);
        Ok(Self { worker: Worker::new(World::Ingestor, bind, engine, module, limits, grants, config)? })
    }

    /// The code and configuration that make this instance's records.
    pub fn module_ref(&self) -> &ModuleRef {
        self.worker.module_ref()
    }

    /// What to do on `event`. After a fault the instance is new and knows nothing: close what is open and give it
    /// [`Event::Started`] first.
    ///
    /// Effects that use an endpoint or credential without a grant, and a frame that did not end in exactly one way, are faults.
    pub fn handle(&mut self, event: &Event, now: Timestamp) -> Result<Vec<Effect>, Fault> {
        let now = v0_1::time_out(now);
        let effects =
            self.worker.call(1, |module, store| module.unrip_ingestor_ingestor().call_handle(store, event, now))?;
        check_sizes(&effects, self.worker.limits())
            .and_then(|()| check_frame(event, &effects))
            .and_then(|()| effects.iter().try_for_each(|effect| check_grant(self.worker.grants(), effect)))
            .inspect_err(|fault| self.worker.discard(fault))?;
        Ok(effects)
    }
}

fn check_sizes(effects: &[Effect], limits: &Limits) -> Result<(), Fault> {
    let (effects_max, records_max) = (limits.effects_per_event_max, limits.records_per_frame_max);
    check_entries("effects on one event", effects.len(), "module.limits.effects_per_event_max", effects_max)?;
    let emitted = effects.iter().map(|effect| match effect {
        Effect::Emit(records) => records.len(),
        _ => 0,
    });
    check_entries("records of one frame", emitted.sum(), "module.limits.records_per_frame_max", records_max)
}

/// A received frame is recorded, known, or not understood, and nothing else.
fn check_frame(event: &Event, effects: &[Effect]) -> Result<(), Fault> {
    let ends = |effect: &&Effect| matches!(effect, Effect::Emit(_) | Effect::Chatter(_) | Effect::Unrecognised(_));
    let number = effects.iter().filter(ends).count();
    match event {
        Event::Frame(_) if number != 1 => Err(Fault::new(
            FaultKind::Count,
            format!("a frame must end in one of emit, chatter and unrecognised, not in {number}"),
        )),
        _ => Ok(()),
    }
}

fn check_grant(grants: &Grants, effect: &Effect) -> Result<(), Fault> {
    match effect {
        Effect::Connect(connect) => grants.check_connect(&connect.endpoint, &connect.headers),
        Effect::Http((_, request)) => grants.check_request(request),
        Effect::Send(_)
        | Effect::Timer(_)
        | Effect::Close(_)
        | Effect::Emit(_)
        | Effect::Chatter(_)
        | Effect::Unrecognised(_) => Ok(()),
    }
}
