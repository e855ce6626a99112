//! How a venue is told to trade and how its answers read.

use unrip_core::{ModuleRef, Timestamp};

use crate::{Engine, Fault, Grants, Limits, LoadError, Module};

pub use crate::v0_1::bindings::executor::exports::unrip::executor::executor::{
    Action, Connect, Fact, FinalStatus, FinalVerdict, Inbound, LastAnswer, Outbound, Query, Refusal, Resolution,
    Signature, StandingQuestion, Statement, Verdict,
};
pub use crate::v0_1::bindings::shared::unrip::types::command::{ExecuteTrade, SwapAnswer, TradeAction};

/// An executor module's instance.
pub struct Executor {
    module_ref: ModuleRef,
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
        let _ = (engine, module, limits, grants, config);
        Err(LoadError::Engine("not yet".into()))
    }

    /// The code and configuration that prepare this instance's actions.
    pub fn module_ref(&self) -> &ModuleRef {
        &self.module_ref
    }

    /// What to ask again and again.
    pub fn standing_questions(&mut self) -> Result<Vec<StandingQuestion>, Fault> {
        Ok(Vec::new())
    }

    /// The websocket to keep open, if any.
    pub fn connection(&mut self) -> Result<Option<Connect>, Fault> {
        Ok(None)
    }

    /// What to send when the websocket opens.
    pub fn on_open(&mut self, first_request_id: u64) -> Result<Vec<Outbound>, Fault> {
        let _ = first_request_id;
        Ok(Vec::new())
    }

    /// The bytes for a command.
    pub fn prepare(
        &mut self,
        command: &ExecuteTrade,
        facts: &[Fact],
        now: Timestamp,
    ) -> Result<Result<Action, Refusal>, Fault> {
        let _ = (command, facts, now);
        Err(Fault::new(crate::FaultKind::Rebuild, "not yet"))
    }

    /// The signed action as the venue takes it.
    pub fn encode(
        &mut self,
        command: &ExecuteTrade,
        action: &Action,
        signature: &Signature,
        request_id: u64,
    ) -> Result<Result<Outbound, crate::Reason>, Fault> {
        let _ = (command, action, signature, request_id);
        Err(Fault::new(crate::FaultKind::Rebuild, "not yet"))
    }

    /// What an inbound says.
    pub fn read(&mut self, inbound: &Inbound) -> Result<Vec<Statement>, Fault> {
        let _ = inbound;
        Ok(Vec::new())
    }

    /// The next step for a claimed command whose outcome is unknown.
    pub fn resolve(
        &mut self,
        command: &ExecuteTrade,
        action: &Action,
        last_answer: Option<&LastAnswer>,
        now: Timestamp,
    ) -> Result<Resolution, Fault> {
        let _ = (command, action, last_answer, now);
        Err(Fault::new(crate::FaultKind::Rebuild, "not yet"))
    }
}

impl From<&unrip_core::event::command::ExecuteTrade> for ExecuteTrade {
    fn from(_: &unrip_core::event::command::ExecuteTrade) -> Self {
        todo!()
    }
}
