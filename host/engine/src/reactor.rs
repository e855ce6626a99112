//! Canonical events to commands.

use unrip_core::event::command::{Action, InputRef};
use unrip_core::text::cut;
use unrip_core::{ModuleRef, Timestamp};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::batch::{self, Outcome};
use crate::host::Host;
use crate::limits::check_entries;
use crate::v0_1::bindings::reactor as bindings;
use crate::v0_1::{self, bindings::reactor::exports::unrip::reactor::reactor as wit};
use crate::worker::Worker;
use crate::{
    Capability, Engine, Fatal, Fault, FaultKind, Grants, Limits, LoadError, LoadErrorKind, Module, Rejection, World,
};
use unrip_core::event::canonical::CanonicalEvent;

/// Bytes of a strategy's name.
const STRATEGY_BYTES_MAX: usize = 64;

/// A canonical event and its place on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The venue's id.
    pub venue: String,
    /// When the frame that began the chain reached the host.
    pub observed_at: Timestamp,
    /// Topic of the record.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Read as reference: it moves state and may not cause commands.
    pub reference: bool,
    /// What happened.
    pub event: CanonicalEvent,
}

/// What the strategy makes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Do this. The host makes the ids.
    Command(Command),
    /// Do nothing, counted by this snake_case reason.
    Decline(String),
}

/// What a strategy wants done; the host adds ids and keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The venue's name of the account that acts.
    pub account: String,
    /// The venue's own id of the opportunity.
    pub venue_ref: String,
    /// Nothing may be sent after this time.
    pub dispatch_by: Timestamp,
    /// The expiry inside the signed payload.
    pub deadline: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// The reference records used besides the cause.
    pub inputs: Vec<InputRef>,
    /// What to do.
    pub action: Action,
}

/// A strategy's instance; one per partition or worker.
#[derive(Debug)]
pub struct Reactor {
    pub(crate) worker: Worker<bindings::Module>,
    strategy: String,
    /// The state that the next new instance starts with; none where the module keeps no state.
    state: Option<Vec<u8>>,
}

impl Reactor {
    /// Instantiates and configures `module`, and asks for the strategy's name.
    pub fn new(
        engine: &Engine,
        module: &Module,
        limits: &Limits,
        grants: &Grants,
        config: &serde_json::Value,
    ) -> Result<Self, LoadError> {
        let bind = |store: &mut Store<Host>, instance: &Instance| bindings::Module::new(store, instance);
        let mut worker = Worker::new(World::Reactor, bind, engine, module, limits, grants, config)?;
        let strategy = worker
            .call(1, |module, store| module.unrip_reactor_reactor().call_strategy(store))
            .map_err(|fault| worker.refused(LoadErrorKind::Failed { call: "strategy", fault }))?;
        if !is_strategy(&strategy) {
            let shown = cut(&strategy, STRATEGY_BYTES_MAX);
            let reason = format!("strategy `{shown}` is not 1 to {STRATEGY_BYTES_MAX} of a-z, 0-9, - and _");
            return Err(worker.refused(LoadErrorKind::Description { reason }));
        }
        let stateful = module.description().capabilities.contains(&Capability::State);
        let mut reactor = Self { worker, strategy, state: None };
        if stateful {
            let failed = |fault| LoadErrorKind::Failed { call: "snapshot", fault }.of(module.path());
            reactor.state = Some(reactor.snapshot().map_err(failed)?);
        }
        Ok(reactor)
    }

    /// The code and configuration that make this worker's records.
    pub fn module_ref(&self) -> &ModuleRef {
        self.worker.module_ref()
    }

    /// The strategy's name, fixed by its configuration.
    pub fn strategy(&self) -> &str {
        &self.strategy
    }

    /// Whether it keeps memory between calls.
    pub fn is_stateful(&self) -> bool {
        self.state.is_some()
    }

