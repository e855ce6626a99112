//! What a prefix of the journal means: the rule that decides which claims and outcomes are valid (`RECORDS.md`, Validity).
//!
//! A claim is valid if and only if its fence is the newest fence of its venue before it, no earlier valid claim or
//! outcome has its `command_id`, and no earlier valid claim has its `idempotency_key`. An outcome is valid by the same
//! fence rule, the first per command. What is not valid has no effect.

use serde::{Deserialize, Serialize};
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp, Uuid};

/// What the protocol knows of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Head {
    /// The command.
    pub id: CommandId,
    /// Its venue: partitions are shared by the executors of several.
    pub venue: String,
    /// Id of the command's record.
    pub event_id: Uuid,
    /// Its offset in the command topic.
    pub offset: i64,
    /// At most one signed action is released per key.
    pub idempotency_key: String,
    /// Hash of the record's content.
    pub content_hash: String,
    /// Digests of the module and the configuration that made the record: tells `superseded` from `conflict`.
    pub origin: String,
    /// Nothing is handed to a socket after this time.
    pub dispatch_by: Timestamp,
    /// The expiry inside the signed payload.
    pub deadline: Timestamp,
}

/// The newest fence of a venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// Its offset: claims carry it.
    pub offset: i64,
    /// Its record's id: how a writer knows its own.
    pub event_id: Uuid,
}

/// What the journal holds of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// The command.
    pub head: Head,
    /// The valid claim's offset and fence.
    pub claim: Option<ClaimMark>,
    /// The valid outcome.
    pub outcome: Option<OutcomeMark>,
    /// What a fenced executor heard: offset of the first such record.
    pub evidence: Option<i64>,
    /// What a person decided: offset of the first such record.
    #[serde(default)]
    pub decision: Option<i64>,
}

impl Entry {
    /// Claimed and not ended: a signed action may be out.
    pub fn is_open(&self) -> bool {
        self.claim.is_some() && self.outcome.is_none()
    }
}

/// A valid claim's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClaimMark {
    /// Offset of the claim.
    pub offset: i64,
    /// Offset of its writer's fence.
    pub fence_offset: i64,
}

/// A valid outcome's place and verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutcomeMark {
    /// Offset of the outcome.
    pub offset: i64,
    /// How the command ended.
    pub status: ResultStatus,
}

/// A journal record as the rule sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// First record of a partition.
    Genesis,
    /// An executor takes over.
    Fence,
    /// An executor means to act.
    Claim {
        /// The command.
        head: Head,
        /// Offset of the writer's fence.
        fence_offset: i64,
    },
    /// A command ended.
    Outcome {
        /// The command.
        head: Head,
        /// Offset of the writer's fence.
        fence_offset: i64,
        /// How.
        status: ResultStatus,
    },
    /// A fenced executor heard an answer.
    Evidence {
        /// The command.
        id: CommandId,
    },
    /// A person decided how a command in doubt ends.
    Decision {
        /// The command.
        id: CommandId,
    },
    /// A lost journal held this ended command.
    Seed {
        /// The command.
        head: Head,
        /// Offset of the writer's fence.
        fence_offset: i64,
        /// Whether it held a valid claim.
        claimed: bool,
        /// How it ended.
        status: ResultStatus,
    },
    /// A command record is passed over.
    Skip {
        /// Its offset in the command topic.
        command_offset: i64,
        /// Offset of the writer's fence.
        fence_offset: i64,
    },
    /// Unreadable here, or of a kind that a newer program wrote: no effect.
    Unknown,
}

/// A fact and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Placed {
    /// Offset in the journal partition.
    pub offset: i64,
    /// The record's id.
    pub event_id: Uuid,
    /// The record's venue: fences count for their own venue only.
    pub venue: String,
    /// What it says.
    pub fact: Fact,
}

/// What a fact did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// A fence is now the newest of its venue.
    Fenced,
    /// The claim holds.
    ClaimValid,
    /// The claim has no effect.
    ClaimInvalid(Invalid),
    /// The outcome holds.
    OutcomeValid,
    /// The outcome has no effect.
    OutcomeInvalid(Invalid),
    /// Evidence was noted for an open command.
    EvidenceNoted,
    /// A person's decision was noted for an open command.
    DecisionNoted,
    /// The seed holds.
    SeedValid,
    /// The skip holds.
    SkipValid,
    /// Nothing changed.
    NoEffect,
}

