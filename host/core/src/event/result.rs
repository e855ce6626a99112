//! Results: what became of a command, said once; and the facts on the way there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::CommandId;
use crate::time::Timestamp;

/// The terminal result of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TradeResult {
    /// The command.
    pub command_id: CommandId,
    /// As in the command.
    pub idempotency_key: String,
    /// As in the command.
    pub execution_key: String,
    /// As in the command.
    pub venue_ref: String,
    /// How it ended.
    pub status: ResultStatus,
    /// The reason as a stable code.
    pub result_code: String,
    /// For people.
    pub note: Option<String>,
    /// How we know; never null once a claim exists.
    pub evidence: Option<Evidence>,
}

/// How a command ended (`RECORDS.md`, table of endings).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// The venue accepted.
    Executed,
    /// A gate, a limit, the module or the venue refused, definitively.
    Rejected,
    /// A claim exists, and it can no longer take effect.
    NotExecuted,
    /// `dispatch_by` passed and nothing was sent.
    Expired,
    /// The venue offers no way to know; a person decides.
    Unresolved,
}

impl ResultStatus {
    /// As it is written in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executed => "executed",
            Self::Rejected => "rejected",
            Self::NotExecuted => "not_executed",
            Self::Expired => "expired",
            Self::Unresolved => "unresolved",
        }
    }
}

/// How we know what a result says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Where the knowledge came from.
    pub kind: EvidenceKind,
    /// When the host learned it.
    pub received_at: Timestamp,
    /// The venue's own time, where it gave one.
    pub venue_time: Option<Timestamp>,
    /// SHA-256 of the unsigned bytes, lower-case hex, once a claim exists.
    pub action_digest: Option<String>,
    /// What was said, shortened.
    pub detail: Option<String>,
}

/// Where the knowledge came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// The venue's answer to what we sent.
    VenueAnswer,
    /// The venue's answer to a later question.
    VenueQuery,
    /// The state of the venue's chain.
    ChainQuery,
    /// Time passed with nothing sent.
    Expiry,
    /// The host itself, or a person.
    Host,
}

impl EvidenceKind {
    /// As it is written in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VenueAnswer => "venue_answer",
            Self::VenueQuery => "venue_query",
            Self::ChainQuery => "chain_query",
            Self::Expiry => "expiry",
            Self::Host => "host",
        }
    }
}

/// A non-terminal status update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TradeStatus {
    /// The command.
    pub command_id: CommandId,
    /// As in the command.
    pub venue_ref: String,
    /// What happened.
    pub state: StatusState,
    /// For people.
    pub detail: Option<String>,
}

/// Facts that end nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StatusState {
    /// The venue's answer is lost; the venue is being asked.
    InDoubt,
    /// The accepted answer took effect.
    Settled,
    /// The accepted answer failed.
    SettlementFailed,
    /// The accepted answer was never used and has run out.
    Lapsed,
    /// A person decided.
    ResolvedByOperator,
}

impl StatusState {
    /// As it is written in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InDoubt => "in_doubt",
            Self::Settled => "settled",
            Self::SettlementFailed => "settlement_failed",
            Self::Lapsed => "lapsed",
            Self::ResolvedByOperator => "resolved_by_operator",
        }
    }

    /// The output index in the status record's `event_id`.
    pub const fn index(self) -> u32 {
        match self {
            Self::InDoubt => 0,
            Self::Settled => 1,
            Self::SettlementFailed => 2,
            Self::Lapsed => 3,
            Self::ResolvedByOperator => 4,
        }
    }
}

super::payload!(TradeResult, "trade_result");
super::payload!(TradeStatus, "trade_status");

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same<T: Serialize>(value: T, name: &str) {
        assert_eq!(serde_json::to_value(value).unwrap(), name);
    }

    #[test]
    fn writes_names_as_serde_does() {
        use ResultStatus::{Executed, Expired, NotExecuted, Rejected, Unresolved};
        [Executed, Rejected, NotExecuted, Expired, Unresolved].into_iter().for_each(|it| same(it, it.as_str()));
        use StatusState::{InDoubt, Lapsed, ResolvedByOperator, Settled, SettlementFailed};
        [InDoubt, Settled, SettlementFailed, Lapsed, ResolvedByOperator]
            .into_iter()
            .for_each(|it| same(it, it.as_str()));
        use EvidenceKind::{ChainQuery, Expiry, Host, VenueAnswer, VenueQuery};
        [VenueAnswer, VenueQuery, ChainQuery, Expiry, Host].into_iter().for_each(|it| same(it, it.as_str()));
    }
}
