//! Taking up what an earlier life, or another executor, claimed and did not end.

use std::sync::Arc;
use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use unrip_core::event::journal::JournalClaim;
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp};
use unrip_engine::executor::Action;
use unrip_service::RunError;

use crate::command::open::{Claimed, OpenCommand};
use crate::journal::records::Cause;
use crate::points::{Point, reach};
use crate::runtime::partition::PartitionState;
use crate::runtime::retry::state_error;
use crate::store::{KeptClaim, Store};
use unrip_protocol::fold::{Entry, FoldView};
use unrip_protocol::inventory::Inventory;
use unrip_protocol::limits::{self, Limits, Promise};
use unrip_protocol::wire::claimed_command;

/// How long after its deadline an executed command of an earlier life is still asked about, in milliseconds.
const FOLLOWED_MS_MAX: i64 = 120_000;

/// Takes up what is claimed: open commands to be ended, executed ones to be followed, promises to be counted.
/// `ask_after_ms` after its deadline the venue is asked about an executed command.
pub(crate) fn take_up_all(
    store: &Store,
    state: &mut PartitionState,
    venue: &str,
    limits: &Limits,
    ask_after_ms: i64,
    now: Timestamp,
) -> Result<(), RunError> {
    // The journal holds what is promised; what was only prepared by an earlier owner's turn is not.
    state.inventory = Inventory::default();
    for (entry, kept) in store.recent_claims(state.number).map_err(state_error)? {
        if entry.head.venue != venue {
            continue;
        }
        let (id, deadline, open) = (entry.head.id, entry.head.deadline, entry.is_open());
        let executed = entry.outcome.is_some_and(|outcome| outcome.status == ResultStatus::Executed);
        let followed = executed && now < deadline.plus_millis(FOLLOWED_MS_MAX);
        if open || followed {
            take_up(state, entry, kept)?;
        } else if limits.counts(deadline, now) {
            count(state, id, deadline, &kept.claim);
        }
        if followed {
            state.index.follow(id, deadline.plus_millis(ask_after_ms), deadline);
        }
    }
    Ok(())
}

/// Counts what an ended command has promised. A takeover waits for this, so the command in the claim is not read.
fn count(state: &mut PartitionState, id: CommandId, deadline: Timestamp, claim: &JournalClaim) {
    if let Some(account) = claim.command.pointer("/payload/account").and_then(serde_json::Value::as_str) {
        let promise = Promise { account: account.to_owned(), gives: claim.reserves.clone(), deadline };
        state.inventory.enter(id, promise, id.time());
    }
}

/// Takes up one claim, unless it is in hand.
pub(crate) fn take_up_one(store: &Store, state: &mut PartitionState, id: &CommandId) -> Result<(), RunError> {
    let view = store.view(state.number).map_err(state_error)?;
    let (entry, kept) = (view.entry(id).map_err(state_error)?, view.claim(id).map_err(state_error)?);
    drop(view);
    match (entry, kept) {
        (Some(entry), Some(kept)) => take_up(state, entry, kept),
        _ => Ok(()),
    }
}

fn take_up(state: &mut PartitionState, entry: Entry, kept: KeptClaim) -> Result<(), RunError> {
    let id = entry.head.id;
    let KeptClaim { claim, trace } = kept;
    let (Some(command), Ok(unsigned)) = (claimed_command(&claim), STANDARD.decode(&claim.action_base64)) else {
        return Err(RunError::State(format!(
            "the claim of {id} cannot be read; delete execute.state_dir and start again"
        )));
    };
    let payload = &command.payload;
    let gives = limits::gives(payload, &claim.reserves);
    let promise = Promise { account: payload.account.clone(), gives: gives.clone(), deadline: payload.deadline };
    state.inventory.enter(id, promise, id.time());
    if state.commands.contains_key(&id) {
        return Ok(());
    }
    state.index.keep(id, &payload.venue_ref, claim.action_digest.clone());
    // The host holds what it promises; the module is not asked to encode it again.
    let action = Action { scheme: claim.scheme, unsigned, reserves: Vec::new() };
    let open = OpenCommand {
        head: entry.head,
        cause: Cause { command, trace: trace.and_then(|trace| trace.parse().ok()) },
        envelope: claim.command,
        claimed: Some(Claimed { action, digest: claim.action_digest, gives, module: Arc::new(claim.module) }),
        taken_up: Instant::now(),
    };
    tracing::info!(command_id = %id, partition = state.number, "taking up a claim");
    reach(Point::ClaimTakenUp);
    state.commands.insert(id, open);
    Ok(())
}
