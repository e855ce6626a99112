//! The records that are made of what a strategy decides, with no module.

use std::collections::BTreeMap;
use std::sync::Arc;

use unrip_bus::{Outgoing, Record, RecordTime};
use unrip_core::event::canonical::{SwapDemand, Trade};
use unrip_core::event::command::{Action, DEADLINE_MS_MAX, DISPATCH_WINDOW_MS_MAX, ExecuteTrade};
use unrip_core::id::derived_event_id;
use unrip_core::{Amount, CommandId, Envelope, ModuleRef, Timestamp, Uuid, partition};
use unrip_engine::reactor::{Command, Decision};
use unrip_service::metrics::Registry;
use unrip_service::pipeline::{Read, Step};
use unrip_service::{Ids, SystemClock};

use super::bounds::CommandBounds;
use super::stage::Writer;
use super::tally::Tally;

fn decline() -> Decision {
    Decision::Decline("not_configured".into())
}

fn command(dispatch_ms: i64) -> Decision {
    Decision::Command(Command {
        account: "solver.example".into(),
        venue_ref: "00000000-0000-0000-0000-0000000000aa".into(),
        dispatch_by: seen().plus_millis(dispatch_ms),
        deadline: seen().plus_millis(65_000).cut_to_millis(),
        reason: "a test".into(),
        inputs: vec![],
        action: Action::SwapAnswer {
            quote_id: "00000000-0000-0000-0000-0000000000aa".into(),
            asset_in: "a".into(),
            asset_out: "b".into(),
            amount_in: Amount(5),
            amount_out: Amount(4),
            amount_fixed: None,
        },
    })
}

// The example vector of RECORDS.
const CAUSE: &str = "a93b34a2-d36a-8e5c-a43d-1ed6fb7f5efb";
const COMMAND_EVENT: &str = "f36790e0-5350-8deb-b16e-b4d973714e8d";
const KEY: &str = "a-venue/solver.example";

fn cause(instrument: &str) -> Envelope<SwapDemand> {
    let payload = SwapDemand {
        quote_id: "00000000-0000-0000-0000-0000000000aa".into(),
        instrument: instrument.into(),
        asset_in: "a".into(),
        asset_out: "b".into(),
        amount_in: Some(Amount(5)),
        amount_out: None,
        min_deadline_ms: 60_000,
        ttl_ms: None,
        attributes: BTreeMap::new(),
    };
    let at = seen();
    let mut envelope = Envelope::root(CAUSE.parse().unwrap(), "a-venue", "relay/quote", at, payload);
    envelope.causation_id = Some(Uuid::from_u128(1));
    envelope.correlation_id = Some(Uuid::from_u128(1));
    envelope
}

fn record(value: Vec<u8>) -> Record {
    Record {
        topic: "norm.swap_demand".into(),
        partition: 1,
        offset: 9,
        key: None,
        value,
        tombstone: false,
        headers: vec![],
        timestamp: RecordTime::None,
    }
}

fn seen() -> Timestamp {
    Timestamp::parse("2026-11-22T10:00:00.123000Z").unwrap()
}

fn writer() -> Writer {
    Writer {
        venue: "a-venue".parse().unwrap(),
        strategy: "fixed-spread".into(),
        bounds: CommandBounds { dispatch_window_ms_max: DISPATCH_WINDOW_MS_MAX, deadline_ms_max: DEADLINE_MS_MAX },
        tally: Tally::new(&Registry::new()),
        clock: Arc::new(SystemClock),
        ids: Ids::seeded(1),
    }
}

fn write(decisions: Vec<Decision>) -> Step {
    let module = ModuleRef {
        name: "a-venue/react".into(),
        version: "0.1.0".into(),
        digest: "sha256:00".into(),
        wit: "unrip:reactor@0.1.0".into(),
        config_digest: "sha256:11".into(),
    };
    let (writer, record) = (writer(), record(cause("plain").encode().unwrap()));
    let Read::Input { cause, .. } = writer.read(&record) else { panic!("not for the strategy") };
    writer.write(&record, &cause, decisions, &module)
}

fn decode(output: &Outgoing) -> Envelope<ExecuteTrade> {
    Envelope::decode(&output.value).unwrap()
}

