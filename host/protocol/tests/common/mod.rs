//! Facts for the protocol's tests.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod bench;
pub mod journal;
pub mod records;

use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Timestamp, Uuid};
use unrip_protocol::fold::{Fact, Head, Placed};
use unrip_protocol::partition::Refusal;

pub const VENUE: &str = "a-venue";
/// When the commands of these tests were made, in milliseconds.
pub const MADE_MS: i64 = 1_795_341_600_000;

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(MADE_MS + ms)
}

pub fn command(number: u128, key: &str) -> Head {
    let id = (u128::from(MADE_MS as u64) << 80) | number;
    Head {
        id: CommandId::from_bytes(id.to_be_bytes()),
        venue: VENUE.to_owned(),
        event_id: Uuid::from_u128(1_000 + number),
        offset: number as i64,
        idempotency_key: key.to_owned(),
        content_hash: format!("content-{number}"),
        origin: "module config".to_owned(),
        dispatch_by: at(3_000),
        deadline: at(65_000),
    }
}

pub fn placed(offset: i64, fact: Fact) -> Placed {
    Placed { offset, event_id: Uuid::from_u128(offset as u128 + 1), venue: VENUE.to_owned(), fact }
}

pub fn halted() -> Option<Refusal> {
    Some(Refusal { code: "halted".to_owned(), reason: String::new() })
}

pub fn fence() -> Fact {
    Fact::Fence
}

pub fn claim(head: &Head, fence_offset: i64) -> Fact {
    Fact::Claim { head: head.clone(), fence_offset }
}

pub fn outcome(head: &Head, fence_offset: i64, status: ResultStatus) -> Fact {
    Fact::Outcome { head: head.clone(), fence_offset, status }
}
