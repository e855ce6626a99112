//! Taking up what an earlier life, or another executor, claimed and did not end.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use unrip_core::event::journal::JournalClaim;
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp};
use unrip_engine::executor::Action;
use unrip_service::RunError;

use crate::journal::records::Cause;
use crate::journal::tail::state;
use crate::points::{Point, reach};
use crate::runtime::executor::Service;
use crate::runtime::partition::{Claimed, Held};
use crate::store::KeptClaim;
use unrip_protocol::fold::{Entry, FoldView};
use unrip_protocol::inventory::Inventory;
use unrip_protocol::limits::{self, Promise};
use unrip_protocol::wire::claimed_command;

/// How long after its deadline an executed command of an earlier life is still asked about, in milliseconds.
const FOLLOWED_MS_MAX: i64 = 120_000;

impl Service {
    /// Takes up what is claimed: open commands to be ended, executed ones to be followed, promises to be counted.
    pub(crate) fn recover_claims(&mut self, partition: i32) -> Result<(), RunError> {
        if let Some(slot) = self.slots.get_mut(&partition) {
            // The journal holds what is promised; what was only prepared by an earlier owner's turn is not.
            slot.inventory = Inventory::default();
        }
        let now = self.now();
        let ask_after_ms = self.config.execute.clock_skew_ms_max;
        for (entry, kept) in self.store.recent_claims(partition).map_err(state)? {
            if entry.head.venue != self.maker.venue {
                continue;
            }
            let (id, deadline, open) = (entry.head.id, entry.head.deadline, entry.is_open());
            let executed = entry.outcome.is_some_and(|outcome| outcome.status == ResultStatus::Executed);
            let followed = executed && now < deadline.plus_millis(FOLLOWED_MS_MAX);
            if open || followed {
                self.take_up(partition, entry, kept)?;
            } else if self.limits.counts(deadline, now) {
                self.count(partition, id, deadline, &kept.claim);
            }
            let Some(slot) = self.slots.get_mut(&partition).filter(|_| followed) else { continue };
            slot.index.follow(id, deadline.plus_millis(ask_after_ms), deadline);
        }
        Ok(())
    }

    /// Counts what an ended command has promised. A takeover waits for this, so the command in the claim is not read.
    fn count(&mut self, partition: i32, id: CommandId, deadline: Timestamp, claim: &JournalClaim) {
        let account = claim.command.pointer("/payload/account").and_then(serde_json::Value::as_str);
        if let (Some(slot), Some(account)) = (self.slots.get_mut(&partition), account) {
            let promise = Promise { account: account.to_owned(), gives: claim.reserves.clone(), deadline };
            slot.inventory.enter(id, promise, id.time());
        }
    }

    /// Takes up one claim, unless it is in hand.
    pub(crate) fn recover_claim(&mut self, partition: i32, id: &CommandId) -> Result<(), RunError> {
        let view = self.store.view(partition).map_err(state)?;
        let (entry, kept) = (view.entry(id).map_err(state)?, view.claim(id).map_err(state)?);
        drop(view);
        match (entry, kept) {
            (Some(entry), Some(kept)) => self.take_up(partition, entry, kept),
            _ => Ok(()),
        }
    }

    fn take_up(&mut self, partition: i32, entry: Entry, kept: KeptClaim) -> Result<(), RunError> {
        let id = entry.head.id;
        let Some(slot) = self.slots.get_mut(&partition) else { return Ok(()) };
        let KeptClaim { claim, trace } = kept;
        let (Some(command), Ok(unsigned)) = (claimed_command(&claim), STANDARD.decode(&claim.action_base64)) else {
            return Err(RunError::State(format!(
                "the claim of {id} cannot be read; delete execute.state_dir and start again"
            )));
        };
        let payload = &command.payload;
        let gives = limits::gives(payload, &claim.reserves);
        let promise = Promise { account: payload.account.clone(), gives: gives.clone(), deadline: payload.deadline };
        slot.inventory.enter(id, promise, id.time());
        if slot.held.contains_key(&id) {
            return Ok(());
        }
        slot.index.keep(id, &payload.venue_ref, claim.action_digest.clone());
        // The host holds what it promises; the module is not asked to encode it again.
        let action = Action { scheme: claim.scheme, unsigned, reserves: Vec::new() };
        let held = Held {
            head: entry.head,
            cause: Cause { command, trace: trace.and_then(|trace| trace.parse().ok()) },
            envelope: claim.command,
            claimed: Some(Claimed { action, digest: claim.action_digest, gives }),
            taken_up: Instant::now(),
        };
        tracing::info!(command_id = %id, partition, "taking up a claim");
        reach(Point::ClaimTakenUp);
        slot.held.insert(id, held);
        Ok(())
    }
}
