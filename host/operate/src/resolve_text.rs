//! What `unrip resolve` says.

use std::time::Duration;

use unrip_core::event::command::ExecuteTrade;
use unrip_core::event::journal::JournalClaim;
use unrip_core::event::result::{ResultStatus, TradeResult};
use unrip_core::{CommandId, Envelope, Timestamp};

use super::args::Decided;
use super::journal_reading::{Decision, OpenClaim, Watched};

/// The claim that is decided about.
pub fn claim(partition: i32, open: &OpenClaim, claim: &JournalClaim, command: &Envelope<ExecuteTrade>) -> String {
    let command = &command.payload;
    let action = serde_json::to_string(&command.action).unwrap_or_default();
    let at = open.claimed_at.map_or_else(|| "?".to_owned(), |at| at.to_string());
    format!(
        "command   {} of strategy {}\n\
         venue     {}, account {}, reference {}\n\
         action    {action}\n\
         claimed   at {at}, partition {partition}, offset {}\n\
         digest    {}\n\
         deadline  {}",
        claim.command_id,
        command.strategy,
        open.venue,
        command.account,
        command.venue_ref,
        open.offset,
        claim.action_digest,
        claim.deadline,
    )
}

/// There is nothing to decide.
pub fn not_open(id: CommandId, known: &Watched) -> String {
    match known {
        Watched::Ended(status, code) => format!("{id}: refused, it has ended: {} ({code})", status.as_str()),
        Watched::Void => format!(
            "{id}: refused, the journal holds no valid claim of it: what claimed it was fenced or came second, so nothing was sent"
        ),
        Watched::Unknown | Watched::Claimed => format!(
            "{id}: refused, the journal holds no claim of it: nothing was sent; `unrip status` lists what is open"
        ),
    }
}

/// The venue was heard.
pub fn evidence(id: CommandId, status: ResultStatus, code: &str) -> String {
    format!(
        "{id}: refused, an answer of the venue is in the journal already: {} ({code}); the executor that owns the partition makes it the result",
        status.as_str()
    )
}

/// The venue may still take the action.
pub fn too_early(id: CommandId, deadline: Timestamp, from: Timestamp) -> String {
    format!(
        "{id}: refused, the venue may still take the answer: its deadline is {deadline}; rejected and not_executed can be decided after {from}"
    )
}

/// An earlier decision says something else.
pub fn decided_otherwise(id: CommandId, earlier: &Decision) -> String {
    let Decision { decided_by, reason, .. } = earlier;
    format!(
        "{id}: refused, {decided_by} has decided already that it is {} ({reason}); the first decision counts",
        earlier.status.as_str()
    )
}

/// Before the decision is written.
pub fn question(decided: Decided) -> String {
    format!("Decide that it is {}? This is final. Type yes:", decided.status().as_str())
}

/// The decision waits for its executor.
pub fn no_result_yet(id: CommandId, decision: i64, waited: Duration, group: &str, members: Option<usize>) -> String {
    let why = match members {
        Some(0) => format!("no executor is active (group {group} has no members): start one"),
        Some(members) => format!("group {group} has {members} members: see their logs and `unrip status`"),
        None => format!("if no executor of group {group} is active, start one"),
    };
    let waited = waited.as_secs_f64();
    format!("{id}: the decision stands (journal offset {decision}) and no result came within {waited} s; {why}")
}

pub fn result(result: &TradeResult) -> String {
    let evidence = result.evidence.as_ref().map(|evidence| {
        format!(", evidence {}: {}", evidence.kind.as_str(), evidence.detail.as_deref().unwrap_or("no detail"))
    });
    let evidence = evidence.unwrap_or_default();
    format!("result    {} ({}){evidence}", result.status.as_str(), result.result_code)
}
