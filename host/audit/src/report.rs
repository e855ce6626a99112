//! What the audit says: counts, what is still open, and every broken promise that it saw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use unrip_core::CommandId;

/// Violations and overdue commands listed in a report at most; the counts include the rest.
pub const LISTED_MAX: usize = 100;

/// The audit's findings, as `/report` gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether everything that was on the bus when the report was asked for is in it.
    pub complete: bool,
    /// Commands accepted: each ends with exactly one result.
    pub commands: u64,
    /// Results by status; repeats are not counted.
    pub results: BTreeMap<String, u64>,
    /// Accepted commands without a result that are in doubt or whose time is not over.
    pub open: u64,
    /// Claimed commands that have not ended and of which the executor said `in_doubt`: of `open`, never of `overdue`.
    pub in_doubt: u64,
    /// How long the oldest of them is in doubt, in milliseconds: an alarm, not a broken promise.
    pub in_doubt_oldest_ms: u64,
    /// Accepted commands without a result after their deadline and the grace, and not in doubt.
    pub overdue: u64,
    /// The first of them.
    pub overdue_commands: Vec<CommandId>,
    /// Results written again with the same id and content: allowed without transactions.
    pub repeats: u64,
    /// Command records written again with the same id and content.
    pub command_repeats: u64,
    /// Command records with a known id and other content: the first stands.
    pub command_copies: u64,
    /// Command records that were never accepted, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Claims that count: each is at most one dispatch.
    pub claims: u64,
    /// Journal records without effect, by reason.
    pub journal_void: BTreeMap<String, u64>,
    /// Facts on the way, by state.
    pub statuses: BTreeMap<String, u64>,
    /// Ended commands that were forgotten to bound memory; what still comes of them is not judged.
    pub forgotten: u64,
    /// Records that were deleted before the audit read them: what they showed is not judged.
    pub lost_records: u64,
    /// Accepted commands without a result whose end may have been deleted by age: neither `open` nor `overdue`.
    pub unjudged: u64,
    /// All violations seen.
    pub violations_total: u64,
    /// The first of them.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Whether a promise is broken: a violation, or a command that should have ended and has not.
    pub fn broken(&self) -> bool {
        self.violations_total > 0 || self.overdue > 0
    }

    /// Results of all statuses.
    pub fn results_total(&self) -> u64 {
        self.results.values().sum()
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// What kind, snake_case.
    pub code: String,
    /// The command, where one is known.
    pub command_id: Option<CommandId>,
    /// The record that shows it.
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// What exactly.
    pub detail: String,
}
