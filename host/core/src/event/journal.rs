//! The journal: fences, claims and outcomes, in the order that decides who may act.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::amount::Amount;
use crate::envelope::{AnyEnvelope, DecodeError, ModuleRef};
use crate::event::result::{Evidence, ResultStatus};
use crate::id::CommandId;
use crate::time::Timestamp;

/// The first record of each journal partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalGenesis {
    /// The same in all partitions of one journal.
    pub journal_id: Uuid,
    /// Partitions of the journal and of the command topic.
    pub partition_count: i32,
}

/// An executor takes a partition over for its venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalFence {
    /// The partition it stands in.
    pub partition: i32,
    /// Partitions of the journal.
    pub partition_count: i32,
    /// The journal's id.
    pub journal_id: Uuid,
    /// The executor, stable over restarts.
    pub executor_id: String,
    /// The executor's process, new with each start.
    pub incarnation: Uuid,
}

/// An executor means to act on a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalClaim {
    /// The command.
    pub command_id: CommandId,
    /// Its offset in the command topic.
    pub command_offset: i64,
    /// Hash of its content.
    pub content_hash: String,
    /// The whole envelope as read.
    pub command: serde_json::Value,
    /// Offset of the writer's fence.
    pub fence_offset: i64,
    /// As in the command, or earlier.
    pub dispatch_by: Timestamp,
    /// As in the command.
    pub deadline: Timestamp,
    /// Which key signs.
    pub key_id: String,
    /// The signing scheme, e.g. `nep413`.
    pub scheme: String,
    /// The exact unsigned bytes.
    pub action_base64: String,
    /// SHA-256 of those bytes, lower-case hex.
    pub action_digest: String,
    /// The component that prepared them.
    pub module: ModuleRef,
    /// What is promised while the action is open; the inventory holds it back until the deadline or the settlement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserves: Vec<Reserve>,
}

/// An amount of an asset that an open action promises.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Reserve {
    /// The asset.
    pub asset: String,
    /// Base units.
    pub amount: Amount,
}

/// How a command ended, before it is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalOutcome {
    /// The command.
    pub command_id: CommandId,
    /// Its offset in the command topic.
    pub command_offset: i64,
    /// Hash of its content.
    pub content_hash: String,
    /// The whole envelope as read; null where a claim holds it.
    pub command: Option<serde_json::Value>,
    /// Offset of the writer's fence.
    pub fence_offset: i64,
    /// How it ended.
    pub status: ResultStatus,
    /// The reason as a stable code.
    pub result_code: String,
    /// For people.
    pub note: Option<String>,
    /// How we know.
    pub evidence: Option<Evidence>,
}

/// What a fenced executor heard; the owner makes it an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEvidence {
    /// The command.
    pub command_id: CommandId,
    /// Offset of the writer's fence, no longer the newest.
    pub fence_offset: i64,
    /// What the venue's answer means.
    pub status: ResultStatus,
    /// The reason as a stable code.
    pub result_code: String,
    /// How we know.
    pub evidence: Evidence,
}

/// A command record that is passed over: it was never accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalSkip {
    /// Its offset in the command topic.
    pub command_offset: i64,
    /// Its id, where one could be read.
    pub command_id: Option<CommandId>,
    /// Offset of the writer's fence.
    pub fence_offset: i64,
    /// `stale`, `misrouted`, `poison`, `superseded` or `conflict`.
    pub reason_code: String,
}

/// A person's decision about a claimed command that stays in doubt. Not bound to a fence; the owner makes it an outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalDecision {
    /// The command.
    pub command_id: CommandId,
    /// How it ends.
    pub status: ResultStatus,
    /// Who decided.
    pub decided_by: String,
    /// Why.
    pub reason: String,
}

/// What a lost journal held of an ended command, written from an executor's state when the journal is made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalSeed {
    /// The command.
    pub command_id: CommandId,
    /// Its offset in the command topic.
    pub command_offset: i64,
    /// Id of its record.
    pub command_event_id: Uuid,
    /// Hash of its content.
    pub content_hash: String,
    /// Digests of the module and the configuration that made it.
    pub origin: String,
    /// Its idempotency key.
    pub idempotency_key: String,
    /// As in the command.
    pub dispatch_by: Timestamp,
    /// As in the command.
    pub deadline: Timestamp,
    /// Offset of the writer's fence.
    pub fence_offset: i64,
    /// Whether it held a valid claim: then its idempotency key is used up.
    pub claimed: bool,
    /// How it ended; its result is published.
    pub status: ResultStatus,
}

super::payload!(JournalGenesis, "journal_genesis");
super::payload!(JournalFence, "journal_fence");
super::payload!(JournalClaim, "journal_claim");
super::payload!(JournalOutcome, "journal_outcome");
super::payload!(JournalEvidence, "journal_evidence");
super::payload!(JournalSkip, "journal_skip");
super::payload!(JournalDecision, "journal_decision");
super::payload!(JournalSeed, "journal_seed");

/// Any record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalEntry {
    /// First record of a partition.
    Genesis(JournalGenesis),
    /// An executor takes over.
    Fence(JournalFence),
    /// An executor means to act.
    Claim(Box<JournalClaim>),
    /// A command ended.
    Outcome(Box<JournalOutcome>),
    /// A fenced executor heard an answer.
    Evidence(JournalEvidence),
    /// A command record is passed over.
    Skip(JournalSkip),
    /// A person's decision.
    Decision(JournalDecision),
    /// From a lost journal.
    Seed(JournalSeed),
    /// A kind that a newer program wrote: it has no effect here.
    Unknown(String),
}

impl JournalEntry {
    /// Reads the payload of a journal record by its event type.
    pub fn read(envelope: AnyEnvelope) -> Result<Self, DecodeError> {
        Ok(match envelope.event_type.as_str() {
            "journal_genesis" => Self::Genesis(envelope.typed()?.payload),
            "journal_fence" => Self::Fence(envelope.typed()?.payload),
            "journal_claim" => Self::Claim(Box::new(envelope.typed()?.payload)),
            "journal_outcome" => Self::Outcome(Box::new(envelope.typed()?.payload)),
            "journal_evidence" => Self::Evidence(envelope.typed()?.payload),
            "journal_skip" => Self::Skip(envelope.typed()?.payload),
            "journal_decision" => Self::Decision(envelope.typed()?.payload),
            "journal_seed" => Self::Seed(envelope.typed()?.payload),
            other => Self::Unknown(other.to_owned()),
        })
    }
}
