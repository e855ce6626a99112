//! Typed commands, claims and outcomes for tests that write a journal.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use unrip_core::event::command::{Action, ExecuteTrade, execution_key, idempotency_key};
use unrip_core::event::journal::{JournalClaim, JournalOutcome};
use unrip_core::event::result::ResultStatus;
use unrip_core::{Amount, CommandId, Envelope, ModuleRef, Timestamp, Uuid};

use super::VENUE;

/// The component that made the commands and prepared the actions.
pub fn module() -> ModuleRef {
    let digest = format!("sha256:{}", "a".repeat(64));
    let (name, version, wit) = ("v/executor".to_owned(), "0.1.0".to_owned(), "unrip:executor@0.1.0".to_owned());
    ModuleRef { name, version, digest: digest.clone(), wit, config_digest: digest }
}

/// A command that was made at this time; its dispatch and its deadline count from there, in milliseconds.
pub fn trade(cause: Uuid, made: Timestamp, dispatch_ms: i64, deadline_ms: i64) -> Envelope<ExecuteTrade> {
    let key = execution_key(VENUE, "solver");
    let action = Action::SwapAnswer {
        quote_id: cause.to_string(),
        asset_in: "a".to_owned(),
        asset_out: "b".to_owned(),
        amount_in: Amount(5),
        amount_out: Amount(4),
        amount_fixed: None,
    };
    let payload = ExecuteTrade {
        command_id: CommandId::new(made, &key, cause, "fixed", 0),
        idempotency_key: idempotency_key(&key, &cause.to_string()),
        execution_key: key,
        account: "solver".to_owned(),
        strategy: "fixed".to_owned(),
        venue_ref: cause.to_string(),
        dispatch_by: made.plus_millis(dispatch_ms),
        deadline: made.plus_millis(deadline_ms),
        reason: "a \"good\" price".to_owned(),
        inputs: Vec::new(),
        action,
    };
    Envelope { module: Some(module()), ..Envelope::root(cause, VENUE, "test", made, payload) }
}

/// Its claim.
pub fn claim(command: &Envelope<ExecuteTrade>, fence_offset: i64) -> JournalClaim {
    JournalClaim {
        command_id: command.payload.command_id,
        command_offset: 1,
        content_hash: "c".repeat(64),
        command: serde_json::to_value(command).unwrap(),
        fence_offset,
        dispatch_by: command.payload.dispatch_by,
        deadline: command.payload.deadline,
        key_id: "main".to_owned(),
        scheme: "nep413".to_owned(),
        action_base64: "QUJD".to_owned(),
        action_digest: "d".repeat(64),
        module: module(),
        reserves: Vec::new(),
    }
}

/// Its outcome: executed.
pub fn outcome(command: &Envelope<ExecuteTrade>, fence_offset: i64, is_claimed: bool) -> JournalOutcome {
    JournalOutcome {
        command_id: command.payload.command_id,
        command_offset: 1,
        content_hash: "c".repeat(64),
        command: (!is_claimed).then(|| serde_json::to_value(command).unwrap()),
        fence_offset,
        status: ResultStatus::Executed,
        result_code: "accepted".to_owned(),
        note: None,
        evidence: None,
    }
}
