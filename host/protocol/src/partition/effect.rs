//! What comes into a partition's state machine and what it wants done.

use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_core::{CommandId, Timestamp, Uuid};

use crate::fold::{Applied, Head, Placed};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The group gave this partition to this executor.
    Assigned(Assignment),
    /// The group takes it away in an orderly way; finish what is in flight.
    Revoked,
    /// The group took it away: another executor may own it already.
    Lost,
    /// A journal record is in the fold and the fold is on disk.
    Folded {
        /// The record.
        placed: Placed,
        /// What it did.
        applied: Applied,
        /// The broker's time of its append.
        appended_at: Timestamp,
    },
    /// A command record was read.
    Command(Incoming),
    /// The module prepared an action, or did not.
    Prepared(CommandId, Preparation),
    /// The one send came to an end.
    SendEnded(CommandId, SendEnd),
    /// The venue said something definite about a command.
    Heard(CommandId, Ending),
    /// The connection that should bring the answer is gone.
    AnswerLost(CommandId),
    /// The module's next step in a doubt.
    Resolved(CommandId, Resolution),
    /// Time passed.
    Tick,
}

/// A partition given to this executor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Assignment {
    /// Id of the fence to append.
    pub fence_event_id: Uuid,
    /// Where reading of commands begins.
    pub next_offset: i64,
    /// Commands older than this are stale: the journal's beginning.
    pub floor: Timestamp,
    /// When the first fence of the journal was appended, if one was.
    pub first_fence_at: Option<Timestamp>,
    /// The command topic holds commands of a life before this journal.
    pub earlier_life: bool,
}

/// A record of the command topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Incoming {
    /// A command of ours; with a refusal it ends before a claim.
    Ours(Head, Option<Refusal>),
    /// For another venue's executor.
    Foreign {
        /// Its offset.
        offset: i64,
    },
    /// Never acceptable: `poison` or `misrouted`.
    Unacceptable {
        /// Its offset.
        offset: i64,
        /// Its id, where one could be read.
        id: Option<CommandId>,
        /// Why.
        code: &'static str,
        /// For people.
        reason: String,
    },
}

/// Why a gate or a limit refuses a command before its claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// `halted`, `limit_…`.
    pub code: String,
    /// For people.
    pub reason: String,
}

/// What the module made of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Preparation {
    /// Bytes to sign; the host keeps them.
    Ready,
    /// Not now; ask again.
    NotYet,
    /// Never.
    Never {
        /// `module_refused` or the like.
        code: String,
        /// For people.
        reason: String,
    },
}

/// How the one send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendEnd {
    /// A gate closed before any byte was handed over: `halted`, `limit_…`.
    Refused(&'static str),
    /// No socket took it and no byte was handed over; it may be tried until `dispatch_by`.
    NotHanded,
    /// Bytes were handed over: it may have been sent.
    Handed,
}

/// The module's next step in a doubt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Resolution {
    /// Decided.
    Final(Ending),
    /// Ask again at this time.
    WaitUntil(Timestamp),
}

/// How a command ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ending {
    /// The terminal status.
    pub status: ResultStatus,
    /// The reason as a stable code.
    pub code: String,
    /// For people.
    pub note: Option<String>,
    /// How we know; `None` only where no claim exists.
    pub evidence: Option<Known>,
}

/// How we know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Known {
    /// Where the knowledge came from.
    pub kind: EvidenceKind,
    /// When.
    pub received_at: Timestamp,
    /// The venue's own time.
    pub venue_time: Option<Timestamp>,
    /// What was said.
    pub detail: Option<String>,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Append the fence with this id.
    AppendFence(Uuid),
    /// The partition is this executor's: read commands, publish what is unpublished.
    Activated,
    /// Ask the module for the bytes.
    Prepare(CommandId),
    /// Append the claim with the prepared bytes.
    AppendClaim {
        /// The command.
        id: CommandId,
        /// Of the writer's fence.
        fence_offset: i64,
    },
    /// Sign the claimed bytes and send them once, if every gate is open.
    Dispatch(CommandId),
    /// Append an outcome.
    AppendOutcome {
        /// The command.
        head: Head,
        /// Of the writer's fence.
        fence_offset: i64,
        /// How it ended.
        ending: Ending,
    },
    /// Append an outcome that says what the noted evidence says.
    AdoptEvidence {
        /// The command.
        head: Head,
        /// Of the writer's fence.
        fence_offset: i64,
    },
    /// Say who decided, and append an outcome that says what the noted decision says.
    AdoptDecision {
        /// The command.
        head: Head,
        /// Of the writer's fence.
        fence_offset: i64,
    },
    /// Append what a fenced executor heard.
    AppendEvidence {
        /// The command.
        id: CommandId,
        /// Of the writer's fence, no longer the newest.
        fence_offset: i64,
        /// What was heard.
        ending: Ending,
    },
    /// Append a skip, after the dead letter of the record that is passed over.
    AppendSkip {
        /// The record's offset.
        offset: i64,
        /// Its id, where one could be read.
        id: Option<CommandId>,
        /// Of the writer's fence.
        fence_offset: i64,
        /// Why.
        code: &'static str,
        /// The words of the dead letter, to be made of the record just read. `None`: append the same letter again.
        letter: Option<String>,
    },
    /// Say that the command is in doubt.
    SayInDoubt(CommandId),
    /// Ask the module for the next step in a doubt, and ask the venue what it says.
    Resolve(CommandId),
    /// The outcome is in the log: publish its result, and settle what the command promised.
    Ended(CommandId),
    /// Commit this offset of the command topic.
    Commit(i64),
    /// A newer fence was read: leave the group and join it again.
    Rejoin,
}
