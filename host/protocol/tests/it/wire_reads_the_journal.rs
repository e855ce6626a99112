//! Journal records as facts: what is read quickly says the same as what is read slowly, and nonsense has no effect.

use crate::common::records::*;
use crate::common::{VENUE, at};
use serde_json::{Value, json};
use unrip_core::event::result::ResultStatus;
use unrip_core::{CommandId, Uuid};
use unrip_protocol::fold::{Fact, Head};
use unrip_protocol::intake;
use unrip_protocol::wire::{self, claimed_command};

fn id() -> CommandId {
    typed(&command_record()).payload.command_id
}

fn claim() -> Value {
    json!({
        "command_id": id(), "command_offset": 5, "content_hash": "hash", "command": command_record(), "fence_offset": 3,
        "dispatch_by": at(2_000), "deadline": at(60_000), "key_id": "key", "scheme": "nep413", "action_base64": "AA==",
        "action_digest": "00", "module": module("d", "c"),
    })
}

fn outcome(command: Value) -> Value {
    json!({
        "command_id": id(), "command_offset": 5, "content_hash": "hash", "command": command, "fence_offset": 3,
        "status": "expired", "result_code": "dispatch_by_passed", "note": null, "evidence": null,
    })
}

fn fact(event_type: &str, payload: Value) -> Fact {
    wire::read(4, bytes(&journal_record(event_type, payload))).placed.fact
}

/// The same with a text in it that only the slow way reads: an escape.
fn slowly(event_type: &str, payload: Value) -> Fact {
    let text = serde_json::to_string(&journal_record(event_type, payload)).unwrap();
    let escaped = text.replace("\"source\":\"execute\"", "\"source\":\"ex\\u0065cute\"");
    assert_ne!(text, escaped);
    wire::read(4, escaped.into_bytes()).placed.fact
}

fn claimed_head() -> Head {
    let head = intake::head(&typed(&command_record()), 5, "hash".to_owned());
    Head { dispatch_by: at(2_000), deadline: at(60_000), ..head }
}

#[test]
fn a_claim_brings_its_command_and_its_own_times() {
    let expected = Fact::Claim { head: claimed_head(), fence_offset: 3 };
    assert_eq!(fact("journal_claim", claim()), expected);
    assert_eq!(slowly("journal_claim", claim()), expected);
    let mut reserving = claim();
    reserving["reserves"] = json!([{ "asset": "a", "amount": "12" }]);
    assert_eq!(fact("journal_claim", reserving), expected);
    let record = wire::read(4, bytes(&journal_record("journal_claim", claim())));
    assert_eq!((record.placed.offset, record.placed.event_id), (4, Uuid::from_u128(9)));
    assert_eq!((record.placed.venue.as_str(), record.journal_id), (VENUE, None));
    assert_eq!(record.value, bytes(&journal_record("journal_claim", claim())));
}

#[test]
fn a_claim_without_its_own_command_claims_nothing() {
    let mut other = claim();
    other["command_id"] = json!(CommandId::from_bytes([1; 16]));
    let mut none = claim();
    none["command"] = json!({});
    let mut wrong = claim();
    wrong["command"]["event_type"] = json!("trade_result");
    let mut newer = claim();
    newer["command"]["schema_version"] = json!(99);
    for claim in [other, none, wrong, newer] {
        assert_eq!(fact("journal_claim", claim.clone()), Fact::Unknown);
        assert_eq!(slowly("journal_claim", claim.clone()), Fact::Unknown);
        if let Ok(claim) = serde_json::from_value(claim) {
            assert!(claimed_command(&claim).is_none());
        }
    }
}

#[test]
fn an_outcome_is_read_with_its_command_and_without() {
    let head = intake::head(&typed(&command_record()), 5, "hash".to_owned());
    let status = ResultStatus::Expired;
    let expected = Fact::Outcome { head, fence_offset: 3, status };
    assert_eq!(fact("journal_outcome", outcome(command_record())), expected);
    assert_eq!(slowly("journal_outcome", outcome(command_record())), expected);
    // The claim holds the command: nothing but the id is known here.
    let bare = Head {
        id: id(),
        venue: VENUE.to_owned(),
        event_id: Uuid::nil(),
        offset: 5,
        idempotency_key: String::new(),
        content_hash: "hash".to_owned(),
        origin: String::new(),
        dispatch_by: at(0),
        deadline: at(0),
    };
    let expected = Fact::Outcome { head: bare, fence_offset: 3, status };
    assert_eq!(fact("journal_outcome", outcome(Value::Null)), expected);
    assert_eq!(slowly("journal_outcome", outcome(Value::Null)), expected);
}