/// Why a record has no effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// Its fence is not the newest of its venue.
    Fence,
    /// The command has a valid claim or outcome already.
    Command,
    /// This earlier command holds a valid claim of the same idempotency key.
    Key(CommandId),
}

/// What a fold knows: LMDB live, a map in tests and in the model checker.
pub trait FoldView {
    /// Why the store cannot answer.
    type Error;
    /// The newest fence of a venue.
    fn fence(&self, venue: &str) -> Result<Option<Fence>, Self::Error>;
    /// What the journal holds of a command.
    fn entry(&self, id: &CommandId) -> Result<Option<Entry>, Self::Error>;
    /// The command that holds a valid claim of this idempotency key.
    fn key_owner(&self, key: &str) -> Result<Option<CommandId>, Self::Error>;
    /// The command that was made from this record, if the journal holds one.
    fn event_owner(&self, event_id: &Uuid) -> Result<Option<CommandId>, Self::Error>;
    /// Every command of a venue that is claimed and has not ended.
    fn open_claims(&self, venue: &str) -> Result<Vec<Entry>, Self::Error>;
    /// Commands older than this are stale: what was known of them may be forgotten. It only moves forward.
    fn floor(&self) -> Result<Timestamp, Self::Error> {
        Ok(Timestamp::default())
    }
}

/// Where a fold is kept.
pub trait FoldStore: FoldView {
    /// Sets the newest fence of a venue.
    fn set_fence(&mut self, venue: &str, fence: Fence) -> Result<(), Self::Error>;
    /// Sets what the journal holds of a command.
    fn set_entry(&mut self, entry: &Entry) -> Result<(), Self::Error>;
    /// Sets the holder of an idempotency key.
    fn set_key_owner(&mut self, key: &str, id: &CommandId) -> Result<(), Self::Error>;
}

/// Applies one journal record to the fold. The only place where validity is decided.
pub fn apply<S: FoldStore>(store: &mut S, placed: &Placed) -> Result<Applied, S::Error> {
    match &placed.fact {
        Fact::Genesis | Fact::Unknown => Ok(Applied::NoEffect),
        Fact::Fence => {
            // Known by its event_id, its last copy counts: a retried append simply moves the fence on.
            store.set_fence(&placed.venue, Fence { offset: placed.offset, event_id: placed.event_id })?;
            Ok(Applied::Fenced)
        }
        Fact::Claim { head, fence_offset } => apply_claim(store, placed, head, *fence_offset),
        Fact::Outcome { head, fence_offset, status } => apply_outcome(store, placed, head, *fence_offset, *status),
        Fact::Evidence { id } => apply_evidence(store, placed, id),
        Fact::Decision { id } => apply_decision(store, placed, id),
        Fact::Seed { head, fence_offset, claimed, status } => {
            apply_seed(store, placed, head, *fence_offset, *claimed, *status)
        }
        Fact::Skip { fence_offset, .. } => {
            Ok(if holds_fence(store, placed, *fence_offset)? { Applied::SkipValid } else { Applied::NoEffect })
        }
    }
}

fn holds_fence<S: FoldStore>(store: &S, placed: &Placed, fence_offset: i64) -> Result<bool, S::Error> {
    Ok(store.fence(&placed.venue)?.is_some_and(|fence| fence.offset == fence_offset))
}

fn apply_claim<S: FoldStore>(
    store: &mut S,
    placed: &Placed,
    head: &Head,
    fence_offset: i64,
) -> Result<Applied, S::Error> {
    if !holds_fence(store, placed, fence_offset)? {
        return Ok(Applied::ClaimInvalid(Invalid::Fence));
    }
    // An entry exists only by a valid claim or a valid outcome.
    if store.entry(&head.id)?.is_some() {
        return Ok(Applied::ClaimInvalid(Invalid::Command));
    }
    if let Some(owner) = store.key_owner(&head.idempotency_key)? {
        return Ok(Applied::ClaimInvalid(Invalid::Key(owner)));
    }
    let claim = Some(ClaimMark { offset: placed.offset, fence_offset });
    store.set_entry(&Entry { head: head.clone(), claim, outcome: None, evidence: None, decision: None })?;
    store.set_key_owner(&head.idempotency_key, &head.id)?;
    Ok(Applied::ClaimValid)
}

