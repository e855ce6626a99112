//! What a record of the command topic is: a command of ours, one of another venue, or nothing that can be accepted.

use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::command::{
    DEADLINE_MS_MAX, DISPATCH_WINDOW_MS_MAX, ExecuteTrade, execution_key, idempotency_key,
};
use unrip_core::partition::partition_for;
use unrip_core::{Envelope, Timestamp};

use super::decision::CLOCK_SKEW_MS_DEFAULT;
use super::fold::Head;
use super::partition::Refusal;

/// Bounds that a command must keep; RECORDS gives the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Furthest that `deadline` may lie after the cause's time, in milliseconds.
    pub deadline_ms_max: i64,
    /// Furthest that `dispatch_by` may lie after the cause's time, in milliseconds.
    pub dispatch_window_ms_max: i64,
    /// How far two clocks may differ, in milliseconds.
    pub clock_skew_ms_max: i64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            deadline_ms_max: DEADLINE_MS_MAX,
            dispatch_window_ms_max: DISPATCH_WINDOW_MS_MAX,
            clock_skew_ms_max: CLOCK_SKEW_MS_DEFAULT,
        }
    }
}

/// A record of the command topic, judged.
#[derive(Clone, Debug)]
pub enum Intake {
    /// A command for this executor's venue.
    Ours {
        /// What the protocol needs.
        head: Head,
        /// The command, typed.
        command: Box<Envelope<ExecuteTrade>>,
        /// The whole envelope as read: the claim keeps it.
        envelope: serde_json::Value,
    },
    /// A command for another venue's executor.
    Foreign,
    /// Nothing that can be accepted: a dead letter and a skip.
    Unacceptable(Unacceptable),
}

/// Why a record is never accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unacceptable {
    /// `poison` or `misrouted`.
    pub code: &'static str,
    /// For people.
    pub reason: String,
    /// The command's id, where one could be read.
    pub id: Option<unrip_core::CommandId>,
}

/// A record as it came from the command topic.
#[derive(Clone, Copy, Debug)]
pub struct CommandRecord<'a> {
    /// Partition it came from.
    pub partition: i32,
    /// Partitions of the topic.
    pub partitions: i32,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: &'a [u8],
}

/// Judges a record for the executor of `venue`.
pub fn judge(record: CommandRecord<'_>, venue: &str) -> Intake {
    let poison = |reason: String| Intake::Unacceptable(Unacceptable { code: "poison", reason, id: None });
    let any = match AnyEnvelope::read(record.value) {
        Ok(any) => any,
        Err(error) => return poison(error.to_string()),
    };
    if any.venue != venue {
        return Intake::Foreign;
    }
    let content_hash = match any.content_hash() {
        Ok(hash) => hash,
        Err(error) => return poison(error.to_string()),
    };
    let envelope = match serde_json::from_slice(record.value) {
        Ok(value) => value,
        Err(error) => return poison(error.to_string()),
    };
    let command: Envelope<ExecuteTrade> = match any.typed() {
        Ok(command) => command,
        Err(error) => return poison(error.to_string()),
    };
    if let Some(reason) = misrouted(record, &command) {
        let id = Some(command.payload.command_id);
        return Intake::Unacceptable(Unacceptable { code: "misrouted", reason, id });
    }
    Intake::Ours { head: head(&command, record.offset, content_hash), command: Box::new(command), envelope }
}

/// What the protocol needs of a command.
pub fn head(command: &Envelope<ExecuteTrade>, offset: i64, content_hash: String) -> Head {
    let payload = &command.payload;
    Head {
        id: payload.command_id,
        venue: command.venue.clone(),
        event_id: command.event_id,
        offset,
        idempotency_key: payload.idempotency_key.clone(),
        content_hash,
        origin: command.module.as_ref().map(|module| origin(&module.digest, &module.config_digest)).unwrap_or_default(),
        dispatch_by: payload.dispatch_by,
        deadline: payload.deadline,
    }
}

/// The digests that tell a newer module or setting (`superseded`) from one that contradicts itself (`conflict`).
pub(super) fn origin(digest: &str, config_digest: &str) -> String {
    format!("{digest} {config_digest}")
}

fn misrouted(record: CommandRecord<'_>, command: &Envelope<ExecuteTrade>) -> Option<String> {
    let payload = &command.payload;
    let key = execution_key(&command.venue, &payload.account);
    if payload.execution_key != key {
        return Some(format!("execution_key is `{}`, venue and account make `{key}`", payload.execution_key));
    }
    let idempotency = idempotency_key(&key, &payload.venue_ref);
    if payload.idempotency_key != idempotency {
        return Some(format!("idempotency_key is `{}`, should be `{idempotency}`", payload.idempotency_key));
    }
    if record.key != Some(key.as_bytes()) {
        return Some("the record's key is not its execution_key".to_owned());
    }
    let expected = partition_for(key.as_bytes(), record.partitions);
    if record.partition != expected {
        return Some(format!("partition {} is not the execution_key's partition {expected}", record.partition));
    }
    if !payload.command_id.matches_key(&key) {
        return Some("command_id was made for another execution_key".to_owned());
    }
    if payload.command_id.time() != command.observed_at.cut_to_millis() {
        return Some("command_id was made for another observed_at".to_owned());
    }
    None
}

/// Why a command breaks the time bounds.
pub fn out_of_bounds(head: &Head, now: Timestamp, bounds: &Bounds) -> Option<Refusal> {
    let refusal = |code: &str, reason: String| Some(Refusal { code: code.to_owned(), reason });
    let made = head.id.time();
    if made.millis_since(now) > bounds.clock_skew_ms_max {
        return refusal("limit_clock_skew", format!("the command's time {made} lies ahead of the clock"));
    }
    // One millisecond of grace: the id holds whole milliseconds, the limits count from microseconds.
    if head.deadline.millis_since(made) > bounds.deadline_ms_max + 1 {
        let reason = format!("deadline is more than {} ms after the cause", bounds.deadline_ms_max);
        return refusal("limit_deadline", reason);
    }
    if head.dispatch_by.millis_since(made) > bounds.dispatch_window_ms_max + 1 || head.dispatch_by > head.deadline {
        let window = bounds.dispatch_window_ms_max;
        let reason = format!("dispatch_by is after deadline or more than {window} ms after the cause");
        return refusal("limit_dispatch_window", reason);
    }
    None
}
