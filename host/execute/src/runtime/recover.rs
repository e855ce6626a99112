//! Taking up what an earlier life, or another executor, claimed and did not end.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use unrip_core::CommandId;
use unrip_engine::executor::Action;
use unrip_service::RunError;

use super::journal::state;
use super::records::Cause;
use super::service::Service;
use super::slot::{Claimed, Held};
use crate::core::fold::FoldView;
use crate::core::limits::{self, Promise};
use crate::core::wire::claimed_command;
use crate::points::{Point, reach};
use crate::store::KeptClaim;

impl Service {
    /// Takes up every open claim of a partition.
    pub(super) fn recover_claims(&mut self, partition: i32) -> Result<(), RunError> {
        let open = self.store.view(partition).and_then(|view| view.open_claims(&self.maker.venue)).map_err(state)?;
        for entry in open {
            self.recover_claim(partition, &entry.head.id)?;
        }
        Ok(())
    }

    /// Takes up one claim, unless it is in hand.
    pub(super) fn recover_claim(&mut self, partition: i32, id: &CommandId) -> Result<(), RunError> {
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        if slot.held.contains_key(id) {
            return Ok(());
        }
        let view = self.store.view(partition).map_err(state)?;
        let (Some(kept), Some(entry)) = (view.claim(id).map_err(state)?, view.entry(id).map_err(state)?) else {
            return Ok(());
        };
        let KeptClaim { claim, trace } = kept;
        let (Some(command), Ok(unsigned)) = (claimed_command(&claim), STANDARD.decode(&claim.action_base64)) else {
            return Err(RunError::State(format!(
                "the claim of {id} cannot be read; delete execute.state_dir and start again"
            )));
        };
        let payload = &command.payload;
        let gives = limits::gives(payload, &claim.reserves);
        let promise = Promise { account: payload.account.clone(), gives: gives.clone(), deadline: payload.deadline };
        slot.book.enter(*id, promise, id.time());
        slot.index.keep(*id, &payload.venue_ref, claim.action_digest.clone());
        // The host holds what it promises; the module is not asked to encode it again.
        let action = Action { scheme: claim.scheme, unsigned, reserves: Vec::new() };
        let held = Held {
            head: entry.head,
            cause: Cause { command, trace: trace.and_then(|trace| trace.parse().ok()) },
            envelope: claim.command,
            claimed: Some(Claimed { action, digest: claim.action_digest, gives }),
        };
        tracing::info!(command_id = %id, partition, "taking up an open claim");
        reach(Point::ClaimTakenUp);
        slot.held.insert(*id, held);
        Ok(())
    }
}
