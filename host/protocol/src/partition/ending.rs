//! The endings that the protocol itself gives.

use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_core::{CommandId, Timestamp};

use super::{Ending, Known};

pub(super) fn host(now: Timestamp, detail: &str) -> Known {
    Known { kind: EvidenceKind::Host, received_at: now, venue_time: None, detail: Some(detail.to_owned()) }
}

pub(super) fn refused(code: String, reason: String) -> Ending {
    Ending { status: ResultStatus::Rejected, code, note: Some(reason), evidence: None }
}

pub(super) fn duplicate_key(owner: &CommandId, now: Timestamp) -> Ending {
    Ending {
        status: ResultStatus::Rejected,
        code: "duplicate_key".to_owned(),
        note: Some("an earlier command of this idempotency key holds a valid claim".to_owned()),
        evidence: Some(host(now, &owner.to_string())),
    }
}

pub(super) fn never_claimed(now: Timestamp) -> Ending {
    expired(now, "dispatch_by passed before a claim held")
}

pub(super) fn not_handed_in_time(now: Timestamp) -> Ending {
    expired(now, "dispatch_by passed and this process handed no byte to a socket")
}

pub(super) fn expired(now: Timestamp, detail: &str) -> Ending {
    let known = Known { kind: EvidenceKind::Expiry, ..host(now, detail) };
    Ending { status: ResultStatus::Expired, code: "dispatch_by_passed".to_owned(), note: None, evidence: Some(known) }
}
