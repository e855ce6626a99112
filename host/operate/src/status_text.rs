//! `unrip status` for people.

use std::fmt::Write as _;

use unrip_core::Timestamp;

use super::groups::GroupState;
use super::status_report::{ClaimState, PartitionState, Status};

/// Open claims shown per partition; `--json` lists more.
const SHOWN_MAX: usize = 10;

/// The text. Writing to a string does not fail, so the results are dropped.
pub fn text(status: &Status) -> String {
    let mut text = String::from("modes\n");
    if !status.fleet_is_set() {
        let _ = writeln!(text, "  fleet  halted (nothing was set; see `unrip resume --help`)");
    }
    for mode in &status.modes {
        let by = mode.set_by.as_deref().unwrap_or("?");
        let at = mode.set_at.map_or_else(|| "?".to_owned(), |at| at.to_string());
        let _ = writeln!(text, "  {}  {}, by {by} at {at}: {}", mode.scope, mode.mode.as_str(), mode.reason);
    }
    let _ = writeln!(text, "open claims {}, in doubt {}", status.open_claims, status.in_doubt);
    let _ = writeln!(text, "results not published yet {}", status.unpublished);
    for partition in &status.partitions {
        partition_text(&mut text, partition, status.at);
    }
    for group in &status.groups {
        group_text(&mut text, group);
    }
    if status.groups.is_empty() {
        let _ = writeln!(text, "no executor ever took a partition");
    }
    text
}

fn partition_text(text: &mut String, partition: &PartitionState, now: Timestamp) {
    let PartitionState { journal_start, journal_end, open_claims, in_doubt, unpublished, .. } = partition;
    let _ = writeln!(
        text,
        "partition {}  journal {journal_start}..{journal_end}, open {open_claims}, in doubt {in_doubt}, unpublished {unpublished}",
        partition.partition
    );
    for (venue, fence) in &partition.fences {
        let (executor, incarnation) = (&fence.executor_id, fence.incarnation);
        let since = fence.since.map_or_else(|| "?".to_owned(), |since| since.to_string());
        let _ = writeln!(text, "  {venue} held by {executor} ({incarnation}) since {since}");
    }
    for claim in partition.claims.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "  {}", claim_text(claim, now));
    }
    let hidden = open_claims.saturating_sub(partition.claims.len().min(SHOWN_MAX) as u64);
    if hidden > 0 {
        let _ = writeln!(text, "  and {hidden} more (--json lists 100)");
    }
    if let Some(oldest) = partition.unpublished_oldest {
        let _ = writeln!(text, "  oldest result not published: {oldest}");
    }
}

fn claim_text(claim: &ClaimState, now: Timestamp) -> String {
    let state = if claim.in_doubt { "in doubt" } else { "open" };
    let left = claim.deadline.millis_since(now);
    let deadline = match left {
        0.. => format!("in {left} ms"),
        _ => format!("{} ms ago", -left),
    };
    let mut text = format!(
        "{state} {} {} {}, deadline {} ({deadline})",
        claim.command_id, claim.venue, claim.venue_ref, claim.deadline
    );
    if claim.evidence.is_some() {
        text.push_str(", evidence noted");
    }
    if let Some(decision) = &claim.decision {
        let _ = write!(text, ", decided by {}", decision.decided_by);
    }
    text
}

fn group_text(text: &mut String, group: &GroupState) {
    let unknown = || "unknown".to_owned();
    let members = group.members.map_or_else(unknown, |members| members.to_string());
    let lag = group.lag.map_or_else(unknown, |lag| lag.to_string());
    let _ = writeln!(text, "group {}  members {members}, lag {lag}", group.group);
    for one in &group.partitions {
        let committed = one.committed.map_or_else(|| "nothing".to_owned(), |offset| offset.to_string());
        let _ = writeln!(text, "  partition {}  committed {committed} of {}, lag {}", one.partition, one.end, one.lag);
    }
}
