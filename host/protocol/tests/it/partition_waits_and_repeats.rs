//! What time does to one partition: appends that did not come back, answers that did not come, doubts, expiry.

use crate::common::bench::*;
use crate::common::{at, command, halted, placed};
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::Fact;
use unrip_protocol::partition::*;

#[test]
fn a_fence_that_does_not_come_back_is_appended_again_each_time() {
    let mut bench = Bench::new();
    let assignment = bench.assignment();
    let fence = Effect::AppendFence(assignment.fence_event_id);
    bench.step(Event::Assigned(assignment), at(0));
    assert!(bench.step(Event::Tick, at(4_999)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(5_000)), vec![fence.clone()]);
    assert!(bench.step(Event::Tick, at(9_999)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(10_000)), vec![fence]);
}

#[test]
fn a_skip_that_does_not_come_back_is_appended_again_and_then_never_more() {
    let mut bench = Bench::active();
    let poison = Incoming::Unacceptable { offset: 1, id: None, code: "poison", reason: "why".to_owned() };
    let effects = bench.step(Event::Command(poison), at(0));
    let skip = |letter| Effect::AppendSkip { offset: 1, id: None, fence_offset: 0, code: "poison", letter };
    assert_eq!(effects, vec![skip(Some("why".to_owned()))], "nothing is committed before the skip is read");
    let skip = skip(None);
    assert!(!bench.partition.is_drained());
    assert!(bench.step(Event::Tick, at(4_999)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(5_000)), vec![skip.clone()]);
    assert!(bench.step(Event::Tick, at(9_999)).is_empty());
    assert_eq!(bench.append_all(&[skip], at(9_999)), vec![Effect::Commit(2)]);
    assert!(bench.step(Event::Tick, at(20_000)).is_empty());
    assert!(bench.partition.is_drained());
}

#[test]
fn an_outcome_that_does_not_come_back_is_appended_again_each_time() {
    let mut bench = Bench::active();
    let refused = Incoming::Ours(one(), halted());
    let outcome = bench.step(Event::Command(refused), at(0));
    assert!(bench.step(Event::Tick, at(4_999)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(5_000)), outcome);
    assert!(bench.step(Event::Tick, at(9_999)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(10_000)), outcome);
    assert!(!bench.partition.is_drained());
}

#[test]
fn an_adoption_that_does_not_come_back_is_made_again_each_time() {
    for (fact, is_evidence) in [(Fact::Evidence { id: one().id }, true), (Fact::Decision { id: one().id }, false)] {
        let mut bench = Bench::active();
        bench.claim(&one(), at(0));
        let adopted = bench.append(placed(bench.log, fact), at(0));
        let (head, fence_offset) = (one(), 0);
        let expected = match is_evidence {
            true => Effect::AdoptEvidence { head, fence_offset },
            false => Effect::AdoptDecision { head, fence_offset },
        };
        assert_eq!(adopted, vec![expected.clone()]);
        assert!(!bench.partition.is_drained());
        assert!(bench.step(Event::Tick, at(4_999)).is_empty());
        assert_eq!(bench.step(Event::Tick, at(5_000)), adopted);
        assert!(bench.step(Event::Tick, at(9_999)).is_empty());
        assert_eq!(bench.append_all(&adopted, at(9_999)), vec![Effect::Ended(one().id)]);
    }
}

#[test]
fn an_answer_that_does_not_come_in_time_is_a_doubt() {
    let mut bench = Bench::active();
    let id = one().id;
    bench.claim(&one(), at(0));
    bench.step(Event::SendEnded(id, SendEnd::Handed), at(10));
    assert!(bench.step(Event::Tick, at(10_009)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(10_010)), vec![Effect::SayInDoubt(id), Effect::Resolve(id)]);
    assert_eq!(bench.partition.doubt_count(), 1);
    // The answer may still come.
    let outcome = bench.step(Event::Heard(id, said(ResultStatus::Executed)), at(10_011));
    assert_eq!(outcome_of(&outcome), Some((ResultStatus::Executed, "said".into())));
    assert_eq!(bench.partition.doubt_count(), 0);
}

#[test]
fn a_doubt_is_taken_up_again_when_its_module_says_so() {
    let mut bench = Bench::active();
    let id = one().id;
    bench.claim(&one(), at(0));
    bench.step(Event::AnswerLost(id), at(1));
    assert!(bench.step(Event::Tick, at(900)).is_empty(), "its question is under way");
    bench.step(Event::Resolved(id, Resolution::WaitUntil(at(1_000))), at(900));
    assert!(bench.step(Event::Tick, at(999)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(1_000)), vec![Effect::Resolve(id)]);
    assert!(bench.step(Event::Tick, at(2_000)).is_empty());
    // Who hands the partition over leaves it to the next owner.
    bench.step(Event::Resolved(id, Resolution::WaitUntil(at(3_000))), at(2_000));
    bench.step(Event::Revoked, at(2_500));
    assert!(bench.partition.is_drained());
    assert!(bench.step(Event::Tick, at(3_000)).is_empty());
}