#[test]
fn a_type_that_only_seems_to_be_one_is_read_as_what_it_is() {
    // The name of another type stands early in the record.
    let mut skip = journal_record(
        "journal_skip",
        json!({
            "command_offset": 6, "command_id": null, "fence_offset": 3, "reason_code": "poison",
        }),
    );
    skip["correlation_id"] = Value::Null;
    for name in ["journal_claim", "journal_outcome"] {
        skip["event_id"] = json!(Uuid::from_u128(9));
        skip["source"] = json!(name);
        let read = wire::read(4, bytes(&skip)).placed.fact;
        assert_eq!(read, Fact::Skip { command_offset: 6, fence_offset: 3 });
    }
    let mut claim_of_the_future = journal_record("journal_claim", claim());
    claim_of_the_future["schema_version"] = json!(99);
    assert_eq!(wire::read(4, bytes(&claim_of_the_future)).placed.fact, Fact::Unknown);
    let mut outcome_of_the_future = journal_record("journal_outcome", outcome(Value::Null));
    outcome_of_the_future["schema_version"] = json!(99);
    assert_eq!(wire::read(4, bytes(&outcome_of_the_future)).placed.fact, Fact::Unknown);
}

#[test]
fn the_other_kinds_are_read() {
    let evidence = json!({ "kind": "venue_answer", "received_at": at(3), "venue_time": null, "action_digest": null,
        "detail": null });
    let said = json!({ "command_id": id(), "fence_offset": 3, "status": "executed", "result_code": "accepted",
        "evidence": evidence });
    assert_eq!(fact("journal_evidence", said), Fact::Evidence { id: id() });
    let decided = json!({ "command_id": id(), "status": "executed", "decided_by": "an operator", "reason": "seen" });
    assert_eq!(fact("journal_decision", decided), Fact::Decision { id: id() });
    assert_eq!(fact("journal_of_the_future", json!({})), Fact::Unknown);
    let journal_id = Uuid::from_u128(77);
    let genesis = json!({ "journal_id": journal_id, "partition_count": 6 });
    let record = wire::read(0, bytes(&journal_record("journal_genesis", genesis)));
    assert_eq!((record.placed.fact, record.journal_id), (Fact::Genesis, Some(journal_id)));
    // A second one, of a topic step that ran at the same time, names nothing.
    let genesis = json!({ "journal_id": Uuid::from_u128(8), "partition_count": 6 });
    let record = wire::read(1, bytes(&journal_record("journal_genesis", genesis)));
    assert_eq!((record.placed.fact, record.journal_id), (Fact::Genesis, None));
    let fence = json!({ "partition": 1, "partition_count": 6, "journal_id": journal_id, "executor_id": "one",
        "incarnation": Uuid::nil() });
    let record = wire::read(0, bytes(&journal_record("journal_fence", fence)));
    assert_eq!((record.placed.fact, record.journal_id), (Fact::Fence, Some(journal_id)));
}

#[test]
fn what_cannot_be_read_keeps_its_place_and_has_no_effect() {
    for value in [&b"no json"[..], b"{}", b"", b"\"journal_claim\"", b"\"journal_outcome\""] {
        let record = wire::read(4, value.to_vec());
        assert_eq!((record.placed.offset, record.placed.fact), (4, Fact::Unknown));
        assert!(wire::entry(value).is_none());
    }
}

#[test]
fn a_seed_brings_what_the_lost_journal_held() {
    let seed = json!({ "command_id": id(), "command_event_id": Uuid::from_u128(8), "command_offset": 5,
        "idempotency_key": "key", "content_hash": "hash", "origin": "origin", "dispatch_by": at(2), "deadline": at(3),
        "fence_offset": 3, "claimed": true, "status": "rejected" });
    let Fact::Seed { head, fence_offset, claimed, status } = fact("journal_seed", seed) else { panic!() };
    assert_eq!((fence_offset, claimed, status), (3, true, ResultStatus::Rejected));
    let expected = Head {
        id: id(),
        venue: VENUE.to_owned(),
        event_id: Uuid::from_u128(8),
        offset: 5,
        idempotency_key: "key".to_owned(),
        content_hash: "hash".to_owned(),
        origin: "origin".to_owned(),
        dispatch_by: at(2),
        deadline: at(3),
    };
    assert_eq!(head, expected);
}
