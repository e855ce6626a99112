//! Which bytes trade at a venue, and what its answers mean.

use unrip_core::{ModuleRef, Timestamp};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::host::Host;
use crate::limits::check_entries;
use crate::v0_1::{self, bindings::executor as bindings};
use crate::worker::Worker;
use crate::{Engine, Fault, FaultKind, Grants, Limits, LoadError, Module, Reason, World};

pub use crate::v0_1::bindings::executor::exports::unrip::executor::executor::{
    Action, Connect, Fact, FinalStatus, FinalVerdict, Inbound, LastAnswer, Outbound, Query, Refusal, Resolution,
    Signature, StandingQuestion, Statement, Verdict,
};
pub use crate::v0_1::bindings::shared::unrip::types::command::{ExecuteTrade, SideFixed, SwapAnswer, TradeAction};

/// An executor module's instance.
#[derive(Debug)]
pub struct Executor {
    pub(crate) worker: Worker<bindings::Module>,
}

impl Executor {
    /// Instantiates and configures `module`.
    pub fn new(
        engine: &Engine,
        module: &Module,
        limits: &Limits,
        grants: &Grants,
        config: &serde_json::Value,
    ) -> Result<Self, LoadError> {
        let bind = |store: &mut Store<Host>, instance: &Instance| bindings::Module::new(store, instance);
        Ok(Self { worker: Worker::new(World::Executor, bind, engine, module, limits, grants, config)? })
    }

    /// The code and configuration that prepare this instance's actions.
    pub fn module_ref(&self) -> &ModuleRef {
        self.worker.module_ref()
    }

    /// What to ask again and again.
    pub fn standing_questions(&mut self) -> Result<Vec<StandingQuestion>, Fault> {
        self.call(
            |module, store| module.unrip_executor_executor().call_standing_questions(store),
            Vec::len,
            |grants, questions| questions.iter().try_for_each(|question| grants.check_request(&question.query.request)),
        )
    }

    /// The websocket to keep open, if any.
    pub fn connection(&mut self) -> Result<Option<Connect>, Fault> {
        self.call(
            |module, store| module.unrip_executor_executor().call_connection(store),
            |_| 1,
            |grants, connect| {
                connect.iter().try_for_each(|connect| grants.check_connect(&connect.endpoint, &connect.headers))
            },
        )
    }

    /// What to send when the websocket opens.
    pub fn on_open(&mut self, first_request_id: u64) -> Result<Vec<Outbound>, Fault> {
        self.call(
            |module, store| module.unrip_executor_executor().call_on_open(store, first_request_id),
            Vec::len,
            |grants, outbounds| outbounds.iter().try_for_each(|outbound| check_outbound(grants, outbound)),
        )
    }

    /// The bytes for a command. A scheme that is not granted, or reserves that are no amounts, are faults.
    pub fn prepare(
        &mut self,
        command: &ExecuteTrade,
        facts: &[Fact],
        now: Timestamp,
    ) -> Result<Result<Action, Refusal>, Fault> {
        let now = v0_1::time_out(now);
        self.call(
            |module, store| module.unrip_executor_executor().call_prepare(store, command, facts, now),
            |prepared| prepared.as_ref().map_or(0, |action| action.reserves.len()),
            |grants, prepared| prepared.as_ref().map_or(Ok(()), |action| check_action(grants, action)),
        )
    }

    /// The signed action as the venue takes it.
    pub fn encode(
        &mut self,
        command: &ExecuteTrade,
        action: &Action,
        signature: &Signature,
        request_id: u64,
    ) -> Result<Result<Outbound, Reason>, Fault> {
        self.call(
            |module, store| module.unrip_executor_executor().call_encode(store, command, action, signature, request_id),
            |_| 1,
            |grants, encoded| encoded.as_ref().map_or(Ok(()), |outbound| check_outbound(grants, outbound)),
        )
    }

    /// What an inbound says: at least one statement.
    pub fn read(&mut self, inbound: &Inbound) -> Result<Vec<Statement>, Fault> {
        self.call(
            |module, store| module.unrip_executor_executor().call_read(store, inbound),
            Vec::len,
            |_, statements| match statements.is_empty() {
                true => Err(Fault::new(FaultKind::Count, "read gave no statement")),
                false => Ok(()),
            },
        )
    }

    /// The next step for a claimed command whose outcome is unknown.
    pub fn resolve(
        &mut self,
        command: &ExecuteTrade,
        action: &Action,
        last_answer: Option<&LastAnswer>,
        now: Timestamp,
    ) -> Result<Resolution, Fault> {
        let now = v0_1::time_out(now);
        self.call(
            |module, store| module.unrip_executor_executor().call_resolve(store, command, action, last_answer, now),
            |_| 1,
            |grants, resolution| match resolution {
                Resolution::Ask(query) => grants.check_request(&query.request),
                Resolution::Final(_) | Resolution::WaitUntil(_) => Ok(()),
            },
        )
    }

    /// Calls an export and checks what came back; either failing ends the instance.
    fn call<R>(
        &mut self,
        export: impl FnOnce(&bindings::Module, &mut Store<Host>) -> wasmtime::Result<R>,
        entries: impl FnOnce(&R) -> usize,
        check: impl FnOnce(&Grants, &R) -> Result<(), Fault>,
    ) -> Result<R, Fault> {
        let result = self.worker.call(1, export)?;
        let max = self.worker.limits().entries_per_answer_max;
        check_entries("entries in one answer", entries(&result), "module.limits.entries_per_answer_max", max)
            .and_then(|()| check(self.worker.grants(), &result))
            .inspect_err(|fault| self.worker.discard(fault))?;
        Ok(result)
    }
}

fn check_outbound(grants: &Grants, outbound: &Outbound) -> Result<(), Fault> {
    match outbound {
        Outbound::Frame(_) => Ok(()),
        Outbound::Http(request) => grants.check_request(request),
    }
}

fn check_action(grants: &Grants, action: &Action) -> Result<(), Fault> {
    grants.check_scheme(&action.scheme)?;
    action
        .reserves
        .iter()
        .try_for_each(|(asset, amount)| v0_1::amount_in(&format!("reserve of {asset}"), amount).map(drop))
}
