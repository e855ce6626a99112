use std::collections::BTreeMap;

use unrip_bus::RecordTime;
use unrip_core::event::canonical::{SettlementOutcome, SwapDemand, SwapSettlement};
use unrip_core::{Amount, Uuid};
use unrip_engine::{Fault, FaultKind};
use unrip_service::SystemClock;

use super::*;

/// Says what the frame says: `demand`, `two`, or one of the rejections.
struct Fake(ModuleRef);

impl Understand for Fake {
    fn module_ref(&self) -> &ModuleRef {
        &self.0
    }

    fn understand(&mut self, records: &[RawInput]) -> Result<Vec<Result<Vec<CanonicalEvent>, Rejection>>, Fatal> {
        let (code, text) = ("odd".to_owned(), "odd frame".to_owned());
        Ok(records
            .iter()
            .map(|record| match record.raw.as_slice() {
                b"two" => Ok(vec![settlement(), demand()]),
                b"none" => Ok(vec![]),
                b"reject" => Err(Rejection::Reject { code: code.clone(), text: text.clone() }),
                b"later" => Err(Rejection::RetryAfter { ms: 7, code: code.clone(), text: text.clone() }),
                b"fatal" => Err(Rejection::Fatal { code: code.clone(), text: text.clone() }),
                b"trap" => Err(Rejection::Fault(Fault { kind: FaultKind::Trap, text: text.clone() })),
                _ => Ok(vec![demand()]),
            })
            .collect())
    }
}

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

fn transform(values: Vec<Vec<u8>>) -> Result<Vec<Step>, Ended> {
    let module = ModuleRef {
        name: "a-venue/normalize".into(),
        version: "0.1.0".into(),
        digest: "sha256:00".into(),
        wit: "unrip:normalizer@0.1.0".into(),
        config_digest: "sha256:11".into(),
    };
    let mut normalize = Normalize::new(Fake(module), "a-venue", Arc::new(SystemClock), Ids::seeded(1));
    normalize.transform(&values.into_iter().map(record).collect::<Vec<_>>())
}

fn one(bytes: &[u8]) -> Step {
    transform(vec![raw(bytes).encode().unwrap()]).unwrap().remove(0)
}

fn dead_code(step: Step) -> String {
    let Step::Dead { outputs, code, .. } = step else { panic!("no dead letter: {step:?}") };
    assert!(outputs.is_empty());
    code
}

#[test]
fn makes_the_record_that_records_md_shows() {
    let Step::Done(outputs) = one(b"demand") else { panic!("not done") };
    assert_eq!(outputs[0].topic, "norm.swap_demand");
    assert_eq!(outputs[0].key, b"a-venue/a~b");
    let envelope = Envelope::<SwapDemand>::decode(&outputs[0].value).unwrap();
    // The example vector of RECORDS.
    assert_eq!(envelope.event_id.to_string(), "a93b34a2-d36a-8e5c-a43d-1ed6fb7f5efb");
    let cause = raw(b"demand");
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
    let Step::Done(outputs) = one(b"two") else { panic!("not done") };
    assert_eq!(outputs[0].key, b"a-venue/h-1");
    let cause: Uuid = CAUSE.parse().unwrap();
    let demand = Envelope::<SwapDemand>::decode(&outputs[1].value).unwrap();
    assert_eq!(demand.event_id, derived_event_id(cause, "normalize", "swap_demand", 1));
}

#[test]
fn does_with_each_rejection_what_it_says() {
    assert_eq!(dead_code(one(b"reject")), "odd");
    assert_eq!(dead_code(one(b"trap")), "module_trap");
    assert!(matches!(one(b"later"), Step::RetryAfter { ms: 7, .. }));
    assert_eq!(one(b"none"), Step::Done(vec![]));
    assert!(transform(vec![raw(b"fatal").encode().unwrap()]).is_err());
}

#[test]
fn keeps_the_order_around_what_is_no_raw_record() {
    let mut other = raw(b"demand");
    other.venue = "b-venue".into();
    let mut damaged = raw(b"\xff\xff");
    damaged.raw = Some("%%%".into());
    let mut empty = raw(b"");
    (empty.raw, empty.raw_encoding) = (None, None);
    let envelopes = [raw(b"demand"), other, damaged, empty, raw(b"reject")];
    let mut values: Vec<_> = envelopes.iter().map(|envelope| envelope.encode().unwrap()).collect();
    values.push(b"{\"half\":".to_vec());
    values.push(raw(b"demand").encode().unwrap());
    let mut steps = transform(values).unwrap().into_iter();
    assert!(matches!(steps.next(), Some(Step::Done(outputs)) if outputs.len() == 1));
    for code in ["other_venue", "bad_raw", "bad_raw", "odd", "not_a_raw_frame"] {
        assert_eq!(dead_code(steps.next().unwrap()), code);
    }
    assert!(matches!(steps.next(), Some(Step::Done(outputs)) if outputs.len() == 1));
}
