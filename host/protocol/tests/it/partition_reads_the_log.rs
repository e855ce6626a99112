//! What comes back from the log decides, record by record: own records, a zombie's, and repeats.

use crate::common::bench::*;
use crate::common::{at, command, halted, placed};
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::{Applied, Fact, Head, Invalid, MemoryFold, apply};
use unrip_protocol::partition::*;

fn claiming() -> (Bench, Head, Vec<Effect>) {
    let (mut bench, head) = (Bench::active(), one());
    bench.receive(&head, at(1));
    let claim = bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    (bench, head, claim)
}

#[test]
fn a_claim_that_lands_twice_is_sent_once() {
    let (mut bench, head, claim) = claiming();
    assert_eq!(dispatches(&bench.append_all(&claim, at(3))), 1);
    assert!(bench.append_all(&claim, at(4)).is_empty());
    assert!(bench.partition.holds(&head.id));
    assert!(bench.step(Event::Prepared(head.id, Preparation::Ready), at(5)).is_empty(), "prepared once more: no claim");
}

#[test]
fn a_zombies_late_claim_changes_nothing() {
    let (mut bench, head, claim) = claiming();
    let zombies = Fact::Claim { head: head.clone(), fence_offset: 99 };
    assert!(bench.append(placed(bench.log, zombies), at(3)).is_empty());
    assert_eq!(dispatches(&bench.append_all(&claim, at(4))), 1);
}

#[test]
fn a_claim_in_the_log_that_nobody_here_remembers_is_a_doubt() {
    let (mut bench, head) = (Bench::active(), one());
    let claim = Fact::Claim { head: head.clone(), fence_offset: 0 };
    let effects = bench.append(placed(bench.log, claim), at(1));
    assert_eq!(effects, vec![Effect::SayInDoubt(head.id), Effect::Resolve(head.id)]);
    // Its record, read again, is known.
    assert_eq!(bench.receive(&head, at(2)), vec![Effect::Commit(2)]);
}

#[test]
fn a_claim_that_an_outcome_forestalled_is_let_go() {
    let (mut bench, head, claim) = claiming();
    let outcome = Fact::Outcome { head: head.clone(), fence_offset: 0, status: ResultStatus::Expired };
    assert_eq!(bench.append(placed(bench.log, outcome), at(3)), vec![Effect::Ended(head.id), Effect::Commit(2)]);
    assert!(bench.append_all(&claim, at(4)).is_empty());
    assert!(!bench.partition.holds(&head.id));
}

#[test]
fn a_claim_that_comes_second_leaves_the_first_in_doubt_or_ended() {
    // The store is ahead: the first is there before this executor hears of it.
    for ended in [false, true] {
        let (mut bench, head, _) = claiming();
        let first = Fact::Claim { head: head.clone(), fence_offset: 0 };
        apply(&mut bench.fold, &placed(bench.log, first.clone())).unwrap();
        if ended {
            let outcome = Fact::Outcome { head: head.clone(), fence_offset: 0, status: ResultStatus::Executed };
            apply(&mut bench.fold, &placed(bench.log + 1, outcome)).unwrap();
        }
        let effects = bench.append(placed(bench.log + 2, first), at(3));
        let doubts = effects.iter().filter(|effect| matches!(effect, Effect::Resolve(_))).count();
        assert_eq!((dispatches(&effects), doubts), (0, usize::from(!ended)));
        assert!(effects.contains(&Effect::Commit(2)), "the journal holds it");
        assert_eq!(bench.partition.holds(&head.id), !ended);
    }
}

#[test]
fn an_outcome_that_a_copy_of_the_own_fence_voids_is_appended_under_the_copy() {
    let mut bench = Bench::active();
    let refused = Incoming::Ours(one(), halted());
    let outcome = bench.step(Event::Command(refused), at(1));
    let mut copy = placed(bench.log, Fact::Fence);
    copy.event_id = uuid(9_001);
    bench.append(copy, at(2));
    let again = bench.append_all(&outcome, at(3));
    assert!(matches!(again.as_slice(), [Effect::AppendOutcome { fence_offset: 1, .. }]), "{again:?}");
    // The same void one once more: what is under way stands under the copy already, it is only made again.
    assert_eq!(bench.append_all(&again, at(4)), vec![Effect::Ended(one().id), Effect::Commit(2)]);
    assert!(bench.append_all(&again, at(5)).is_empty());
    assert!(bench.append_all(&outcome, at(6)).is_empty());
}

