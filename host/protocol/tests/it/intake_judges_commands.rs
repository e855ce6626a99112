//! What a record of the command topic is: ours, another venue's, or nothing that can be accepted.

use crate::common::records::*;
use crate::common::{VENUE, at, command};
use serde_json::{Value, json};
use unrip_core::CommandId;
use unrip_core::envelope::AnyEnvelope;
use unrip_protocol::fold::Head;
use unrip_protocol::intake::{Bounds, CommandRecord, Intake, judge, out_of_bounds};

fn judged(record: &Value) -> Intake {
    judged_at(partition_of(KEY), Some(KEY), &bytes(record))
}

fn judged_at(partition: i32, key: Option<&str>, value: &[u8]) -> Intake {
    let key = key.map(str::as_bytes);
    judge(CommandRecord { partition, partitions: PARTITIONS, offset: 5, key, value }, VENUE)
}

#[track_caller]
fn refused(intake: Intake) -> (&'static str, bool) {
    match intake {
        Intake::Unacceptable(why) => (why.code, why.id.is_some()),
        other => panic!("{other:?}"),
    }
}

fn changed(path: &str, value: Value) -> Value {
    let mut record = command_record();
    *record.pointer_mut(path).unwrap() = value;
    record
}

#[test]
fn a_command_of_ours_brings_all_that_the_protocol_needs() {
    let record = command_record();
    let Intake::Ours { head, command, envelope } = judged(&record) else { panic!() };
    let content_hash = AnyEnvelope::read(&bytes(&record)).unwrap().content_hash().unwrap();
    let expected = Head {
        id: command.payload.command_id,
        venue: VENUE.to_owned(),
        event_id: unrip_core::Uuid::from_u128(8),
        offset: 5,
        idempotency_key: format!("{KEY}/a-quote"),
        content_hash,
        origin: "sha256:aa bb".to_owned(),
        dispatch_by: at(3_000),
        deadline: at(65_000),
    };
    assert_eq!(head, expected);
    assert_eq!(envelope, record);
    let Intake::Ours { head, .. } = judged(&changed("/module", Value::Null)) else { panic!() };
    assert_eq!(head.origin, "");
}

#[test]
fn another_venues_commands_are_passed_by() {
    assert!(matches!(judged(&changed("/venue", json!("another"))), Intake::Foreign));
}

#[test]
fn what_is_no_command_is_poison() {
    let value = [&b"no json"[..], b"{}", b"[1]"];
    value.iter().for_each(|value| assert_eq!(refused(judged_at(0, None, value)), ("poison", false)));
    assert_eq!(refused(judged(&changed("/event_type", json!("trade_result")))), ("poison", false));
    assert_eq!(refused(judged(&changed("/schema_version", json!(99)))), ("poison", false));
    assert_eq!(refused(judged(&changed("/payload/deadline", json!("tomorrow")))), ("poison", false));
}

#[test]
fn keys_partition_and_id_must_belong_together() {
    let other = CommandId::new(at(0), "a-venue/another", unrip_core::Uuid::from_u128(7), "a-strategy", 0);
    let later = CommandId::new(at(1), KEY, unrip_core::Uuid::from_u128(7), "a-strategy", 0);
    for record in [
        changed("/payload/execution_key", json!("a-venue/another")),
        changed("/payload/idempotency_key", json!(format!("{KEY}/another"))),
        changed("/payload/account", json!("another")),
        changed("/payload/venue_ref", json!("another")),
        changed("/payload/command_id", json!(other)),
        changed("/payload/command_id", json!(later)),
        changed("/observed_at", json!(at(1))),
    ] {
        assert_eq!(refused(judged(&record)), ("misrouted", true));
    }
    let value = bytes(&command_record());
    let elsewhere = (partition_of(KEY) + 1) % PARTITIONS;
    assert_eq!(refused(judged_at(elsewhere, Some(KEY), &value)), ("misrouted", true));
    assert_eq!(refused(judged_at(partition_of(KEY), Some("a-venue/another"), &value)), ("misrouted", true));
    assert_eq!(refused(judged_at(partition_of(KEY), None, &value)), ("misrouted", true));
}

#[test]
fn times_within_their_bounds_are_taken_and_beyond_them_named() {
    let bounds = Bounds { deadline_ms_max: 610_000, dispatch_window_ms_max: 60_000, clock_skew_ms_max: 2_000 };
    let named = |dispatch_by, deadline, now| {
        let head = Head { dispatch_by: at(dispatch_by), deadline: at(deadline), ..command(1, "key") };
        out_of_bounds(&head, at(now), &bounds).map(|refusal| refusal.code)
    };
    assert_eq!(named(3_000, 65_000, 1), None);
    // The clock may lag by the skew; the id holds whole milliseconds, so the limits have one of grace.
    assert_eq!(named(3_000, 65_000, -2_000), None);
    assert_eq!(named(3_000, 65_000, -2_001), Some("limit_clock_skew".to_owned()));
    assert_eq!(named(3_000, 610_001, 1), None);
    assert_eq!(named(3_000, 610_002, 1), Some("limit_deadline".to_owned()));
    assert_eq!(named(60_001, 65_000, 1), None);
    assert_eq!(named(60_002, 65_000, 1), Some("limit_dispatch_window".to_owned()));
    assert_eq!(named(65_000, 65_000, 65_000), Some("limit_dispatch_window".to_owned()));
    assert_eq!(named(30_000, 30_000, 1), None);
    assert_eq!(named(30_001, 30_000, 1), Some("limit_dispatch_window".to_owned()));
}
