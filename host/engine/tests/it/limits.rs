//! A module that traps, loops, eats, floods or miscounts loses the record in hand, and nothing else.

use serde_json::json;
use unrip_engine::normalizer::{CanonicalEvent, Normalizer};
use unrip_engine::{FaultKind, Instance as _, Limits, Rejection};

use crate::fixtures::{normalizer, raw};

/// Small enough to be reached at once.
fn tight() -> Limits {
    Limits { memory_bytes_max: 16 << 20, call_ms_max: 100, output_bytes_max: 1 << 20, ..Limits::default() }
}

fn worker() -> Normalizer {
    normalizer(&tight(), json!({})).unwrap()
}

/// The fault of a record alone, after which the same worker continues.
fn fault_of(bytes: &str) -> (FaultKind, String) {
    let mut worker = worker();
    let outcome = worker.normalize(&[raw(bytes)]).unwrap().pop().unwrap();
    let Err(Rejection::Fault(fault)) = outcome else { panic!("{bytes}: {outcome:?}") };
    // A call that succeeded with an answer that cannot be used leaves its instance as it is.
    let instance_calls = if bytes == "swarm" { 2 } else { 1 };
    assert_eq!(calls(&mut worker), instance_calls, "{bytes}");
    let counted: Vec<_> = worker.take_faults().iter().map(|(kind, ..)| kind).collect();
    assert_eq!(counted, [fault.kind], "{bytes}: not counted");
    (fault.kind, fault.text)
}

/// How many calls the worker's instance has had, this one included.
fn calls(worker: &mut Normalizer) -> u32 {
    let events = worker.normalize(&[raw("ok")]).unwrap().remove(0).unwrap();
    let CanonicalEvent::SwapDemand(demand) = &events[0] else { panic!("{events:?}") };
    demand.attributes["calls"].parse().unwrap()
}

#[test]
fn each_overrun_has_its_kind() {
    for (bytes, kind, says) in [
        ("trap", FaultKind::Trap, "unreachable"),
        ("loop", FaultKind::Time, "call_ms_max"),
        ("memory", FaultKind::Memory, "memory_bytes_max"),
        // It was refused memory before, and got over it.
        ("survivor", FaultKind::Trap, "table"),
        ("stack", FaultKind::Stack, "stack_bytes_max"),
        ("flood", FaultKind::Output, "output_bytes_max"),
        ("flood-list", FaultKind::Output, "output_bytes_max"),
        ("log-flood", FaultKind::Output, "output_bytes_max"),
        ("text", FaultKind::Invalid, "utf-8"),
        ("swarm", FaultKind::Excess, "1001 events for one record, module.limits.events_per_record_max is 1000"),
        ("few", FaultKind::Count, "0 results for 1"),
        ("many", FaultKind::Count, "2 results for 1"),
    ] {
        let (found, text) = fault_of(bytes);
        assert_eq!(found, kind, "{bytes}: {text}");
        assert!(text.to_lowercase().contains(says), "{bytes}: {text}");
    }
}

#[test]
fn a_trap_says_where_it_was() {
    let (_, text) = fault_of("trap");
    assert!(text.contains("panic"), "{text}");
}

#[test]
fn one_hostile_record_in_a_batch_loses_itself_alone() {
    for hostile in ["trap", "loop", "memory", "few", "flood"] {
        let mut worker = worker();
        let batch: Vec<_> = ["ok", "two", hostile, "none", "reject", "ok"].into_iter().map(raw).collect();
        let outcomes = worker.normalize(&batch).unwrap();
        let events: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().map(Vec::len).ok()).collect();
        assert_eq!(events, [Some(1), Some(2), None, Some(0), None, Some(1)], "{hostile}");
        assert!(matches!(&outcomes[2], Err(Rejection::Fault(_))), "{hostile}: {:?}", outcomes[2]);
        assert!(matches!(&outcomes[4], Err(Rejection::Reject { .. })), "{hostile}: {:?}", outcomes[4]);
    }
}

