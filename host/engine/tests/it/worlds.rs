//! Each world's calls carry over what they should, and hold back what was not granted.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use unrip_core::event::canonical::SwapDemand;
use unrip_core::event::command::{Action, ExecuteTrade};
use unrip_core::{Amount, CommandId, Timestamp};
use unrip_engine::executor::{
    self, Executor, FinalStatus, Inbound, Outbound, Refusal, Resolution, Signature, Statement,
};
use unrip_engine::ingestor::{Effect, Event, Frame, Ingestor};
use unrip_engine::reactor::{Decision, Input, Reactor};
use unrip_engine::{CanonicalEvent, FaultKind, Limits, LoadError, LoadErrorKind, Message, Rejection};

use crate::fixtures::{engine, grants, module};

/// The log lines that `work` writes on this thread.
pub(crate) fn captured(work: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

const NOW: Timestamp = Timestamp::from_micros(1_795_341_600_123_456);

fn demand(quote_id: &str, offset: i64) -> Input {
    Input {
        venue: "fixture".into(),
        observed_at: NOW,
        topic: "norm.swap_demand".into(),
        partition: 3,
        offset,
        reference: false,
        event: CanonicalEvent::SwapDemand(SwapDemand {
            quote_id: quote_id.into(),
            instrument: "usd~eur".into(),
            asset_in: "usd".into(),
            asset_out: "eur".into(),
            amount_in: Some(Amount(u128::MAX)),
            amount_out: None,
            min_deadline_ms: 60_000,
            ttl_ms: None,
            attributes: Default::default(),
        }),
    }
}

fn reactor(config: serde_json::Value) -> Result<Reactor, LoadError> {
    Reactor::new(engine(), &module("reactor"), &Limits::default(), &grants(), &config)
}

fn reason(outcome: &Result<Vec<Decision>, Rejection>) -> &str {
    match outcome.as_deref() {
        Ok([Decision::Command(command)]) => &command.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_strategy_turns_events_into_commands_and_counted_declines() {
    let mut reactor = reactor(json!({})).unwrap();
    assert_eq!(reactor.strategy(), "fixed-spread");
    let outcomes = reactor.react(&[demand("q1", 5), demand("decline", 6)]).unwrap();
    let Ok([Decision::Command(command)]) = outcomes[0].as_deref() else { panic!("{outcomes:?}") };
    assert_eq!((&*command.account, &*command.venue_ref), ("solver", "q1"));
    assert_eq!((command.dispatch_by, command.deadline), (NOW.plus_millis(3_000), NOW.plus_millis(60_000)));
    assert_eq!((command.inputs[0].partition, command.inputs[0].offset), (3, 5));
    let Action::SwapAnswer { amount_in, amount_out, .. } = &command.action;
    assert_eq!((*amount_in, *amount_out), (Amount(u128::MAX), Amount(2)));
    assert_eq!(outcomes[1], Ok(vec![Decision::Decline("not_configured".into())]));
}

#[test]
fn a_strategys_state_outlives_a_trap_without_the_event_that_trapped() {
    let mut reactor = reactor(json!({})).unwrap();
    let outcomes = reactor.react(&[demand("a", 0), demand("trap", 1), demand("b", 2)]).unwrap();
    assert!(matches!(&outcomes[1], Err(Rejection::Fault(fault)) if fault.kind == FaultKind::Trap), "{outcomes:?}");
    assert_eq!((reason(&outcomes[0]), reason(&outcomes[2])), ("event 1 of fixture", "event 2 of fixture"));

    let outcomes = reactor.react(&[demand("fatal", 3), demand("b", 4)]).unwrap();
    assert!(matches!(outcomes[0], Err(Rejection::Fatal { .. })), "{outcomes:?}");
    assert_eq!(reason(&outcomes[1]), "event 3 of fixture", "nor the event that it called fatal");

    let state = reactor.snapshot().unwrap();
    let mut other = self::reactor(json!({})).unwrap();
    other.restore(state).unwrap().unwrap();
    assert!(matches!(&other.react(&[demand("trap", 3)]).unwrap()[0], Err(Rejection::Fault(_))));
    assert_eq!(reason(&other.react(&[demand("c", 4)]).unwrap()[0]), "event 4 of fixture");
    assert_eq!(other.restore(vec![1]).unwrap(), Err("a state has four bytes".to_owned()));
}

#[test]
fn a_reference_causes_no_command_and_a_strategy_has_a_plain_name() {
    let reference = Input { reference: true, ..demand("q", 0) };
    let outcomes = reactor(json!({})).unwrap().react(&[reference]).unwrap();
    assert!(matches!(&outcomes[0], Err(Rejection::Fault(fault)) if fault.kind == FaultKind::Invalid), "{outcomes:?}");
    assert!(matches!(reactor(json!({"odd": 1})), Err(LoadError { kind: LoadErrorKind::Description { .. }, .. })));
}

#[test]
fn a_strategy_that_answers_one_event_with_a_flood_loses_that_event_alone() {
    let outcomes = reactor(json!({})).unwrap().react(&[demand("swarm", 0), demand("q", 1)]).unwrap();
    assert!(matches!(&outcomes[0], Err(Rejection::Fault(fault)) if fault.kind == FaultKind::Excess), "{outcomes:?}");
    assert!(outcomes[1].is_ok(), "{outcomes:?}");
}

fn frame(text: &str) -> Event {
    Event::Frame(Frame { connection: "c".into(), message: Message::Text(text.into()) })
}

#[test]
fn an_ingestor_says_what_to_open_and_what_a_frame_is() {
    let mut ingestor = Ingestor::new(engine(), &module("ingestor"), &Limits::default(), &grants(), &json!({})).unwrap();
    let effects = ingestor.handle(&Event::Started, NOW).unwrap();
    assert!(matches!(&effects[..], [Effect::Connect(connect)] if connect.endpoint == "ws"), "{effects:?}");
    let effects = ingestor.handle(&frame("{}"), NOW).unwrap();
    let [Effect::Emit(records)] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(records[0].key, NOW.micros().to_string());
    assert_eq!(ingestor.handle(&frame("pong"), NOW).unwrap(), [Effect::Chatter("pong".into())]);
}

#[test]
fn an_ingestor_that_fails_starts_again() {
    for (text, kind) in [
        ("trap", FaultKind::Trap),
        ("twice", FaultKind::Count),
        ("effects", FaultKind::Excess),
        ("records", FaultKind::Excess),
        ("endpoint", FaultKind::NotGranted),
        ("slot", FaultKind::NotGranted),
    ] {
        let mut ingestor =
            Ingestor::new(engine(), &module("ingestor"), &Limits::default(), &grants(), &json!({})).unwrap();
        ingestor.handle(&Event::Started, NOW).unwrap();
        assert_eq!(ingestor.handle(&frame(text), NOW).unwrap_err().kind, kind, "{text}");
        assert_eq!(ingestor.handle(&frame("{}"), NOW).unwrap(), [Effect::Unrecognised("not started".into())], "{text}");
    }
}

fn command(venue_ref: &str) -> executor::ExecuteTrade {
    let execution_key = "fixture/solver".to_owned();
    executor::ExecuteTrade::from(&ExecuteTrade {
        command_id: CommandId::from_bytes([7; 16]),
        idempotency_key: format!("{execution_key}/{venue_ref}"),
        execution_key,
        account: "solver".into(),
        strategy: "fixed-spread".into(),
        venue_ref: venue_ref.into(),
        dispatch_by: NOW.plus_millis(3_000),
        deadline: NOW.plus_millis(60_000),
        reason: "because".into(),
        inputs: Vec::new(),
        action: Action::SwapAnswer {
            quote_id: venue_ref.into(),
            asset_in: "usd".into(),
            asset_out: "eur".into(),
            amount_in: Amount(u128::MAX),
            amount_out: Amount(5),
            amount_fixed: None,
        },
    })
}

fn executor() -> Executor {
    Executor::new(engine(), &module("executor"), &Limits::default(), &grants(), &json!({})).unwrap()
}

#[test]
fn an_executor_prepares_encodes_reads_and_resolves() {
    let mut executor = executor();
    let command = command("q");
    assert_eq!(executor.standing_questions().unwrap()[0].every_ms, 1_000);
    assert_eq!(executor.connection().unwrap(), None);
    assert_eq!(executor.on_open(42).unwrap(), [Outbound::Frame(Message::Text("42".into()))]);
    let action = executor.prepare(&command, &[], NOW).unwrap().unwrap();
    let expected = format!("{} {} 0 {}", "07".repeat(16), u128::MAX, NOW.micros());
    assert_eq!(String::from_utf8(action.unsigned.clone()).unwrap(), expected);
    assert_eq!(action.reserves, [("eur".to_owned(), "5".to_owned())]);
    let signature = Signature { public_key: vec![1; 32], signature: vec![2; 64] };
    let sent = executor.encode(&command, &action, &signature, 9).unwrap().unwrap();
    assert_eq!(sent, Outbound::Frame(Message::Text("9 64".into())));
    let inbound = Inbound::Response(("salt".into(), None));
    assert_eq!(executor.read(&inbound).unwrap(), [Statement::Fact(("salt".into(), "value".into()))]);

    let early = executor.resolve(&command, &action, None, NOW).unwrap();
    assert_eq!(early, Resolution::WaitUntil(command.deadline));
    let late = NOW.plus_millis(60_000);
    assert!(
        matches!(executor.resolve(&command, &action, None, late).unwrap(), Resolution::Ask(query) if query.tag == "used")
    );
    let last = ("used".to_owned(), None);
    let Resolution::Final(end) = executor.resolve(&command, &action, Some(&last), late).unwrap() else { panic!() };
    assert_eq!((end.status, end.by_chain), (FinalStatus::NotExecuted, true));
}

#[test]
fn an_executor_that_asks_for_what_it_was_not_granted_gets_nothing_signed_or_sent() {
    let mut executor = executor();
    let action = executor.prepare(&command("q"), &[], NOW).unwrap().unwrap();
    let signature = Signature { public_key: Vec::new(), signature: Vec::new() };
    let endpoint = command("endpoint");
    assert_eq!(executor.prepare(&command("scheme"), &[], NOW).unwrap_err().kind, FaultKind::NotGranted);
    assert_eq!(executor.prepare(&command("reserve"), &[], NOW).unwrap_err().kind, FaultKind::Invalid);
    assert_eq!(executor.prepare(&command("trap"), &[], NOW).unwrap_err().kind, FaultKind::Trap);
    assert_eq!(executor.encode(&endpoint, &action, &signature, 1).unwrap_err().kind, FaultKind::NotGranted);
    let late = NOW.plus_millis(60_000);
    assert_eq!(executor.resolve(&endpoint, &action, None, late).unwrap_err().kind, FaultKind::NotGranted);
    let nothing = Inbound::Frame(Message::Text("nothing".into()));
    assert_eq!(executor.read(&nothing).unwrap_err().kind, FaultKind::Count);
    let swarm = Inbound::Frame(Message::Text("swarm".into()));
    assert_eq!(executor.read(&swarm).unwrap_err().kind, FaultKind::Excess);
    assert!(matches!(executor.prepare(&command("never"), &[], NOW).unwrap(), Err(Refusal::Never(_))));
    assert!(executor.encode(&command("long"), &action, &signature, 1).unwrap().is_err());
}
