//! `unrip status`: what executors may do, who holds which partition, what is open, in doubt or not published yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use unrip_bus::BusConfig;
use unrip_core::event::control::{FLEET, Mode, Modes, ScopeMode};
use unrip_core::event::result::{ResultStatus, TradeResult};
use unrip_core::{CommandId, Envelope, Timestamp, topic};
use unrip_service::{Clock, SystemClock};

use super::args::StatusArgs;
use super::groups::{self, GroupState};
use super::journal_reading::{Decision, FenceHolder, Journal, OpenClaim};
use super::reading::{self, Bounds};
use super::{print, status_text};
use crate::error::{self, Error};
use crate::modes;

/// Open claims listed per partition at most, the oldest first; the counts go on.
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
    /// The scope.
    pub scope: String,
    /// What is allowed.
    pub mode: Mode,
    /// Why.
    pub reason: String,
    /// By whom; null where the record cannot be read.
    pub set_by: Option<String>,
    /// When.
    pub set_at: Option<Timestamp>,
}

/// A partition of the journal.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionState {
    /// The partition.
    pub partition: i32,
    /// Its oldest offset.
    pub journal_start: i64,
    /// Its end.
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
    /// The command.
    pub command_id: CommandId,
    /// Its venue.
    pub venue: String,
    /// Its account.
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

/// Runs the command.
///
/// # Errors
/// The bus is away, or its topics were not made.
pub async fn run(args: &StatusArgs) -> Result<u8, Error> {
    let status = look(&args.bus.bus()?, SystemClock.now()).await?;
    let text = match args.json {
        true => serde_json::to_string(&status).map_err(|error| Error::Software(error.to_string()))?,
        false => status_text::text(&status),
    };
    print(&text);
    Ok(error::OK)
}

/// Looks at everything.
///
/// # Errors
/// The bus is away, or its topics were not made.
pub async fn look(bus: &BusConfig, now: Timestamp) -> Result<Status, Error> {
    let modes = modes::all(bus).await?;
    let mut journals: BTreeMap<i32, Journal> = BTreeMap::new();
    let bounds = reading::journal(bus, |bounds, record| {
        let start = bounds.get(&record.partition).map_or(0, |(start, _)| *start);
        journals.entry(record.partition).or_insert_with(|| Journal::new(start, None)).fold(record);
    })
    .await?;
    // Read after the journal: a result is published after its outcome, so none is missed.
    let results = reading::bounds(bus, topic::TRADE_RESULT).await?;
    reading::each(bus, topic::TRADE_RESULT, &results, |record| {
        let journal = journals.get_mut(&record.partition);
        if let (Some(journal), Ok(result)) = (journal, Envelope::<TradeResult>::decode(&record.value)) {
            journal.published(&result.payload.command_id);
        }
    })
    .await?;
    let commands = reading::bounds(bus, topic::EXECUTE_TRADE).await?;
    let venues: BTreeSet<&String> = journals.values().flat_map(|journal| journal.fences().keys()).collect();
    let mut all_groups = Vec::new();
    for venue in venues {
        all_groups.push(groups::state(bus, venue, &commands).await);
    }
    Ok(status(now, &modes, &bounds, &journals, all_groups))
}

fn status(
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
    now > open.claim.dispatch_by
}

fn claim_state(open: &OpenClaim, now: Timestamp) -> ClaimState {
    let command = &open.claim.command.payload;
    ClaimState {
        command_id: open.claim.command_id,
        venue: open.venue.clone(),
        account: command.account.clone(),
        venue_ref: command.venue_ref.clone(),
        claimed_at: open.claimed_at,
        deadline: open.claim.deadline,
        in_doubt: in_doubt(open, now),
        evidence: open.evidence.as_ref().map(|(status, _)| *status),
        decision: open.decision.clone(),
    }
}

impl Status {
    /// Whether somebody has set what the fleet may do.
    pub fn fleet_is_set(&self) -> bool {
        self.modes.iter().any(|mode| mode.scope == FLEET)
    }
}
