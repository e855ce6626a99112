//! What the journal lacks of a partition's state, as records to write.

use unrip_core::CommandId;
use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::{JournalClaim, JournalDecision, JournalEvidence, JournalOutcome, JournalSeed};
use unrip_core::event::result::ResultStatus;
use unrip_service::RunError;

use super::Reseeded;
use crate::journal::records::Cause;
use crate::runtime::retry::state_error;
use crate::store::{PartitionView, StoreError};
use unrip_protocol::fold::{Entry, FoldView, MemoryFold};
use unrip_protocol::wire::claimed_command;

/// One record to be written, and what it must do.
pub(super) enum Item {
    Claim(Box<JournalClaim>),
    Outcome(Box<JournalOutcome>),
    Evidence(JournalEvidence),
    Decision(JournalDecision),
    Seed(Box<JournalSeed>),
}

pub(super) struct Planned {
    pub(super) id: CommandId,
    pub(super) venue: String,
    pub(super) cause: Option<Cause>,
    pub(super) item: Item,
}

/// What the journal lacks of a partition's state.
pub(super) fn plan(
    view: &PartitionView<'_>,
    known: &MemoryFold,
    done: &mut Reseeded,
) -> Result<Vec<Planned>, RunError> {
    let mut entries = Vec::new();
    view.each_entry(|entry| {
        entries.push(entry);
        true
    })
    .map_err(state_error)?;
    let mut planned = Vec::new();
    for entry in entries {
        let Ok(found) = known.entry(&entry.head.id);
        let is_other = found.as_ref().is_some_and(|found| entry.claim.is_some() && found.claim.is_none());
        if is_other {
            done.contradicted += 1;
        } else {
            plan_one(view, &entry, found.as_ref(), &mut planned).map_err(state_error)?;
        }
    }
    Ok(planned)
}

fn plan_one(
    view: &PartitionView<'_>,
    entry: &Entry,
    found: Option<&Entry>,
    planned: &mut Vec<Planned>,
) -> Result<(), StoreError> {
    let id = entry.head.id;
    let (claim, outcome) = (view.claim(&id)?, view.outcome(&id)?);
    let cause = claim.as_ref().and_then(|kept| {
        let trace = kept.trace.as_deref().and_then(|trace| trace.parse().ok());
        Some(Cause { command: claimed_command(&kept.claim)?, trace })
    });
    let cause = cause.or_else(|| {
        let kept = outcome.as_ref()?;
        let any: AnyEnvelope = serde_json::from_value(kept.outcome.command.clone()?).ok()?;
        let trace = kept.trace.as_deref().and_then(|trace| trace.parse().ok());
        Some(Cause { command: any.typed::<ExecuteTrade>().ok()?, trace })
    });
    let mut add = |item| planned.push(Planned { id, venue: entry.head.venue.clone(), cause: cause.clone(), item });
    let has_records = entry.claim.is_none() == claim.is_none() && entry.outcome.is_none() == outcome.is_none();
    if !has_records {
        // Ended, published, and its settlement no longer waited for: that it was there is all that matters.
        if let (Some(outcome), None) = (entry.outcome, found) {
            add(Item::Seed(Box::new(seed(entry, outcome.status))));
        }
        return Ok(());
    }
    if let (Some(kept), None) = (claim, found) {
        add(Item::Claim(Box::new(kept.claim)));
    }
    if found.is_none_or(|found| found.evidence.is_none() && found.outcome.is_none())
        && let Some(evidence) = view.evidence(&id)?
    {
        add(Item::Evidence(evidence));
    }
    if found.is_none_or(|found| found.decision.is_none() && found.outcome.is_none())
        && let Some(decision) = view.decision(&id)?
    {
        add(Item::Decision(decision));
    }
    if let (Some(kept), true) = (outcome, found.is_none_or(|found| found.outcome.is_none())) {
        add(Item::Outcome(Box::new(kept.outcome)));
    }
    Ok(())
}

fn seed(entry: &Entry, status: ResultStatus) -> JournalSeed {
    let head = &entry.head;
    JournalSeed {
        command_id: head.id,
        command_offset: head.offset,
        command_event_id: head.event_id,
        content_hash: head.content_hash.clone(),
        origin: head.origin.clone(),
        idempotency_key: head.idempotency_key.clone(),
        dispatch_by: head.dispatch_by,
        deadline: head.deadline,
        fence_offset: 0,
        claimed: entry.claim.is_some(),
        status,
    }
}

impl Planned {
    /// Whether what was written has its effect.
    pub(super) fn is_in(&self, found: &MemoryFold) -> bool {
        let Ok(Some(entry)) = found.entry(&self.id) else { return false };
        match self.item {
            Item::Claim(_) => entry.claim.is_some(),
            Item::Outcome(_) | Item::Seed(_) => entry.outcome.is_some(),
            Item::Evidence(_) => entry.evidence.is_some(),
            Item::Decision(_) => entry.decision.is_some(),
        }
    }
}