#[test]
fn an_outcome_that_lands_twice_is_published_once() {
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    let outcome = bench.step(Event::Heard(one().id, said(ResultStatus::Executed)), at(2));
    assert_eq!(bench.append_all(&outcome, at(3)), vec![Effect::Ended(one().id)]);
    assert!(bench.append_all(&outcome, at(4)).is_empty());
}

#[test]
fn an_own_outcome_that_comes_second_is_let_go() {
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    let outcome = bench.step(Event::Heard(one().id, said(ResultStatus::Executed)), at(2));
    let first = Fact::Outcome { head: one(), fence_offset: 0, status: ResultStatus::Executed };
    apply(&mut bench.fold, &placed(bench.log, first)).unwrap();
    bench.log += 1;
    assert!(bench.append_all(&outcome, at(3)).is_empty());
    assert!(!bench.partition.holds(&one().id));
    assert!(bench.step(Event::Tick, at(100_000)).is_empty(), "nothing is appended again");
}

#[test]
fn evidence_that_lands_while_the_partition_is_ours_is_adopted_at_once_and_elsewhere_left_alone() {
    let evidence = Fact::Evidence { id: one().id };
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    bench.step(Event::AnswerLost(one().id), at(2));
    let adopted = bench.append(placed(bench.log, evidence.clone()), at(3));
    assert_eq!(adopted, vec![Effect::AdoptEvidence { head: one(), fence_offset: 0 }]);
    let late = Event::Resolved(one().id, Resolution::Final(said(ResultStatus::NotExecuted)));
    assert!(bench.step(late, at(4)).is_empty(), "one verdict is on its way");
    let mut fenced = Bench::active();
    fenced.claim(&one(), at(1));
    fenced.append(placed(fenced.log, Fact::Fence), at(2));
    assert!(fenced.append(placed(fenced.log, evidence), at(3)).is_empty());
}

#[test]
fn an_adopted_outcome_that_comes_second_is_let_go() {
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    let adopted = bench.append(placed(bench.log, Fact::Evidence { id: one().id }), at(2));
    let first = Fact::Outcome { head: one(), fence_offset: 0, status: ResultStatus::Executed };
    apply(&mut bench.fold, &placed(bench.log, first)).unwrap();
    bench.log += 1;
    assert!(bench.append_all(&adopted, at(3)).is_empty());
    assert!(!bench.partition.holds(&one().id));
}

#[test]
fn commits_wait_for_the_first_command_that_the_journal_does_not_hold() {
    let mut bench = Bench::active();
    let foreign = |offset| Event::Command(Incoming::Foreign { offset });
    assert_eq!(bench.step(foreign(1), at(1)), vec![Effect::Commit(2)]);
    assert!(bench.step(foreign(1), at(1)).is_empty(), "nothing new");
    bench.receive(&command(2, "key-2"), at(1));
    assert!(bench.step(foreign(3), at(1)).is_empty());
    let poison = Incoming::Unacceptable { offset: 4, id: None, code: "poison", reason: String::new() };
    let skip = bench.step(Event::Command(poison), at(1));
    assert!(bench.append_all(&skip, at(2)).is_empty());
    let never = Preparation::Never { code: "module_refused".to_owned(), reason: "why".to_owned() };
    let outcome = bench.step(Event::Prepared(command(2, "key-2").id, never), at(3));
    assert_eq!(outcome_of(&outcome), Some((ResultStatus::Rejected, "module_refused".into())));
    let effects = bench.append_all(&outcome, at(4));
    assert_eq!(effects, vec![Effect::Ended(command(2, "key-2").id), Effect::Commit(5)]);
}

/// A claim on its way when a later copy of our own fence lands before it.
fn claiming_behind_a_copy() -> (Bench, Head, Vec<Effect>) {
    let (mut bench, head, claim) = claiming();
    let mut copy = placed(bench.log, Fact::Fence);
    copy.event_id = uuid(9_001);
    bench.append(copy, at(3));
    (bench, head, claim)
}