#[test]
fn what_is_not_prepared_or_claimed_expires_at_dispatch_by_and_not_before() {
    let expired = Some((ResultStatus::Expired, "dispatch_by_passed".to_owned()));
    let id = one().id;
    let until: [fn(&mut Bench); 3] = [
        |_| {},
        |bench| drop(bench.step(Event::Prepared(one().id, Preparation::NotYet), at(2_990))),
        |bench| drop(bench.step(Event::Prepared(one().id, Preparation::Ready), at(2_990))),
    ];
    for prepare in until {
        let mut bench = Bench::active();
        bench.receive(&one(), at(1));
        prepare(&mut bench);
        assert!(bench.step(Event::Tick, at(2_999)).is_empty());
        let effects = bench.step(Event::Tick, at(3_000));
        assert_eq!(outcome_of(&effects), expired);
        assert_eq!(bench.append_all(&effects, at(3_001)), vec![Effect::Ended(id), Effect::Commit(2)]);
    }
    // Read at that moment it is too late, and just before it is not.
    assert_eq!(outcome_of(&Bench::active().receive(&one(), at(3_000))), expired);
    assert_eq!(Bench::active().receive(&one(), at(2_999)), vec![Effect::Prepare(id)]);
}

#[test]
fn a_claim_that_comes_back_at_dispatch_by_is_not_sent() {
    for (now, sends) in [(2_999, 1), (3_000, 0)] {
        let mut bench = Bench::active();
        bench.receive(&one(), at(1));
        let claim = bench.step(Event::Prepared(one().id, Preparation::Ready), at(2));
        let effects = bench.append_all(&claim, at(now));
        assert_eq!(dispatches(&effects), sends);
        assert_eq!(outcome_of(&effects).is_some(), sends == 0, "this process knows that it handed nothing over");
    }
}

#[test]
fn what_was_not_handed_over_is_tried_until_dispatch_by() {
    let mut bench = Bench::active();
    bench.claim(&one(), at(1));
    bench.step(Event::SendEnded(one().id, SendEnd::NotHanded), at(2));
    assert!(!bench.partition.is_drained());
    assert_eq!(bench.step(Event::Tick, at(2_999)), vec![Effect::Dispatch(one().id)]);
    assert!(bench.step(Event::Tick, at(3_000)).is_empty(), "it is being tried: only its end says what was handed over");
    bench.step(Event::SendEnded(one().id, SendEnd::NotHanded), at(3_001));
    let effects = bench.step(Event::Tick, at(3_002));
    assert_eq!((dispatches(&effects), outcome_of(&effects).map(|it| it.0)), (0, Some(ResultStatus::Expired)));
}

#[test]
fn a_module_that_cannot_prepare_yet_is_asked_again_while_the_partition_is_ours() {
    let mut bench = Bench::active();
    let id = one().id;
    bench.receive(&one(), at(1));
    bench.step(Event::Prepared(id, Preparation::NotYet), at(100));
    assert!(bench.step(Event::Tick, at(149)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(150)), vec![Effect::Prepare(id)]);
    assert!(bench.step(Event::Tick, at(199)).is_empty(), "it is being asked");
    bench.step(Event::Prepared(id, Preparation::NotYet), at(200));
    bench.step(Event::Revoked, at(201));
    assert!(bench.partition.is_drained(), "the next owner reads it again");
    assert!(bench.step(Event::Tick, at(300)).is_empty());
    assert!(bench.step(Event::Prepared(id, Preparation::Ready), at(301)).is_empty(), "nothing new is claimed");
}

#[test]
fn nobody_but_the_owner_repeats_anything() {
    let mut bench = Bench::active();
    bench.step(Event::Command(Incoming::Ours(one(), halted())), at(0));
    bench.receive(&command(2, "key-2"), at(0));
    bench.claim(&command(3, "key-3"), at(0));
    bench.step(Event::SendEnded(command(3, "key-3").id, SendEnd::Handed), at(0));
    bench.append(placed(bench.log, Fact::Fence), at(1));
    assert!(bench.step(Event::Tick, at(100_000)).is_empty());
    assert!(bench.partition.holds(&command(3, "key-3").id), "its answer may still come");
}
