//! What one executor does about one partition when it changes hands: nothing heard is lost, nothing is done twice.

use crate::common::bench::*;
use crate::common::{at, halted, placed};
use unrip_core::event::result::{EvidenceKind, ResultStatus};
use unrip_protocol::fold::Fact;
use unrip_protocol::partition::*;

fn evidence_of(effects: &[Effect]) -> Vec<(ResultStatus, i64)> {
    let said = |effect: &Effect| match effect {
        Effect::AppendEvidence { ending, fence_offset, .. } => Some((ending.status, *fence_offset)),
        _ => None,
    };
    effects.iter().filter_map(said).collect()
}

/// A command whose bytes were handed over under the fence at offset 0.
fn sent() -> (Bench, unrip_protocol::fold::Head) {
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
    let halted = Incoming::Ours(head, halted());
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

#[test]
fn only_what_may_have_been_sent_stays_in_hand() {
    // Preparing, claiming, unsent, ending and dispatching, awaiting: the last two stay.
    let number = |n: u128| crate::common::command(n, &format!("key-{n}"));
    let bench = || {
        let mut bench = Bench::active();
        bench.receive(&number(1), at(1));
        bench.receive(&number(2), at(1));
        bench.step(Event::Prepared(number(2).id, Preparation::Ready), at(1));
        for n in 3..=5 {
            bench.claim(&number(n), at(1));
        }
        bench.step(Event::SendEnded(number(3).id, SendEnd::NotHanded), at(1));
        bench.step(Event::SendEnded(number(5).id, SendEnd::Handed), at(1));
        bench
    };
    let held = |bench: &Bench| (1..=5).filter(|n| bench.partition.holds(&number(*n).id)).collect::<Vec<_>>();
    assert_eq!(held(&bench()), [1, 2, 3, 4, 5]);
    let mut lost = bench();
    lost.step(Event::Lost, at(2));
    assert_eq!(held(&lost), [4, 5]);
    let mut fenced = bench();
    fenced.append(placed(fenced.log, Fact::Fence), at(2));
    assert_eq!(held(&fenced), [4, 5]);
    let mut again = bench();
    let assignment = again.assignment();
    again.step(Event::Assigned(assignment), at(2));
    assert_eq!(held(&again), [4, 5]);
    // An old attempt may still end under the new fence; what the log holds of the others is a doubt.
    let effects = again.assign(at(3));
    let doubts: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::Resolve(_))).collect();
    assert_eq!(doubts, [&Effect::Resolve(number(3).id)]);
    assert!(again.step(Event::SendEnded(number(4).id, SendEnd::Handed), at(4)).is_empty());
    assert!(outcome_of(&again.step(Event::Heard(number(4).id, said(ResultStatus::Executed)), at(5))).is_some());
    assert!(outcome_of(&again.step(Event::Heard(number(5).id, said(ResultStatus::Executed)), at(5))).is_some());
}

#[test]
fn an_attempt_that_a_gate_stopped_under_an_old_fence_ends_nothing() {
    let (mut bench, head) = (Bench::active(), one());
    bench.claim(&head, at(1));
    bench.append(placed(bench.log, Fact::Fence), at(2));
    assert!(bench.step(Event::SendEnded(head.id, SendEnd::Refused("gate_closed")), at(3)).is_empty());
    assert!(!bench.partition.holds(&head.id), "the next owner asks");
}

#[test]
fn what_ended_under_another_owner_is_not_in_hand_any_more() {
    let (mut bench, head) = sent();
    bench.append(placed(bench.log, Fact::Fence), at(3));
    let fence_offset = bench.log - 1;
    let outcome = Fact::Outcome { head: head.clone(), fence_offset, status: ResultStatus::Executed };
    assert!(bench.append(placed(bench.log, outcome), at(4)).is_empty(), "the owner publishes it");
    assert_eq!(bench.assign(at(5)), vec![Effect::Activated]);
    assert!(!bench.partition.holds(&head.id));
    assert!(bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(6)).is_empty());
}

#[test]
fn a_partition_taken_away_before_its_fence_came_back_is_not_ours() {
    for event in [Event::Lost, Event::Revoked] {
        let mut bench = Bench::new();
        let assignment = bench.assignment();
        let mut fence = placed(0, Fact::Fence);
        fence.event_id = assignment.fence_event_id;
        bench.step(Event::Assigned(assignment), at(0));
        bench.step(event, at(1));
        assert_eq!(*bench.partition.phase(), Phase::Standby);
        assert!(bench.append(fence, at(2)).is_empty());
        assert!(!bench.partition.may_dispatch());
        assert!(bench.step(Event::Tick, at(100_000)).is_empty());
    }
}

#[test]
fn a_draining_owner_is_fenced_without_a_word_and_knows_its_own_copies() {
    let mut bench = Bench::active();
    bench.step(Event::Revoked, at(1));
    let mut copy = placed(bench.log, Fact::Fence);
    copy.event_id = uuid(9_001);
    bench.append(copy, at(2));
    assert_eq!(*bench.partition.phase(), Phase::Draining { event_id: uuid(9_001), fence_offset: 1 });
    assert!(bench.append(placed(bench.log, Fact::Fence), at(3)).is_empty());
    assert_eq!(*bench.partition.phase(), Phase::Fenced { fence_offset: 1 });
    bench.step(Event::Lost, at(4));
    assert_eq!(*bench.partition.phase(), Phase::Fenced { fence_offset: 1 });
}

