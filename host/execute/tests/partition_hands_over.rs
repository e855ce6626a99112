//! What one executor does about one partition when it changes hands: nothing heard is lost, nothing is done twice.

mod common;

use common::bench::*;
use common::{at, placed};
use unrip_core::event::result::ResultStatus;
use unrip_execute::core::fold::Fact;
use unrip_execute::core::partition::*;

fn evidence_of(effects: &[Effect]) -> Vec<(ResultStatus, i64)> {
    let said = |effect: &Effect| match effect {
        Effect::AppendEvidence { ending, fence_offset, .. } => Some((ending.status, *fence_offset)),
        _ => None,
    };
    effects.iter().filter_map(said).collect()
}

/// A command whose bytes were handed over under the fence at offset 0.
fn sent() -> (Bench, unrip_execute::core::fold::Head) {
    let (mut bench, head) = (Bench::active(), one());
    bench.claim(&head, at(1));
    bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(2));
    (bench, head)
}

#[test]
fn an_answer_between_two_fences_of_ours_becomes_evidence() {
    let (mut bench, head) = sent();
    let assignment = bench.assignment();
    bench.step(Event::Assigned(assignment), at(3));
    let effects = bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(4));
    assert_eq!(evidence_of(&effects), vec![(ResultStatus::Executed, 0)]);
    assert!(!bench.partition.holds(&head.id));
    // Also when the group took the partition away before the new fence was read.
    let (mut bench, head) = sent();
    let assignment = bench.assignment();
    bench.step(Event::Assigned(assignment), at(3));
    bench.step(Event::Lost, at(4));
    assert_eq!(*bench.partition.phase(), Phase::Standby);
    let effects = bench.step(Event::Heard(head.id, said(ResultStatus::Rejected)), at(5));
    assert_eq!(evidence_of(&effects), vec![(ResultStatus::Rejected, 0)]);
}

#[test]
fn an_outcome_on_its_way_at_a_new_assignment_is_kept_as_evidence() {
    let (mut bench, head) = sent();
    let outcome = bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(3));
    assert!(outcome_of(&outcome).is_some());
    let assignment = bench.assignment();
    let effects = bench.step(Event::Assigned(assignment), at(4));
    assert_eq!(evidence_of(&effects), vec![(ResultStatus::Executed, 0)]);
}

#[test]
fn evidence_says_only_what_the_venue_said() {
    // Expired and refused commands may be claimed and sent by the next owner: what we thought of them is no evidence.
    let (mut bench, head) = (Bench::active(), one());
    bench.receive(&head, at(1));
    bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    assert!(outcome_of(&bench.step(Event::Tick, at(3_000))).is_some());
    assert!(evidence_of(&bench.append(placed(bench.log, Fact::Fence), at(3_001))).is_empty());
    let (mut bench, head) = (Bench::active(), one());
    let halted = Incoming::Ours(head, Some(("halted".to_owned(), String::new())));
    assert!(outcome_of(&bench.step(Event::Command(halted), at(1))).is_some());
    assert!(evidence_of(&bench.step(Event::Lost, at(2))).is_empty());
}

#[test]
fn an_answer_lost_while_fenced_is_a_doubt_for_the_next_owner_and_for_us_if_that_is_us() {
    let (mut bench, head) = sent();
    bench.append(placed(bench.log, Fact::Fence), at(3));
    assert!(bench.step(Event::AnswerLost(head.id), at(4)).is_empty());
    assert!(!bench.partition.holds(&head.id));
    let effects = bench.assign(at(5));
    assert_eq!(effects, vec![Effect::Activated, Effect::SayInDoubt(head.id), Effect::Resolve(head.id)]);
    assert_eq!(bench.partition.doubt_count(), 1);
}

#[test]
fn a_drain_appends_no_claim_anew() {
    let (mut bench, head) = (Bench::active(), one());
    bench.receive(&head, at(1));
    let claim = bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    // A later copy of our own fence lands before the claim.
    let mut copy = placed(bench.log, Fact::Fence);
    copy.event_id = uuid(9_001);
    assert!(bench.append(copy, at(3)).is_empty());
    bench.step(Event::Revoked, at(4));
    assert!(bench.append_all(&claim, at(5)).is_empty());
    assert!(bench.partition.is_drained(), "the next owner reads it again");
    // While the partition is ours, the claim is made again under the copy.
    let mut bench = Bench::active();
    bench.receive(&head, at(1));
    let claim = bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    let mut copy = placed(bench.log, Fact::Fence);
    copy.event_id = uuid(9_001);
    bench.append(copy, at(3));
    let again = bench.append_all(&claim, at(4));
    assert_eq!(again, vec![Effect::AppendClaim { id: head.id, fence_offset: 1 }]);
    assert_eq!(dispatches(&bench.append_all(&again, at(5))), 1);
}
