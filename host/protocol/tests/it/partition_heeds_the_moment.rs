//! What does not fit the moment is not heeded: late, doubled and stray news of modules, sends and venues.

use crate::common::bench::*;
use crate::common::{at, command, halted};
use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_protocol::fold::Head;
use unrip_protocol::partition::*;

#[test]
fn news_of_a_command_that_is_not_in_hand_is_not_heeded() {
    let mut bench = Bench::active();
    let id = command(7, "key-7").id;
    for event in [
        Event::Prepared(id, Preparation::Ready),
        Event::Prepared(id, Preparation::NotYet),
        Event::Prepared(id, Preparation::Never { code: "no".into(), reason: "no".into() }),
        Event::SendEnded(id, SendEnd::Handed),
        Event::SendEnded(id, SendEnd::NotHanded),
        Event::SendEnded(id, SendEnd::Refused("halted")),
        Event::Heard(id, said(ResultStatus::Executed)),
        Event::AnswerLost(id),
        Event::Resolved(id, Resolution::Final(said(ResultStatus::Executed))),
        Event::Resolved(id, Resolution::WaitUntil(at(5))),
    ] {
        assert!(bench.step(event.clone(), at(1)).is_empty(), "{event:?}");
    }
    assert!(bench.step(Event::Tick, at(100_000)).is_empty());
    assert_eq!(bench.partition.open_count(), 0);
}

#[test]
fn what_does_not_fit_the_moment_is_not_heeded() {
    let (mut bench, id) = (Bench::active(), one().id);
    bench.receive(&one(), at(1));
    // Not claimed: no end of a send, no answer, no verdict can be meant.
    assert!(bench.step(Event::SendEnded(id, SendEnd::Handed), at(2)).is_empty());
    assert!(bench.step(Event::Heard(id, said(ResultStatus::Executed)), at(2)).is_empty());
    assert!(bench.step(Event::AnswerLost(id), at(2)).is_empty());
    let verdict = Event::Resolved(id, Resolution::Final(said(ResultStatus::NotExecuted)));
    assert!(bench.step(verdict.clone(), at(2)).is_empty());
    let claim = bench.step(Event::Prepared(id, Preparation::Ready), at(3));
    assert!(bench.step(Event::Prepared(id, Preparation::Ready), at(3)).is_empty());
    bench.append_all(&claim, at(4));
    bench.step(Event::SendEnded(id, SendEnd::Handed), at(5));
    assert!(bench.step(verdict, at(6)).is_empty(), "nothing is in doubt");
    // The end of the send is reported once.
    assert!(bench.step(Event::SendEnded(id, SendEnd::NotHanded), at(7)).is_empty());
    assert!(bench.step(Event::SendEnded(id, SendEnd::Refused("halted")), at(7)).is_empty());
    assert!(bench.step(Event::Tick, at(8)).is_empty(), "handed over is handed over");
    assert!(outcome_of(&bench.step(Event::Heard(id, said(ResultStatus::Rejected)), at(9))).is_some());
    assert!(bench.step(Event::Heard(id, said(ResultStatus::Executed)), at(10)).is_empty(), "the first stands");
    assert!(bench.step(Event::AnswerLost(id), at(11)).is_empty());
}

fn passed_over(effects: &[Effect]) -> Option<&'static str> {
    match effects {
        [Effect::AppendSkip { code, letter: Some(_), .. }, ..] => Some(*code),
        _ => None,
    }
}

#[test]
fn a_record_is_known_by_its_id_and_by_its_commands_id_in_hand_and_in_the_store() {
    let other = |number| Head { event_id: one().event_id, offset: 2, ..command(number, "key-9") };
    // In hand only: nothing of it is in the journal.
    let mut bench = Bench::active();
    bench.receive(&one(), at(1));
    assert_eq!(passed_over(&bench.receive(&other(5), at(2))), Some("conflict"));
    let same_content = Head { content_hash: one().content_hash, ..other(6) };
    assert_eq!(passed_over(&bench.receive(&same_content, at(2))), Some("conflict"), "one record makes one command");
    // In the store only: it has ended.
    let mut bench = Bench::active();
    let refused = Incoming::Ours(one(), halted());
    let outcome = bench.step(Event::Command(refused), at(1));
    bench.append_all(&outcome, at(2));
    assert_eq!(bench.partition.open_count(), 0);
    assert_eq!(passed_over(&bench.receive(&other(5), at(3))), Some("conflict"));
    let again = Head { event_id: uuid(77), offset: 3, ..one() };
    assert_eq!(dispatches(&bench.receive(&again, at(3))), 0);
    assert!(!bench.partition.holds(&one().id), "the same command in another record is the same command");
}

#[test]
fn an_ending_of_our_own_says_how_we_know() {
    let kind = |effects: &[Effect]| match effects.first() {
        Some(Effect::AppendOutcome { ending, .. }) => ending.evidence.as_ref().map(|known| known.kind),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(&Bench::active().receive(&one(), at(3_000))), Some(EvidenceKind::Expiry));
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    assert_eq!(kind(&bench.receive(&command(2, "key-1"), at(2))), Some(EvidenceKind::Host));
    let stopped = bench.step(Event::SendEnded(one().id, SendEnd::Refused("halted")), at(2));
    assert_eq!(kind(&stopped), Some(EvidenceKind::Host));
    let refused = Incoming::Ours(command(3, "key-3"), halted());
    assert_eq!(kind(&bench.step(Event::Command(refused), at(3))), None, "no claim stands behind it");
}