#[test]
fn what_fails_only_in_company_is_not_lost() {
    let outcomes = worker().normalize(&[raw("crowd"), raw("ok"), raw("crowd")]).unwrap();
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[test]
fn a_sound_worker_keeps_its_instance() {
    let mut worker = worker();
    assert_eq!((calls(&mut worker), calls(&mut worker), calls(&mut worker)), (1, 2, 3));
}

#[test]
fn results_that_make_no_sense_are_faults_of_their_record() {
    let mut worker = worker();
    let outcomes = worker.normalize(&[raw("amount"), raw("amounts"), raw("ok")]).unwrap();
    for (outcome, says) in outcomes.iter().zip(["1.5", "both amounts"]) {
        let Err(Rejection::Fault(fault)) = outcome else { panic!("{outcome:?}") };
        assert!(fault.kind == FaultKind::Invalid && fault.text.contains(says), "{fault}");
    }
    assert!(outcomes[2].is_ok());
}

#[test]
fn as_many_events_as_the_limit_says_are_taken() {
    let outcomes = normalizer(&Limits::default(), json!({})).unwrap().normalize(&[raw("thousand")]).unwrap();
    assert_eq!(outcomes[0].as_ref().map(Vec::len), Ok(1_000));
    let few = Limits { events_per_record_max: 999, ..Limits::default() };
    let outcomes = normalizer(&few, json!({})).unwrap().normalize(&[raw("thousand"), raw("two")]).unwrap();
    assert!(matches!(&outcomes[0], Err(Rejection::Fault(fault)) if fault.kind == FaultKind::Excess), "{outcomes:?}");
    assert_eq!(outcomes[1].as_ref().map(Vec::len), Ok(2), "the record beside it is unharmed");
}

#[test]
fn a_rejection_keeps_its_meaning_code_and_words() {
    let outcomes = worker().normalize(&[raw("reject"), raw("retry"), raw("fatal")]).unwrap();
    let same = || ("no_sense".to_owned(), "it says so".to_owned());
    let expected = [
        Rejection::Reject { code: same().0, text: same().1 },
        Rejection::RetryAfter { ms: 7, code: same().0, text: same().1 },
        Rejection::Fatal { code: same().0, text: same().1 },
    ];
    assert_eq!(outcomes, expected.map(Err));
}

#[test]
fn a_new_instance_is_configured_as_the_first() {
    let mut worker = normalizer(&tight(), json!({"b": 1, "a": 2})).unwrap();
    for bytes in ["ok", "trap", "ok"] {
        if let Ok(events) = &worker.normalize(&[raw(bytes)]).unwrap()[0] {
            let CanonicalEvent::SwapDemand(demand) = &events[0] else { panic!("{events:?}") };
            assert_eq!(demand.attributes["config"], r#"{"a":2,"b":1}"#);
        }
    }
}

#[test]
fn two_workers_give_the_same_for_the_same() {
    let batch: Vec<_> = ["ok", "two", "reject", "amount", "trap"].into_iter().map(raw).collect();
    assert_eq!(worker().normalize(&batch).unwrap(), worker().normalize(&batch).unwrap());
}

#[test]
fn more_log_lines_than_allowed_are_cut_and_counted() {
    let lines = crate::worlds::captured(|| {
        assert_eq!(worker().normalize(&[raw("log")]).unwrap(), [Ok(Vec::new())]);
    });
    let written: Vec<_> = lines.iter().filter(|line| line.contains("line ")).collect();
    assert_eq!(written.len(), 64);
    assert!(written.iter().all(|line| line.len() < 1_300 && line.contains("fixture/normalize")));
    assert!(lines.iter().any(|line| line.contains("936")), "the rest is not counted");
}

#[test]
fn a_module_that_floods_the_log_on_every_record_writes_so_many_lines_a_second() {
    for bytes in ["log", "log-trap"] {
        let started_at = std::time::Instant::now();
        let lines = crate::worlds::captured(|| {
            worker().normalize(&vec![raw(bytes); 64]).unwrap();
        });
        // A second that had started before, and each that has since.
        let most = 128 * (started_at.elapsed().as_secs() as usize + 2);
        let written = lines.iter().filter(|line| line.contains("line ")).count();
        assert!((64..=most).contains(&written), "{bytes}: {written}");
        let reports = lines.iter().filter(|line| line.contains("logs too much")).count();
        assert!((1..=2 + started_at.elapsed().as_secs() as usize / 10).contains(&reports), "{bytes}: {reports}");
    }
}

#[test]
fn a_record_that_spoils_the_instance_for_good_harms_no_other() {
    for (poison, own) in [("poison", None), ("quiet-poison", Some(0))] {
        let mut worker = worker();
        let batch: Vec<_> = ["ok", poison, "ok", "two"].into_iter().map(raw).collect();
        for _ in 0..2 {
            let outcomes = worker.normalize(&batch).unwrap();
            let events: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().map(Vec::len).ok()).collect();
            assert_eq!(events, [Some(1), own, Some(1), Some(2)], "{poison}: {outcomes:?}");
        }
        worker.normalize(&[raw(poison)]).unwrap();
        // Alone, and as the pipeline asks again about what was taken before.
        assert!(worker.normalize(&[raw("ok")]).unwrap()[0].is_ok(), "{poison}");
        let outcomes = worker.normalize(&[raw("fatal")]).unwrap();
        assert!(matches!(&outcomes[0], Err(Rejection::Fatal { .. })), "{outcomes:?}");
    }
}