#[test]
fn makes_the_command_that_records_md_shows() {
    let Step::Done(outputs) = write(vec![command(1_000)]) else { panic!("not done") };
    assert_eq!((outputs[0].topic.as_str(), outputs[0].key.as_slice()), ("cmd.execute_trade", KEY.as_bytes()));
    assert_eq!(outputs[0].partition, None, "murmur2 of the key decides");
    let envelope = decode(&outputs[0]);
    assert_eq!(envelope.event_id.to_string(), COMMAND_EVENT);
    let cause_id: Uuid = CAUSE.parse().unwrap();
    let expected = CommandId::new(envelope.observed_at, KEY, cause_id, "fixed-spread", 0);
    assert_eq!(envelope.payload.command_id, expected);
    assert!(envelope.payload.command_id.matches_key(KEY));
    assert_eq!(envelope.payload.idempotency_key, format!("{KEY}/00000000-0000-0000-0000-0000000000aa"));
    assert_eq!(envelope.payload.execution_key, KEY);
    assert_eq!(envelope.payload.strategy, "fixed-spread");
    assert_eq!(envelope.causation_id.unwrap().to_string(), CAUSE);
    assert_eq!(envelope.correlation_id, Some(Uuid::from_u128(1)));
    assert_eq!(envelope.observed_at, cause("plain").observed_at);
}

#[test]
fn counts_the_commands_of_one_event_and_no_declines() {
    let Step::Done(outputs) = write(vec![decline(), command(1_000), command(2_000)]) else { panic!("not done") };
    let (first, second) = (decode(&outputs[0]), decode(&outputs[1]));
    assert_eq!(first.event_id.to_string(), COMMAND_EVENT);
    let cause_id: Uuid = CAUSE.parse().unwrap();
    assert_eq!(second.event_id, derived_event_id(cause_id, "react/fixed-spread", "execute_trade", 1));
    assert_eq!(second.payload.command_id, CommandId::new(first.observed_at, KEY, cause_id, "fixed-spread", 1));
}

#[test]
fn writes_nothing_for_a_decline() {
    assert_eq!(write(vec![decline()]), Step::Done(vec![]));
}

#[test]
fn buries_a_command_that_asks_for_too_much_time_and_keeps_the_other() {
    let Step::Dead { outputs, code, text } = write(vec![command(60_001), command(1_000)]) else {
        panic!("no dead letter")
    };
    assert_eq!(code, "command_out_of_bounds");
    assert!(text.starts_with("dispatch_by"), "{text}");
    assert_eq!(outputs.len(), 1);
    let cause_id: Uuid = CAUSE.parse().unwrap();
    assert_eq!(decode(&outputs[0]).event_id, derived_event_id(cause_id, "react/fixed-spread", "execute_trade", 1));
}

#[test]
fn skips_other_venues_and_buries_what_is_no_event() {
    let mut other = cause("plain");
    other.venue = "b-venue".into();
    let payload = Trade {
        instrument: "plain".into(),
        trade_id: "1".into(),
        price: "1".into(),
        size: "1".into(),
        side: unrip_core::event::canonical::Side::Buy,
        venue_time: "t".into(),
        attributes: BTreeMap::new(),
    };
    let trade = Envelope::root(Uuid::from_u128(2), "a-venue", "s", other.observed_at, payload);
    let mut unknown = cause("plain");
    unknown.event_type = "weather".into();
    let read = |value: Vec<u8>| writer().read(&record(value));
    assert!(matches!(read(other.encode().unwrap()), Read::Skip));
    assert!(matches!(read(trade.encode().unwrap()), Read::Input { input, .. } if input.event.event_type() == "trade"));
    for value in [unknown.encode().unwrap(), b"[]".to_vec()] {
        assert!(matches!(read(value), Read::Dead { code: "not_a_canonical_event", .. }));
    }
}

#[test]
fn knows_the_partition_of_an_account() {
    // What librdkafka's murmur2 makes of it is checked on a broker in tests/.
    assert_eq!(partition::partition_for(KEY.as_bytes(), 1), 0);
    assert!((0..6).contains(&partition::partition_for(KEY.as_bytes(), 6)));
}
