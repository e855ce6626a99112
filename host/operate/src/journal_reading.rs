//! What a journal partition holds, for people. Which records are valid is the protocol's rule (`core/RECORDS.md`,
//! Validity); only what is open is kept whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unrip_bus::Record;
use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::{JournalClaim, JournalEntry};
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Envelope, Timestamp, Uuid};
use unrip_protocol::fold::{Applied, Fact, Head, apply};
use unrip_protocol::wire::{self, JournalRecord};

use crate::journal_fold::{ENDED_MAX, JournalFold};

/// A partition of the journal, folded so far.
#[derive(Clone, Debug)]
pub struct Journal {
    fold: JournalFold,
    fences: BTreeMap<String, FenceHolder>,
    open: BTreeMap<CommandId, OpenClaim>,
    /// Ended commands whose results were not seen.
    unpublished: BTreeSet<CommandId>,
    /// The command that is asked about.
    watched: Option<CommandId>,
    watched_is: Watched,
}

/// The newest fence of a venue.
#[derive(Clone, Debug, Serialize)]
pub struct FenceHolder {
    /// Offset of the fence.
    pub offset: i64,
    /// `execute.executor_id` of the executor.
    pub executor_id: String,
    /// Its process, new with each start.
    pub incarnation: Uuid,
    /// When the broker appended the fence.
    pub since: Option<Timestamp>,
}

/// A command that is claimed and has not ended: a signed action may be out.
#[derive(Clone, Debug)]
pub struct OpenClaim {
    /// Offset of the claim.
    pub offset: i64,
    /// When the broker appended it.
    pub claimed_at: Option<Timestamp>,
    pub venue: String,
    /// What the protocol knows of the command.
    pub head: Head,
    /// What a fenced executor heard.
    pub evidence: Option<(ResultStatus, String)>,
    /// What a person decided.
    pub decision: Option<Decision>,
    value: Vec<u8>,
}

impl OpenClaim {
    /// The claim and the command in it, read from its record. A valid claim always has them.
    pub fn details(&self) -> Option<(JournalClaim, Envelope<ExecuteTrade>)> {
        let Some(JournalEntry::Claim(claim)) = wire::entry(&self.value) else { return None };
        let command = wire::claimed_command(&claim)?;
        Some((*claim, command))
    }
}

/// A person's decision that counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The record's id.
    pub event_id: Uuid,
    /// How the command ends.
    pub status: ResultStatus,
    /// Who decided.
    pub decided_by: String,
    /// Why.
    pub reason: String,
}

/// What the journal holds of the command that is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Watched {
    /// Nothing.
    #[default]
    Unknown,
    /// Claims without effect, and nothing else.
    Void,
    /// A valid claim: see the open claims.
    Claimed,
    /// It ended, with this status and code.
    Ended(ResultStatus, String),
}

impl Journal {
    /// Nothing read yet. `watched` is the command that is asked about, if one is.
    pub fn new(watched: Option<CommandId>) -> Self {
        Self {
            fold: JournalFold::new(),
            fences: BTreeMap::new(),
            open: BTreeMap::new(),
            unpublished: BTreeSet::new(),
            watched,
            watched_is: Watched::default(),
        }
    }

    /// The newest fence of each venue.
    pub fn fences(&self) -> &BTreeMap<String, FenceHolder> {
        &self.fences
    }

    /// The claims that are open, in the order of their commands.
    pub fn open(&self) -> &BTreeMap<CommandId, OpenClaim> {
        &self.open
    }

    /// Ended commands whose results were not seen.
    pub fn unpublished(&self) -> &BTreeSet<CommandId> {
        &self.unpublished
    }

    /// What is held of the command that is asked about.
    pub fn watched(&self) -> &Watched {
        &self.watched_is
    }

    /// A result was seen.
    pub fn published(&mut self, id: &CommandId) {
        self.unpublished.remove(id);
    }

    /// Takes the next record.
    pub fn fold(&mut self, record: &Record) {
        let at = record.timestamp.millis().map(Timestamp::from_millis);
        let JournalRecord { placed, value, .. } = wire::read(record.offset, record.value.clone());
        let Ok(applied) = apply(&mut self.fold, &placed);
        match (applied, placed.fact) {
            (Applied::Fenced, _) => self.fenced(placed.venue, placed.offset, at, &value),
            (Applied::ClaimValid, Fact::Claim { head, .. }) => {
                let (id, offset, venue) = (head.id, placed.offset, placed.venue);
                let claim = OpenClaim { offset, claimed_at: at, venue, head, evidence: None, decision: None, value };
                self.open.insert(id, claim);
                self.watch(id, Watched::Claimed);
            }
            (Applied::ClaimInvalid(_), Fact::Claim { head, .. }) if self.watched_is == Watched::Unknown => {
                self.watch(head.id, Watched::Void);
            }
            (Applied::OutcomeValid, Fact::Outcome { head, status, .. }) => {
                self.unpublished.insert(head.id);
                if self.unpublished.len() > ENDED_MAX {
                    self.unpublished.pop_first();
                }
                self.end(head.id, status, &value);
            }
            // Its result is published; the topic may have dropped it by age.
            (Applied::SeedValid, Fact::Seed { head, status, .. }) => self.end(head.id, status, &value),
            (Applied::EvidenceNoted, Fact::Evidence { id }) => {
                if let (Some(open), Some(JournalEntry::Evidence(said))) = (self.open.get_mut(&id), wire::entry(&value))
                {
                    open.evidence = Some((said.status, said.result_code));
                }
            }
            (Applied::DecisionNoted, Fact::Decision { id }) => {
                if let (Some(open), Some(JournalEntry::Decision(said))) = (self.open.get_mut(&id), wire::entry(&value))
                {
                    let (event_id, status) = (placed.event_id, said.status);
                    let (decided_by, reason) = (said.decided_by, said.reason);
                    open.decision = Some(Decision { event_id, status, decided_by, reason });
                }
            }
            _ => {}
        }
    }

    fn fenced(&mut self, venue: String, offset: i64, since: Option<Timestamp>, value: &[u8]) {
        let Some(JournalEntry::Fence(fence)) = wire::entry(value) else { return };
        let (executor_id, incarnation) = (fence.executor_id, fence.incarnation);
        self.fences.insert(venue, FenceHolder { offset, executor_id, incarnation, since });
    }

    fn end(&mut self, id: CommandId, status: ResultStatus, value: &[u8]) {
        self.open.remove(&id);
        if self.watched == Some(id) {
            let code = match wire::entry(value) {
                Some(JournalEntry::Outcome(outcome)) => outcome.result_code,
                _ => "seeded".to_owned(),
            };
            self.watched_is = Watched::Ended(status, code);
        }
    }

    fn watch(&mut self, id: CommandId, is: Watched) {
        if self.watched == Some(id) {
            self.watched_is = is;
        }
    }
}

#[cfg(test)]
mod tests;