#[test]
fn a_claim_that_a_copy_of_the_own_fence_voids_is_made_again_once() {
    let (mut bench, head, claim) = claiming_behind_a_copy();
    let zombies = Fact::Claim { head: head.clone(), fence_offset: 99 };
    assert!(bench.append(placed(bench.log, zombies), at(4)).is_empty(), "not ours");
    let again = bench.append_all(&claim, at(4));
    assert_eq!(again, vec![Effect::AppendClaim { id: head.id, fence_offset: 1 }]);
    assert!(bench.append_all(&claim, at(5)).is_empty(), "it landed twice");
    assert_eq!(dispatches(&bench.append_all(&again, at(6))), 1);
}

#[test]
fn a_claim_that_is_void_for_a_reason_not_read_yet_is_not_made_again() {
    let (mut bench, head, _) = claiming();
    let claim = placed(bench.log, Fact::Claim { head, fence_offset: 0 });
    let applied = Applied::ClaimInvalid(Invalid::Fence);
    assert!(bench.step(Event::Folded { placed: claim, applied, appended_at: at(3) }, at(3)).is_empty());
}

#[test]
fn a_clock_that_steps_back_sends_nothing_that_has_expired() {
    let (mut bench, head, claim) = claiming();
    let expired = bench.step(Event::Tick, at(3_000));
    assert!(outcome_of(&expired).is_some());
    assert_eq!(bench.append_all(&claim, at(2_999)), vec![Effect::Commit(2)], "its outcome is on its way");
    assert_eq!(bench.append_all(&expired, at(2_999)), vec![Effect::Ended(head.id)]);
}

#[test]
fn a_store_that_has_lost_its_fence_forbids_the_dispatch() {
    let (mut bench, head, _) = claiming();
    let claim = placed(bench.log, Fact::Claim { head, fence_offset: 0 });
    bench.fold = MemoryFold::default();
    let effects = bench.step(Event::Folded { placed: claim, applied: Applied::ClaimValid, appended_at: at(3) }, at(3));
    assert_eq!(dispatches(&effects), 0);
}

#[test]
fn another_fence_does_not_open_the_partition() {
    let mut bench = Bench::new();
    let assignment = bench.assignment();
    let event_id = assignment.fence_event_id;
    bench.step(Event::Assigned(assignment), at(0));
    assert!(bench.append(placed(0, Fact::Fence), at(1)).is_empty());
    assert_eq!(*bench.partition.phase(), Phase::Fencing { event_id, at: at(0) });
    assert!(!bench.partition.may_dispatch());
}

#[test]
fn at_the_own_fence_what_the_store_knows_to_be_over_is_let_go() {
    let mut bench = Bench::active();
    for number in [1, 2] {
        bench.claim(&command(number, &format!("key-{number}")), at(1));
    }
    bench.append(placed(bench.log, Fact::Fence), at(2));
    // The store is ahead: it knows an outcome that was not reported to this executor.
    let outcome = Fact::Outcome { head: one(), fence_offset: bench.log - 1, status: ResultStatus::Executed };
    apply(&mut bench.fold, &placed(bench.log, outcome)).unwrap();
    bench.log += 1;
    assert_eq!(bench.assign(at(3)), vec![Effect::Activated]);
    assert!(!bench.partition.holds(&one().id));
    assert!(bench.partition.holds(&command(2, "key-2").id), "its answer may still come");
    // And what the store does not know at all may still be answered too.
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    bench.fold = MemoryFold::default();
    bench.assign(at(3));
    assert!(bench.partition.holds(&one().id));
}

#[test]
fn an_outcome_known_before_it_is_read_frees_its_offset() {
    let mut bench = Bench::active();
    let outcome = bench.step(Event::Command(Incoming::Ours(one(), halted())), at(1));
    let first = Fact::Outcome { head: one(), fence_offset: 0, status: ResultStatus::Rejected };
    apply(&mut bench.fold, &placed(bench.log, first)).unwrap();
    bench.log += 1;
    assert_eq!(bench.append_all(&outcome, at(2)), vec![Effect::Commit(2)]);
}

#[test]
fn an_outcome_that_is_void_for_a_reason_not_read_yet_is_left_to_its_time() {
    let mut bench = Bench::active();
    bench.step(Event::Command(Incoming::Ours(one(), halted())), at(1));
    let outcome = placed(bench.log, Fact::Outcome { head: one(), fence_offset: 0, status: ResultStatus::Rejected });
    let applied = Applied::OutcomeInvalid(Invalid::Fence);
    assert!(bench.step(Event::Folded { placed: outcome, applied, appended_at: at(2) }, at(2)).is_empty());
}
