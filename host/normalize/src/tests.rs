//! The records that are made of what a module says, with no module.

use std::collections::BTreeMap;
use std::sync::Arc;

use unrip_bus::{Outgoing, Record, RecordTime};
use unrip_core::event::canonical::{CanonicalEvent, SettlementOutcome, SwapDemand, SwapSettlement};
use unrip_core::event::raw::RawFrame;
use unrip_core::id::derived_event_id;
use unrip_core::{Amount, Envelope, ModuleRef, Timestamp, Uuid};
use unrip_service::pipeline::{Read, Step};
use unrip_service::{Ids, SystemClock};

use super::stage::Writer;

fn demand() -> CanonicalEvent {
    CanonicalEvent::SwapDemand(SwapDemand {
        quote_id: "q-1".into(),
        instrument: "a~b".into(),
        asset_in: "a".into(),
        asset_out: "b".into(),
        amount_in: Some(Amount(5)),
        amount_out: None,
        min_deadline_ms: 60_000,
        ttl_ms: None,
        attributes: BTreeMap::new(),
    })
}

fn settlement() -> CanonicalEvent {
    CanonicalEvent::SwapSettlement(SwapSettlement {
        quote_hash: "h-1".into(),
        intent_hash: None,
        tx_hash: None,
        outcome: SettlementOutcome::Settled,
        attributes: BTreeMap::new(),
    })
}

const CAUSE: &str = "019370e0-5c00-7000-8000-000000000001";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn raw(bytes: &[u8]) -> Envelope<RawFrame> {
    let payload = RawFrame { stream: "quote".into(), connection_id: "c".into(), frame_seq: 3, reset: false };
    let at = Timestamp::from_millis(1_795_341_600_123);
    let mut envelope = Envelope::root(CAUSE.parse().unwrap(), "a-venue", "relay/quote", at, payload).with_raw(bytes);
    envelope.correlation_id = Some(envelope.event_id);
    envelope
}

fn record(value: Vec<u8>) -> Record {
    Record {
        topic: "raw.a_venue.quote".into(),
        partition: 2,
        offset: 40,
        key: Some(b"q-1".to_vec()),
        value,
        tombstone: false,
        headers: vec![("traceparent".into(), TRACE.into())],
        timestamp: RecordTime::None,
    }
}

fn writer(events: &[&str]) -> Writer {
    Writer {
        venue: "a-venue".parse().unwrap(),
        events: events.iter().map(|event| (*event).to_owned()).collect(),
        clock: Arc::new(SystemClock),
        ids: Ids::seeded(1),
    }
}

fn write(events: Vec<CanonicalEvent>, configured: &[&str]) -> Step {
    let module = ModuleRef {
        name: "a-venue/normalize".into(),
        version: "0.1.0".into(),
        digest: "sha256:00".into(),
        wit: "unrip:normalizer@0.1.0".into(),
        config_digest: "sha256:11".into(),
    };
    let (writer, record) = (writer(configured), record(raw(b"frame").encode().unwrap()));
    let Read::Input { cause, .. } = writer.read(&record) else { panic!("not for the module") };
    writer.write(&record, &cause, events, &module)
}

fn done(events: Vec<CanonicalEvent>) -> Vec<Outgoing> {
    let Step::Done(outputs) = write(events, CanonicalEvent::EVENT_TYPES) else { panic!("not done") };
    outputs
}

#[test]
fn makes_the_record_that_records_md_shows() {
    let outputs = done(vec![demand()]);
    assert_eq!(outputs[0].topic, "norm.swap_demand");
    assert_eq!(outputs[0].key, b"a-venue/a~b");
    let envelope = Envelope::<SwapDemand>::decode(&outputs[0].value).unwrap();
    // The example vector of RECORDS.
    assert_eq!(envelope.event_id.to_string(), "a93b34a2-d36a-8e5c-a43d-1ed6fb7f5efb");
    let cause = raw(b"frame");
    assert_eq!(envelope.causation_id, Some(cause.event_id));
    assert_eq!((envelope.correlation_id, envelope.observed_at), (cause.correlation_id, cause.observed_at));
    assert_eq!((envelope.venue.as_str(), envelope.source.as_str()), ("a-venue", "relay/quote"));
    assert_eq!(envelope.module.unwrap().name, "a-venue/normalize");
    let header =
        |name: &str| outputs[0].headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).unwrap();
    assert_eq!(header("event_type"), b"swap_demand");
    assert_eq!(header("schema_version"), b"1");
    let trace = String::from_utf8(header("traceparent")).unwrap();
    assert!(trace.starts_with(&TRACE[..36]) && trace != TRACE, "same trace, own span: {trace}");
}

#[test]
fn counts_outputs_of_one_record_over_all_types() {
    let outputs = done(vec![settlement(), demand()]);
    assert_eq!(outputs[0].key, b"a-venue/h-1");
    let cause: Uuid = CAUSE.parse().unwrap();
    let demand = Envelope::<SwapDemand>::decode(&outputs[1].value).unwrap();
    assert_eq!(demand.event_id, derived_event_id(cause, "normalize", "swap_demand", 1));
}

#[test]
fn buries_a_kind_that_is_not_configured_and_keeps_the_others_ids() {
    let step = write(vec![settlement(), demand()], &["swap_demand"]);
    let Step::Dead { outputs, code, text } = step else { panic!("no dead letter") };
    assert_eq!((code.as_str(), outputs.len()), ("event_not_configured", 1));
    assert!(text.contains("`swap_settlement`"), "{text}");
    let cause: Uuid = CAUSE.parse().unwrap();
    let demand = Envelope::<SwapDemand>::decode(&outputs[0].value).unwrap();
    assert_eq!(demand.event_id, derived_event_id(cause, "normalize", "swap_demand", 1));
}

#[test]
fn gives_the_module_exactly_the_bytes() {
    let Read::Input { input, observed_at, .. } = writer(&[]).read(&record(raw(b"\xff\0x").encode().unwrap())) else {
        panic!("not for the module")
    };
    assert_eq!((input.raw.as_slice(), input.key.as_str(), input.frame_seq), (&b"\xff\0x"[..], "q-1", 3));
    assert_eq!((input.observed_at, observed_at), (raw(b"").observed_at, raw(b"").observed_at));
}

#[test]
fn buries_what_is_not_a_raw_record_of_its_venue() {
    let mut other = raw(b"frame");
    other.venue = "b-venue".into();
    let mut damaged = raw(b"\xff\xff");
    damaged.raw = Some("%%%".into());
    let mut empty = raw(b"");
    (empty.raw, empty.raw_encoding) = (None, None);
    let mut values: Vec<_> = [other, damaged, empty].iter().map(|envelope| envelope.encode().unwrap()).collect();
    values.push(b"{\"half\":".to_vec());
    let codes = values.into_iter().map(|value| match writer(&[]).read(&record(value)) {
        Read::Dead { code, .. } => code,
        other => panic!("no dead letter: {other:?}"),
    });
    assert_eq!(codes.collect::<Vec<_>>(), ["other_venue", "bad_raw", "bad_raw", "not_a_raw_frame"]);
    let no_text = Record { key: Some(vec![0xff]), ..record(raw(b"frame").encode().unwrap()) };
    assert!(matches!(writer(&[]).read(&no_text), Read::Dead { code: "bad_key", .. }));
}
