//! What a journal partition means, by the rule of `core/RECORDS.md` (Validity). Only what is open is kept whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unrip_bus::Record;
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp, Uuid};

use super::journal_record::{ClaimSaid, Said, read};
use super::recent::Recent;

/// Ended commands and used keys that are remembered per partition, as fingerprints. Claims come within a minute of
/// their command, so a claim that repeats an older one is not to be expected.
const ENDED_MAX: usize = 1_000_000;

/// A partition of the journal, folded so far.
#[derive(Clone, Debug)]
pub struct Journal {
    start: i64,
    fences: BTreeMap<String, FenceHolder>,
    open: BTreeMap<CommandId, OpenClaim>,
    ended: Recent,
    keys: Recent,
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
    /// The executor, where its fence is still in the log.
    pub executor_id: Option<String>,
    /// Its process.
    pub incarnation: Option<Uuid>,
    /// When the broker took the fence.
    pub since: Option<Timestamp>,
}

/// A command that is claimed and has not ended: a signed action may be out.
#[derive(Clone, Debug)]
pub struct OpenClaim {
    /// Offset of the claim.
    pub offset: i64,
    /// When the broker took it.
    pub claimed_at: Option<Timestamp>,
    /// The venue.
    pub venue: String,
    /// What it says.
    pub claim: ClaimSaid,
    /// What a fenced executor heard.
    pub evidence: Option<(ResultStatus, String)>,
    /// What a person decided.
    pub decision: Option<Decision>,
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
    /// It ended so.
    Ended(ResultStatus, String),
}

impl Journal {
    /// Nothing read yet; the log starts at `start`. `watched` is what is asked about, if something is.
    pub fn new(start: i64, watched: Option<CommandId>) -> Self {
        Self {
            start,
            fences: BTreeMap::new(),
            open: BTreeMap::new(),
            ended: Recent::new(ENDED_MAX),
            keys: Recent::new(ENDED_MAX),
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
        let (venue, event_id, said) = read(&record.value);
        let at = record.timestamp.millis().map(Timestamp::from_millis);
        match said {
            Said::Fence(fence) => {
                let holder = FenceHolder {
                    offset: record.offset,
                    executor_id: Some(fence.executor_id),
                    incarnation: Some(fence.incarnation),
                    since: at,
                };
                self.fences.insert(venue, holder);
            }
            Said::Claim(claim) => self.claim(record.offset, at, venue, *claim),
            Said::Outcome(said) if self.holds_fence(&venue, said.fence_offset) => {
                self.end(said.command_id, said.status, said.result_code);
            }
            Said::Evidence(said) => {
                if let Some(open) = self.open.get_mut(&said.command_id) {
                    open.evidence.get_or_insert((said.status, said.result_code));
                }
            }
            Said::Decision(said) => {
                let (status, decided_by, reason) = (said.status, said.decided_by, said.reason);
                if let Some(open) = self.open.get_mut(&said.command_id) {
                    open.decision.get_or_insert(Decision { event_id, status, decided_by, reason });
                }
            }
            Said::Seed(seed) if self.holds_fence(&venue, seed.fence_offset) && !self.holds(&seed.command_id) => {
                if seed.claimed {
                    self.keys.add(&seed.idempotency_key);
                }
                self.end(seed.command_id, seed.status, "seeded".to_owned());
                // Its result is published; the topic may have dropped it by age.
                self.unpublished.remove(&seed.command_id);
            }
            Said::Outcome(_) | Said::Seed(_) | Said::Nothing => {}
        }
    }

    fn claim(&mut self, offset: i64, claimed_at: Option<Timestamp>, venue: String, claim: ClaimSaid) {
        let id = claim.command_id;
        let key = &claim.command.payload.idempotency_key;
        let valid = self.holds_fence(&venue, claim.fence_offset) && !self.holds(&id) && !self.keys.has(key);
        if valid {
            self.keys.add(key);
            self.open.insert(id, OpenClaim { offset, claimed_at, venue, claim, evidence: None, decision: None });
        }
        if self.watched == Some(id) {
            match (valid, &self.watched_is) {
                (true, _) => self.watched_is = Watched::Claimed,
                (false, Watched::Unknown) => self.watched_is = Watched::Void,
                (false, _) => {}
            }
        }
    }

    fn end(&mut self, id: CommandId, status: ResultStatus, code: String) {
        if self.ended.has(&id) {
            return;
        }
        self.open.remove(&id);
        self.ended.add(&id);
        self.unpublished.insert(id);
        if self.unpublished.len() > ENDED_MAX {
            self.unpublished.pop_first();
        }
        if self.watched == Some(id) {
            self.watched_is = Watched::Ended(status, code);
        }
    }

    fn holds(&self, id: &CommandId) -> bool {
        self.open.contains_key(id) || self.ended.has(id)
    }

    /// Whether the fence is the newest of its venue. One that the log has dropped by age is known by its offset alone.
    fn holds_fence(&mut self, venue: &str, fence_offset: i64) -> bool {
        match self.fences.get(venue) {
            Some(known) if known.offset == fence_offset => true,
            Some(known) if known.offset > fence_offset || fence_offset >= self.start => false,
            None if fence_offset >= self.start => false,
            Some(_) | None => {
                let dropped = FenceHolder { offset: fence_offset, executor_id: None, incarnation: None, since: None };
                self.fences.insert(venue.to_owned(), dropped);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests;