#[test]
fn another_venues_fence_is_not_read() {
    let mut bench = Bench::active();
    let mut foreign = placed(bench.log, Fact::Fence);
    foreign.venue = "another".to_owned();
    assert!(bench.append(foreign, at(1)).is_empty());
    assert!(bench.partition.is_active());
    assert_eq!(dispatches(&bench.claim(&one(), at(2))), 1);
}

#[test]
fn a_new_assignment_begins_where_the_group_says() {
    let mut bench = Bench::active();
    bench.receive(&one(), at(1));
    let poison = Incoming::Unacceptable { offset: 2, id: None, code: "poison", reason: String::new() };
    bench.step(Event::Command(poison), at(1));
    let assignment = Assignment { next_offset: 5, ..bench.assignment() };
    let mut fence = placed(bench.log, Fact::Fence);
    fence.event_id = assignment.fence_event_id;
    bench.step(Event::Assigned(assignment), at(2));
    bench.append(fence, at(2));
    assert!(bench.step(Event::Tick, at(10_000)).is_empty(), "others passed that record over");
    assert_eq!(bench.step(Event::Command(Incoming::Foreign { offset: 5 }), at(10_001)), vec![Effect::Commit(6)]);
}

#[test]
fn a_store_that_is_ahead_at_the_own_fence_brings_no_second_doubt_and_adopts_what_is_known() {
    let (mut bench, head) = sent();
    bench.partition =
        Partition::new(crate::common::VENUE, unrip_protocol::intake::Bounds::default(), Timing::default());
    for fact in [Fact::Decision { id: head.id }, Fact::Evidence { id: head.id }] {
        bench.append(placed(bench.log, fact), at(3));
    }
    let effects = bench.assign(at(4));
    let fence_offset = bench.log - 1;
    assert_eq!(effects, vec![Effect::Activated, Effect::AdoptEvidence { head: head.clone(), fence_offset }]);
    assert!(outcome_of(&bench.step(Event::Heard(head.id, said(ResultStatus::Rejected)), at(5))).is_none());
    assert_eq!(bench.append_all(&effects, at(6)), vec![Effect::Ended(head.id)]);
}

#[test]
fn a_drain_waits_for_what_is_claimed_and_for_nothing_else() {
    let mut bench = Bench::active();
    bench.receive(&one(), at(1));
    assert!(bench.partition.is_drained(), "the next owner reads it again");
    let poison = Incoming::Unacceptable { offset: 2, id: None, code: "poison", reason: String::new() };
    bench.step(Event::Command(poison), at(1));
    assert!(!bench.partition.is_drained());
    bench.step(Event::Lost, at(2));
    assert!(bench.partition.is_drained());
}

#[test]
fn who_does_not_own_the_partition_commits_nothing() {
    let mut bench = Bench::active();
    bench.receive(&one(), at(1));
    bench.append(placed(bench.log, Fact::Fence), at(2));
    let outcome = Fact::Outcome { head: one(), fence_offset: bench.log - 1, status: ResultStatus::Expired };
    assert!(bench.append(placed(bench.log, outcome), at(3)).is_empty());
}

#[test]
fn what_the_venue_said_when_asked_is_kept_too() {
    let (mut bench, head) = sent();
    bench.step(Event::AnswerLost(head.id), at(3));
    let mut verdict = said(ResultStatus::Executed);
    verdict.evidence.as_mut().unwrap().kind = EvidenceKind::VenueQuery;
    assert!(outcome_of(&bench.step(Event::Resolved(head.id, Resolution::Final(verdict)), at(4))).is_some());
    let effects = bench.append(placed(bench.log, Fact::Fence), at(5));
    assert_eq!(evidence_of(&effects), vec![(ResultStatus::Executed, 0)]);
}

#[test]
fn a_decision_alone_is_adopted_by_the_next_owner() {
    let (mut bench, head) = sent();
    bench.append(placed(bench.log, Fact::Fence), at(3));
    bench.append(placed(bench.log, Fact::Decision { id: head.id }), at(4));
    let effects = bench.assign(at(5));
    let fence_offset = bench.log - 1;
    assert_eq!(effects, vec![Effect::Activated, Effect::AdoptDecision { head, fence_offset }]);
}

#[test]
fn a_drain_says_what_a_gate_stopped_and_claims_nothing_that_was_being_prepared() {
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    let second = crate::common::command(2, "key-2");
    bench.receive(&second, at(1));
    bench.step(Event::Revoked, at(2));
    let effects = bench.step(Event::SendEnded(one().id, SendEnd::Refused("halted")), at(3));
    assert_eq!(outcome_of(&effects), Some((ResultStatus::Rejected, "halted".into())));
    assert!(bench.step(Event::Prepared(second.id, Preparation::Ready), at(3)).is_empty());
}

/// Another executor owns the partition: what was sent before is asked about there, and a stop need not wait for it.
#[test]
fn a_fenced_executor_has_nothing_to_drain() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(2));
    assert!(!bench.partition.is_drained());
    bench.append(placed(bench.log, Fact::Fence), at(3));
    assert!(bench.partition.is_drained());
}
