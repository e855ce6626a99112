//! Protocols that are wrong in one way each. They change the world and the host around the core, or wrap its fold; the
//! core has no switches. Each must be caught, by the promise that it breaks.

use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::{self, Applied, ClaimMark, Entry, Fact, FoldStore, FoldView, Invalid, MemoryFold, Placed};

use super::executor::Process;
use super::log::Log;
use super::state::Executor;
use crate::common::VENUE;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The history is the process's own: what others wrote is not read.
    PodLocalHistory,
    /// A process sends again what it finds claimed and not ended.
    ResendsOpenClaims,
    /// A new owner begins at the journal's end.
    NoRestore,
    /// The acknowledged append is taken for the claim; nothing is read back.
    ActsOnAck,
    /// The journal keeps the last record of each command only.
    CompactedJournal,
    /// The first claim wins, whichever executor owns the partition.
    NoFence,
    /// The owner acts before it has read up to its own fence.
    NoReadBarrier,
    /// "Not found" is taken for a verdict at any time.
    EarlyVerdict,
    /// "Not found" is taken for a verdict after `dispatch_by`, before the deadline.
    VerdictAtDispatchBy,
    VenueIgnoresExpiry,
    CommitsOnReceive,
    /// Validity asks for the command only.
    NoIdempotencyKey,
    /// A claim counts as the first although its fence is old.
    InvalidClaimBlocks,
    /// Outcomes are not bound to the newest fence.
    OutcomeWithoutFence,
    /// The last outcome stands.
    LastOutcomeWins,
    /// Evidence is bound to the newest fence.
    EvidenceNeedsFence,
    /// A fence of another venue fences ours.
    ForeignFenceFences,
    SignsBeforeReadBack,
    /// The gate lets bytes through after `dispatch_by`.
    LateGate,
    /// What a fenced executor hears is dropped.
    AnswerAfterFenceForgotten,
    /// The frame of a broken flush goes out again on the next connection.
    FlushAfterReconnect,
    /// A broken flush counts as nothing handed over.
    HandedAsNotHanded,
    /// No answer in time counts as a refusal.
    OwnTimeoutRejects,
    /// No answer in time leads to a second send.
    ResendsOnTimeout,
    /// A claim found at start counts as never sent once `dispatch_by` has passed.
    ExpiresClaimsOfOthers,
    /// Results are published by what the own disk knows.
    PublishesWithoutReading,
    /// An older owner's transaction is not refused.
    OldPublisherNotFenced,
    /// A result is published before its outcome came back.
    PublishesUnreadOutcome,
    /// An owner that drains continues to take work.
    DrainBeginsWork,
    /// A fenced executor stays in the group as if nothing had happened.
    FencedStays,
    /// The last record of an id is the one that is signed.
    ConflictReplacesFirst,
}

/// The production rule, or what a mutant has in its place.
pub fn apply(mutant: Option<Mutant>, store: &mut MemoryFold, placed: &Placed) -> Applied {
    let mut placed = placed.clone();
    let newest = store.fence(&placed.venue).unwrap().map_or(-1, |fence| fence.offset);
    match (mutant, &mut placed.fact) {
        (Some(Mutant::NoIdempotencyKey), Fact::Claim { head, .. }) => head.idempotency_key = head.id.to_string(),
        (Some(Mutant::ForeignFenceFences), Fact::Fence) => placed.venue = VENUE.to_owned(),
        (Some(Mutant::OutcomeWithoutFence), Fact::Outcome { fence_offset, .. }) => *fence_offset = newest,
        (Some(Mutant::NoFence), Fact::Claim { fence_offset, .. } | Fact::Outcome { fence_offset, .. }) => {
            *fence_offset = newest;
        }
        (Some(Mutant::EvidenceNeedsFence), Fact::Evidence { .. }) => return Applied::NoEffect,
        (Some(Mutant::LastOutcomeWins), Fact::Outcome { head, .. }) => {
            if let Some(entry) = store.entry(&head.id).unwrap() {
                store.set_entry(&Entry { outcome: None, ..entry }).unwrap();
            }
        }
        _ => {}
    }
    let applied = fold::apply(store, &placed).unwrap();
    if let (Some(Mutant::InvalidClaimBlocks), Fact::Claim { head, fence_offset }) = (mutant, &placed.fact)
        && applied == Applied::ClaimInvalid(Invalid::Fence)
        && store.entry(&head.id).unwrap().is_none()
    {
        let claim = Some(ClaimMark { offset: placed.offset, fence_offset: *fence_offset });
        let entry = Entry { head: head.clone(), claim, outcome: None, evidence: None, decision: None };
        store.set_entry(&entry).unwrap();
    }
    applied
}

/// What an executor whose fold is not the log's makes of the next record; `None` if it never sees it.
pub fn fold_own(mutant: Mutant, executor: &mut Executor, log: &Log, index: usize) -> Option<Applied> {
    let record = &log.records[index].placed;
    let own = executor.own.as_mut()?;
    let is_mine = |placed: &Placed| executor.fences.contains(&placed.event_id.as_u128());
    let seen = match (mutant, &record.fact) {
        (Mutant::PodLocalHistory | Mutant::NoFence, Fact::Fence) => is_mine(record),
        (Mutant::PodLocalHistory, Fact::Claim { fence_offset, .. } | Fact::Outcome { fence_offset, .. }) => {
            is_mine(&log.records[usize::try_from(*fence_offset).unwrap()].placed)
        }
        (Mutant::PodLocalHistory, Fact::Evidence { .. } | Fact::Decision { .. }) => false,
        (Mutant::CompactedJournal, fact) => {
            let id = command(fact);
            id.is_none() || !log.records[index + 1..].iter().any(|later| command(&later.placed.fact) == id)
        }
        _ => true,
    };
    seen.then(|| apply(Some(mutant), own, record))
}

fn command(fact: &Fact) -> Option<unrip_core::CommandId> {
    match fact {
        Fact::Claim { head, .. } | Fact::Outcome { head, .. } => Some(head.id),
        Fact::Evidence { id } | Fact::Decision { id } => Some(*id),
        _ => None,
    }
}

impl Mutant {
    /// Whether its executors have folds of their own from the beginning.
    pub fn has_own_fold(self) -> bool {
        matches!(self, Self::PodLocalHistory | Self::NoFence | Self::CompactedJournal)
    }
}

impl Process<'_> {
    pub fn is(&self, mutant: Mutant) -> bool {
        self.world.mutant == Some(mutant)
    }

    /// What a mutant does when a doubt should be resolved; `false` leaves it to the protocol.
    pub fn instead_of_asking(&mut self, id: unrip_core::CommandId) -> bool {
        let handed = self.executor.host.handed.contains(&id);
        if self.is(Mutant::ResendsOpenClaims) && !handed {
            self.executor.host.ordered.insert(id);
            return true;
        }
        if self.is(Mutant::ExpiresClaimsOfOthers) && !handed && self.state.time > 0 {
            let ending = super::venue::ending(ResultStatus::Expired, "asked");
            let resolution = unrip_protocol::partition::Resolution::Final(ending);
            self.step(unrip_protocol::partition::Event::Resolved(id, resolution));
            return true;
        }
        false
    }
}