    /// One result per input, in order. An input on which the module fails twice alone is a [`Rejection::Fault`]
    /// and leaves no trace in its state. As for a normalizer, there are fewer results than inputs where they are large.
    pub fn react(&mut self, inputs: &[Input]) -> Result<Vec<Result<Vec<Decision>, Rejection>>, Fatal> {
        let size = batch::size(self.worker.limits().call_ms_max);
        batch::run(inputs, size, |inputs| self.call(inputs)).map_err(|fault| self.worker.fatal(fault))
    }

    /// The state of the instance, opaque; empty where there is none.
    pub fn snapshot(&mut self) -> Result<Vec<u8>, Fault> {
        self.ready()?;
        self.worker.call(1, |module, store| module.unrip_reactor_reactor().call_snapshot(store))
    }

    /// Takes a state that [`Self::snapshot`] of the same version gave. The inner error is the module's: the state is as before.
    pub fn restore(&mut self, state: Vec<u8>) -> Result<Result<(), String>, Fault> {
        let answer = self.worker.call(1, |module, store| module.unrip_reactor_reactor().call_restore(store, &state))?;
        if answer.is_ok() && self.state.is_some() {
            self.state = Some(state);
        }
        Ok(answer)
    }

    fn call(&mut self, inputs: &[Input]) -> Result<Vec<Outcome<Vec<Decision>>>, Fault> {
        self.ready()?;
        let given: Vec<_> = inputs.iter().map(input_out).collect();
        let results =
            self.worker.call(inputs.len(), |module, store| module.unrip_reactor_reactor().call_react(store, &given))?;
        batch::check_count(results.len(), inputs.len()).inspect_err(|fault| self.worker.discard(fault))?;
        let max = self.worker.limits().commands_per_event_max;
        let outcomes: Vec<_> =
            inputs.iter().zip(results).map(|(input, result)| outcome_in(input, result, max)).collect();
        self.worker.note_faults(&outcomes);
        if batch::has_fatal(&outcomes) {
            // The state is as before the call.
            self.worker.renew();
        } else if self.state.is_some() {
            self.state = Some(self.snapshot()?);
        }
        Ok(outcomes)
    }

    /// A new instance gets the state that the last good call left.
    fn ready(&mut self) -> Result<(), Fault> {
        let Some(state) = self.state.as_ref().filter(|_| self.worker.is_gone()) else { return self.worker.ready() };
        let rebuild = |text: String| Fault::new(FaultKind::Rebuild, text);
        self.worker.ready()?;
        let answer = self.worker.call(1, |module, store| module.unrip_reactor_reactor().call_restore(store, state));
        answer.map_err(|fault| rebuild(fault.to_string()))?.map_err(rebuild)
    }
}

fn input_out(input: &Input) -> wit::Input {
    wit::Input {
        venue: input.venue.clone(),
        observed_at: v0_1::time_out(input.observed_at),
        topic: input.topic.clone(),
        partition: input.partition,
        offset: input.offset,
        reference: input.reference,
        event: v0_1::event::event_out(&input.event),
    }
}

fn outcome_in(input: &Input, result: Result<Vec<wit::Decision>, wit::Rejection>, max: usize) -> Outcome<Vec<Decision>> {
    let decisions = result.map_err(v0_1::rejection_in)?;
    check_entries("decisions on one event", decisions.len(), "module.limits.commands_per_event_max", max)
        .map_err(Rejection::Fault)?;
    let decisions: Vec<_> =
        decisions.into_iter().map(v0_1::command::decision_in).collect::<Result<_, _>>().map_err(Rejection::Fault)?;
    if input.reference && decisions.iter().any(|decision| matches!(decision, Decision::Command(_))) {
        return Err(Rejection::Fault(v0_1::invalid("a record read as reference caused a command")));
    }
    Ok(decisions)
}

/// It is part of ids, where a line feed would be another id's separator.
fn is_strategy(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    (1..=STRATEGY_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}
