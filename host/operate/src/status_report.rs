//! What `unrip status` reports: the object that `--json` prints, made from what was read.

use std::collections::BTreeMap;

use serde::Serialize;
use unrip_core::event::control::{FLEET, Mode, Modes, ScopeMode};
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp};

use crate::groups::GroupState;
use crate::journal_reading::{Decision, FenceHolder, Journal, OpenClaim};
use crate::reading::Bounds;

/// Open claims listed per partition at most, the oldest first; the counts are of all.
const LISTED_MAX: usize = 100;

/// Everything, as `--json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// When it was asked for.
    pub at: Timestamp,
    /// What the fleet may do; halted where nothing was set.
    pub fleet: Mode,
    /// What was set, by scope.
    pub modes: Vec<ModeState>,
    /// Claimed and not ended, over all partitions: signed actions may be out.
    pub open_claims: u64,
    /// Those of them whose time to be sent has passed: only the venue knows what became of them.
    pub in_doubt: u64,
    /// Ended commands whose results are not on the result topic yet.
    pub unpublished: u64,
    /// Each partition of the journal.
    pub partitions: Vec<PartitionState>,
    /// Each group of executors that ever fenced a partition.
    pub groups: Vec<GroupState>,
}

/// What was set for a scope.
#[derive(Clone, Debug, Serialize)]
pub struct ModeState {
    pub scope: String,
    /// What is allowed.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// Who set it; null where the record cannot be read.
    pub set_by: Option<String>,
    /// When.
    pub set_at: Option<Timestamp>,
}

/// A partition of the journal.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionState {
    pub partition: i32,
    /// Its oldest offset.
    pub journal_start: i64,
    pub journal_end: i64,
    /// The executor that may act, by venue.
    pub fences: BTreeMap<String, FenceHolder>,
    /// Claimed and not ended.
    pub open_claims: u64,
    /// Those of them whose time to be sent has passed.
    pub in_doubt: u64,
    /// The oldest of the open claims.
    pub claims: Vec<ClaimState>,
    /// Ended commands whose results are not published yet.
    pub unpublished: u64,
    /// The oldest of them.
    pub unpublished_oldest: Option<CommandId>,
}

/// An open claim.
#[derive(Clone, Debug, Serialize)]
pub struct ClaimState {
    pub command_id: CommandId,
    pub venue: String,
    pub account: String,
    /// The venue's own id of the opportunity.
    pub venue_ref: String,
    /// When it was claimed.
    pub claimed_at: Option<Timestamp>,
    /// The venue takes nothing after this time.
    pub deadline: Timestamp,
    /// Whether its time to be sent has passed.
    pub in_doubt: bool,
    /// What a fenced executor heard.
    pub evidence: Option<ResultStatus>,
    /// What a person decided.
    pub decision: Option<Decision>,
}

/// The report of what was read.
pub(crate) fn report(
    at: Timestamp,
    modes: &Modes,
    bounds: &Bounds,
    journals: &BTreeMap<i32, Journal>,
    groups: Vec<GroupState>,
) -> Status {
    let partitions: Vec<PartitionState> = bounds
        .iter()
        .map(|(partition, range)| partition_state(*partition, *range, journals.get(partition), at))
        .collect();
    Status {
        at,
        fleet: modes.fleet(),
        modes: modes.iter().map(|(scope, standing)| mode_state(scope, standing)).collect(),
        open_claims: partitions.iter().map(|one| one.open_claims).sum(),
        in_doubt: partitions.iter().map(|one| one.in_doubt).sum(),
        unpublished: partitions.iter().map(|one| one.unpublished).sum(),
        partitions,
        groups,
    }
}

fn mode_state(scope: &str, standing: &ScopeMode) -> ModeState {
    let (scope, mode) = (scope.to_owned(), standing.mode());
    match standing {
        ScopeMode::Set(set) => ModeState {
            scope,
            mode,
            reason: set.reason.clone(),
            set_by: Some(set.set_by.clone()),
            set_at: Some(set.set_at),
        },
        ScopeMode::Unreadable(error) => {
            ModeState { scope, mode, reason: format!("unreadable: {error}"), set_by: None, set_at: None }
        }
    }
}

fn partition_state(partition: i32, range: (i64, i64), journal: Option<&Journal>, now: Timestamp) -> PartitionState {
    let (journal_start, journal_end) = range;
    let mut state = PartitionState {
        partition,
        journal_start,
        journal_end,
        fences: BTreeMap::new(),
        open_claims: 0,
        in_doubt: 0,
        claims: Vec::new(),
        unpublished: 0,
        unpublished_oldest: None,
    };
    let Some(journal) = journal else { return state };
    state.fences.clone_from(journal.fences());
    state.open_claims = journal.open().len() as u64;
    state.in_doubt = journal.open().values().filter(|open| in_doubt(open, now)).count() as u64;
    state.claims = journal.open().values().take(LISTED_MAX).map(|open| claim_state(open, now)).collect();
    state.unpublished = journal.unpublished().len() as u64;
    state.unpublished_oldest = journal.unpublished().first().copied();
    state
}

/// Nothing is handed over after `dispatch_by`: what has not ended by then waits for the venue.
fn in_doubt(open: &OpenClaim, now: Timestamp) -> bool {
    now > open.head.dispatch_by
}

fn claim_state(open: &OpenClaim, now: Timestamp) -> ClaimState {
    let command = open.details().map(|(_, command)| command.payload);
    let (account, venue_ref) = command.map(|command| (command.account, command.venue_ref)).unwrap_or_default();
    ClaimState {
        command_id: open.head.id,
        venue: open.venue.clone(),
        account,
        venue_ref,
        claimed_at: open.claimed_at,
        deadline: open.head.deadline,
        in_doubt: in_doubt(open, now),
        evidence: open.evidence.as_ref().map(|(status, _)| *status),
        decision: open.decision.clone(),
    }
}

impl Status {
    /// Whether the fleet's mode is set.
    pub fn fleet_is_set(&self) -> bool {
        self.modes.iter().any(|mode| mode.scope == FLEET)
    }
}