fn apply_outcome<S: FoldStore>(
    store: &mut S,
    placed: &Placed,
    head: &Head,
    fence_offset: i64,
    status: ResultStatus,
) -> Result<Applied, S::Error> {
    if !holds_fence(store, placed, fence_offset)? {
        return Ok(Applied::OutcomeInvalid(Invalid::Fence));
    }
    let outcome = Some(OutcomeMark { offset: placed.offset, status });
    let entry = match store.entry(&head.id)? {
        Some(entry) if entry.outcome.is_some() => return Ok(Applied::OutcomeInvalid(Invalid::Command)),
        Some(entry) => Entry { outcome, ..entry },
        None => Entry { head: head.clone(), claim: None, outcome, evidence: None, decision: None },
    };
    store.set_entry(&entry)?;
    Ok(Applied::OutcomeValid)
}

fn apply_evidence<S: FoldStore>(store: &mut S, placed: &Placed, id: &CommandId) -> Result<Applied, S::Error> {
    match store.entry(id)? {
        Some(entry) if entry.is_open() && entry.evidence.is_none() => {
            store.set_entry(&Entry { evidence: Some(placed.offset), ..entry })?;
            Ok(Applied::EvidenceNoted)
        }
        _ => Ok(Applied::NoEffect),
    }
}

fn apply_decision<S: FoldStore>(store: &mut S, placed: &Placed, id: &CommandId) -> Result<Applied, S::Error> {
    match store.entry(id)? {
        Some(entry) if entry.is_open() && entry.decision.is_none() => {
            store.set_entry(&Entry { decision: Some(placed.offset), ..entry })?;
            Ok(Applied::DecisionNoted)
        }
        _ => Ok(Applied::NoEffect),
    }
}

fn apply_seed<S: FoldStore>(
    store: &mut S,
    placed: &Placed,
    head: &Head,
    fence_offset: i64,
    claimed: bool,
    status: ResultStatus,
) -> Result<Applied, S::Error> {
    if !holds_fence(store, placed, fence_offset)? || store.entry(&head.id)?.is_some() {
        return Ok(Applied::NoEffect);
    }
    let claim = claimed.then_some(ClaimMark { offset: placed.offset, fence_offset });
    let outcome = Some(OutcomeMark { offset: placed.offset, status });
    store.set_entry(&Entry { head: head.clone(), claim, outcome, evidence: None, decision: None })?;
    if claimed && store.key_owner(&head.idempotency_key)?.is_none() {
        store.set_key_owner(&head.idempotency_key, &head.id)?;
    }
    Ok(Applied::SeedValid)
}

/// A fold in memory: for a piece of journal that is read once, and for the model checker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct MemoryFold {
    fences: std::collections::BTreeMap<String, Fence>,
    entries: std::collections::BTreeMap<CommandId, Entry>,
    keys: std::collections::BTreeMap<String, CommandId>,
}

impl MemoryFold {
    /// Every command that the journal holds.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }
}

impl FoldView for MemoryFold {
    type Error = std::convert::Infallible;

    fn fence(&self, venue: &str) -> Result<Option<Fence>, Self::Error> {
        Ok(self.fences.get(venue).copied())
    }
    fn entry(&self, id: &CommandId) -> Result<Option<Entry>, Self::Error> {
        Ok(self.entries.get(id).cloned())
    }
    fn key_owner(&self, key: &str) -> Result<Option<CommandId>, Self::Error> {
        Ok(self.keys.get(key).copied())
    }
    fn event_owner(&self, event_id: &Uuid) -> Result<Option<CommandId>, Self::Error> {
        Ok(self.entries.values().find(|entry| entry.head.event_id == *event_id).map(|entry| entry.head.id))
    }
    fn open_claims(&self, venue: &str) -> Result<Vec<Entry>, Self::Error> {
        Ok(self.entries.values().filter(|entry| entry.is_open() && entry.head.venue == venue).cloned().collect())
    }
}

impl FoldStore for MemoryFold {
    fn set_fence(&mut self, venue: &str, fence: Fence) -> Result<(), Self::Error> {
        self.fences.insert(venue.to_owned(), fence);
        Ok(())
    }
    fn set_entry(&mut self, entry: &Entry) -> Result<(), Self::Error> {
        self.entries.insert(entry.head.id, entry.clone());
        Ok(())
    }
    fn set_key_owner(&mut self, key: &str, id: &CommandId) -> Result<(), Self::Error> {
        self.keys.insert(key.to_owned(), *id);
        Ok(())
    }
}
