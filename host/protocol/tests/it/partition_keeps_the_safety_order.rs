//! What one executor does about one partition, step by step: any doubt means do not send; never resend; never guess.

use crate::common::bench::*;
use crate::common::{VENUE, at, command, halted, placed};
use unrip_core::Uuid;
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::{Fact, Head, apply};
use unrip_protocol::intake::Bounds;
use unrip_protocol::partition::*;

#[test]
fn prepares_claims_reads_back_and_only_then_dispatches() {
    let mut bench = Bench::active();
    let head = one();
    assert_eq!(bench.receive(&head, at(1)), vec![Effect::Prepare(head.id)]);
    let claim = bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    assert_eq!(claim, vec![Effect::AppendClaim { id: head.id, fence_offset: 0 }]);
    let effects = bench.append_all(&claim, at(3));
    assert_eq!(effects, vec![Effect::Dispatch(head.id), Effect::Commit(2)]);
    assert!(bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(4)).is_empty());
    let outcome = bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(5));
    assert_eq!(outcome_of(&outcome), Some((ResultStatus::Executed, "said".into())));
    assert_eq!(bench.append_all(&outcome, at(6)), vec![Effect::Ended(head.id)]);
    assert_eq!(bench.partition.open_count(), 0);
}

#[test]
fn never_resends_after_unknown_outcome() {
    let mut bench = Bench::active();
    let head = one();
    assert_eq!(dispatches(&bench.claim(&head, at(1))), 1);
    bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(2));
    let doubt = bench.step(Event::AnswerLost(head.id), at(3));
    assert_eq!(doubt, vec![Effect::SayInDoubt(head.id), Effect::Resolve(head.id)]);
    // Time, a repeat of the record and another assignment bring no second dispatch.
    bench.step(Event::Resolved(head.id, Resolution::WaitUntil(at(1_000))), at(4));
    let mut effects = bench.step(Event::Tick, at(2_000));
    assert_eq!(effects, vec![Effect::Resolve(head.id)]);
    effects.extend(bench.receive(&head, at(2_001)));
    effects.extend(bench.assign(at(2_002)));
    effects.extend(bench.receive(&head, at(2_003)));
    effects.extend(bench.step(Event::Tick, at(200_000)));
    assert_eq!(dispatches(&effects), 0);
    assert_eq!(outcome_of(&effects), None, "no verdict by our own clock");
}

#[test]
fn a_claim_of_an_earlier_life_is_in_doubt_and_not_sent() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    bench.partition = Partition::new(VENUE, Bounds::default(), Timing::default());
    let effects = bench.assign(at(10));
    assert_eq!(effects, vec![Effect::Activated, Effect::SayInDoubt(head.id), Effect::Resolve(head.id)]);
    let verdict = Resolution::Final(said(ResultStatus::NotExecuted));
    let outcome = bench.step(Event::Resolved(head.id, verdict), at(70_000));
    assert_eq!(bench.append_all(&outcome, at(70_001)), vec![Effect::Ended(head.id)]);
}

#[test]
fn a_newer_fence_closes_the_gate_and_late_answers_become_evidence() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(2));
    let effects = bench.append(placed(bench.log, Fact::Fence), at(3));
    assert_eq!(effects, vec![Effect::Rejoin]);
    assert!(!bench.partition.is_active());
    let other = command(2, "key-2");
    assert!(bench.receive(&other, at(4)).is_empty());
    let evidence = bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(5));
    assert!(matches!(evidence.as_slice(), [Effect::AppendEvidence { .. }]));
    bench.append_all(&evidence, at(6));
    // The partition's next owner makes it an outcome.
    let effects = bench.assign(at(7));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::AdoptEvidence { .. })), "{effects:?}");
}

#[test]
fn an_answer_heard_just_before_the_fence_is_not_lost_with_its_outcome() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(2));
    // The outcome is on its way when a newer fence stands before it: it will not count.
    let outcome = bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(3));
    let effects = bench.append(placed(bench.log, Fact::Fence), at(4));
    assert!(matches!(effects.as_slice(), [Effect::AppendEvidence { .. }, Effect::Rejoin]), "{effects:?}");
    bench.append_all(&outcome, at(5));
    bench.append_all(&effects, at(6));
    let effects = bench.assign(at(7));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::AdoptEvidence { .. })), "{effects:?}");
}

#[test]
fn a_fence_between_claim_and_reading_back_forbids_the_dispatch() {
    let mut bench = Bench::active();
    let head = one();
    bench.receive(&head, at(1));
    let claim = bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    let mut effects = bench.append(placed(bench.log, Fact::Fence), at(3));
    effects.extend(bench.append_all(&claim, at(4)));
    assert_eq!(dispatches(&effects), 0);
}

#[test]
fn a_store_that_is_ahead_of_the_event_forbids_the_dispatch() {
    let mut bench = Bench::active();
    let head = one();
    bench.receive(&head, at(1));
    bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    let claim = placed(bench.log, Fact::Claim { head, fence_offset: 0 });
    let applied = apply(&mut bench.fold, &claim).unwrap();
    apply(&mut bench.fold, &placed(bench.log + 1, Fact::Fence)).unwrap();
    let effects = bench.step(Event::Folded { placed: claim, applied, appended_at: at(3) }, at(3));
    assert_eq!(dispatches(&effects), 0);
}

#[test]
fn what_was_not_handed_over_is_tried_until_dispatch_by_and_then_expires() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    bench.step(Event::SendEnded(head.id, SendEnd::NotHanded), at(2));
    assert_eq!(dispatches(&bench.step(Event::Tick, at(3))), 1);
    bench.step(Event::SendEnded(head.id, SendEnd::NotHanded), at(4));
    let effects = bench.step(Event::Tick, at(3_000));
    assert_eq!(outcome_of(&effects), Some((ResultStatus::Expired, "dispatch_by_passed".into())));
}

#[test]
fn a_gate_that_closes_before_any_byte_rejects_with_evidence() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    let effects = bench.step(Event::SendEnded(head.id, SendEnd::Refused("halted")), at(2));
    assert_eq!(outcome_of(&effects), Some((ResultStatus::Rejected, "halted".into())));
    assert!(matches!(&effects[0], Effect::AppendOutcome { ending, .. } if ending.evidence.is_some()));
}

#[test]
fn an_answer_before_the_send_is_told_still_counts() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    let outcome = bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(2));
    assert!(outcome_of(&outcome).is_some());
    assert!(bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(3)).is_empty());
}

#[test]
fn a_second_command_of_a_key_is_rejected_with_the_first_in_evidence() {
    let mut bench = Bench::active();
    let first = one();
    bench.claim(&first, at(1));
    let mut second = command(2, "key-1");
    let effects = bench.receive(&second, at(2));
    assert_eq!(outcome_of(&effects), Some((ResultStatus::Rejected, "duplicate_key".into())));
    let Effect::AppendOutcome { ending, .. } = &effects[0] else { panic!() };
    assert_eq!(ending.evidence.as_ref().unwrap().detail.as_deref(), Some(first.id.to_string().as_str()));
    // Also where both were prepared before either claim was read back: the log decides.
    let mut bench = Bench::active();
    second.offset = 2;
    bench.receive(&first, at(1));
    bench.receive(&second, at(1));
    let one = bench.step(Event::Prepared(first.id, Preparation::Ready), at(2));
    bench.step(Event::Prepared(second.id, Preparation::Ready), at(2));
    let mut effects = bench.append_all(&one, at(3));
    let late = placed(bench.log, Fact::Claim { head: second, fence_offset: 0 });
    effects.extend(bench.append(late, at(4)));
    assert_eq!(dispatches(&effects), 1);
    assert_eq!(outcome_of(&effects), Some((ResultStatus::Rejected, "duplicate_key".into())));
}

#[test]
fn the_same_record_again_has_no_effect_and_other_content_is_passed_over() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    assert!(
        bench
            .receive(&Head { offset: 2, ..head.clone() }, at(2))
            .iter()
            .all(|effect| matches!(effect, Effect::Commit(3)))
    );
    let code = |effects: &[Effect]| match effects {
        [Effect::AppendSkip { code, letter: Some(_), .. }, ..] => *code,
        other => panic!("{other:?}"),
    };
    let conflict = Head { offset: 3, content_hash: "other".into(), ..head.clone() };
    assert_eq!(code(&bench.receive(&conflict, at(3))), "conflict");
    let superseded = Head { offset: 4, content_hash: "other".into(), origin: "newer".into(), ..head.clone() };
    assert_eq!(code(&bench.receive(&superseded, at(4))), "superseded");
    // The same record id under another command id is the same event with other content.
    let other_id = Head { event_id: head.event_id, origin: "newer".into(), ..command(5, "key-5") };
    assert_eq!(code(&bench.receive(&other_id, at(5))), "superseded");
}

#[test]
fn offsets_never_pass_a_command_that_the_journal_does_not_hold() {
    let mut bench = Bench::active();
    let (first, second) = (one(), command(2, "key-2"));
    bench.receive(&first, at(1));
    bench.receive(&second, at(1));
    let claim = bench.step(Event::Prepared(second.id, Preparation::Ready), at(2));
    let effects = bench.append_all(&claim, at(3));
    assert_eq!(effects, vec![Effect::Dispatch(second.id)], "the first is not journaled: nothing past it is committed");
    let claim = bench.step(Event::Prepared(first.id, Preparation::Ready), at(4));
    assert_eq!(bench.append_all(&claim, at(5)), vec![Effect::Dispatch(first.id), Effect::Commit(3)]);
}

#[test]
fn late_stale_refused_and_unbounded_commands_end_without_a_claim() {
    let ended = |head: Head, refusal: Option<Refusal>, now| {
        let effects = Bench::active().step(Event::Command(Incoming::Ours(head, refusal)), now);
        outcome_of(&effects)
    };
    assert_eq!(ended(one(), None, at(3_000)), Some((ResultStatus::Expired, "dispatch_by_passed".into())));
    assert_eq!(ended(one(), halted(), at(1)), Some((ResultStatus::Rejected, "halted".into())));
    let far = Head { deadline: at(700_000), ..one() };
    assert_eq!(ended(far, None, at(1)), Some((ResultStatus::Rejected, "limit_deadline".into())));
    let ahead = ended(one(), None, at(-3_000));
    assert_eq!(ahead, Some((ResultStatus::Rejected, "limit_clock_skew".into())));
}

#[test]
fn what_the_module_cannot_prepare_in_time_expires() {
    let mut bench = Bench::active();
    let head = one();
    bench.receive(&head, at(1));
    assert!(bench.step(Event::Prepared(head.id, Preparation::NotYet), at(2)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(60)), vec![Effect::Prepare(head.id)]);
    bench.step(Event::Prepared(head.id, Preparation::NotYet), at(61));
    assert_eq!(
        outcome_of(&bench.step(Event::Tick, at(3_000))),
        Some((ResultStatus::Expired, "dispatch_by_passed".into()))
    );
}

#[test]
fn a_claim_read_back_after_its_expiry_is_not_sent() {
    let mut bench = Bench::active();
    let head = one();
    bench.receive(&head, at(1));
    let claim = bench.step(Event::Prepared(head.id, Preparation::Ready), at(2));
    let expired = bench.step(Event::Tick, at(3_000));
    assert!(outcome_of(&expired).is_some());
    let mut effects = bench.append_all(&claim, at(3_001));
    effects.extend(bench.append_all(&expired, at(3_002)));
    assert_eq!(dispatches(&effects), 0);
    assert!(effects.contains(&Effect::Ended(head.id)));
}

#[test]
fn commands_of_an_earlier_life_hold_dispatch_back() {
    let mut bench = Bench::new();
    let fence_event_id = Uuid::from_u128(9_001);
    let assignment =
        Assignment { fence_event_id, next_offset: 1, floor: at(-100), first_fence_at: None, earlier_life: true };
    bench.step(Event::Assigned(assignment), at(0));
    let mut fence = placed(0, Fact::Fence);
    fence.event_id = fence_event_id;
    bench.append(fence, at(0));
    assert!(bench.receive(&one(), at(1)).is_empty(), "not prepared during the embargo");
    assert!(outcome_of(&bench.step(Event::Tick, at(3_000))).is_some(), "it expires instead");
    let old = Head { id: unrip_core::CommandId::from_bytes([0; 16]), ..command(2, "key-2") };
    assert!(matches!(
        bench.receive(&old, at(2)).as_slice(),
        [Effect::AppendSkip { code: "stale", letter: Some(_), .. }, ..]
    ));
}

#[test]
fn a_drain_takes_no_new_work_and_still_writes_what_it_hears() {
    let mut bench = Bench::active();
    let head = one();
    bench.claim(&head, at(1));
    bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(2));
    bench.step(Event::Revoked, at(3));
    assert!(!bench.partition.is_drained());
    assert!(bench.receive(&command(2, "key-2"), at(4)).is_empty());
    let outcome = bench.step(Event::Heard(head.id, said(ResultStatus::Executed)), at(5));
    assert_eq!(bench.append_all(&outcome, at(6)), vec![Effect::Ended(head.id)]);
    assert!(bench.partition.is_drained());
}

#[test]
fn a_drain_finishes_what_is_claimed() {
    let mut bench = Bench::active();
    let head = one();
    bench.receive(&head, at(1));
    let claim = bench.step(Event::Prepared(head.id, Preparation::Ready), at(1));
    bench.step(Event::Revoked, at(2));
    assert!(!bench.partition.is_drained(), "the claim is on its way");
    assert_eq!(bench.append_all(&claim, at(3)), vec![Effect::Dispatch(head.id), Effect::Commit(2)]);
    bench.step(Event::SendEnded(head.id, SendEnd::NotHanded), at(4));
    assert_eq!(bench.step(Event::Tick, at(5)), vec![Effect::Dispatch(head.id)]);
    bench.step(Event::SendEnded(head.id, SendEnd::Handed), at(6));
    assert!(!bench.partition.is_drained());
    // Its answer will not come: nothing to wait for, the next owner asks.
    assert!(bench.step(Event::AnswerLost(head.id), at(7)).is_empty());
    assert!(bench.partition.is_drained());
    bench.append(placed(bench.log, Fact::Fence), at(8));
    assert!(!bench.partition.may_dispatch());
}

#[test]
fn an_outcome_that_was_not_read_back_is_appended_again() {
    let mut bench = Bench::active();
    let head = one();
    let first = bench.receive(&Head { dispatch_by: at(0), ..head }, at(1));
    assert!(outcome_of(&first).is_some());
    assert!(outcome_of(&bench.step(Event::Tick, at(1_000))).is_none());
    assert!(outcome_of(&bench.step(Event::Tick, at(5_001))).is_some());
}

#[test]
fn an_owner_appends_its_fence_again_before_a_log_cut_by_age_could_lose_it() {
    let mut bench = Bench::active();
    let fence = Effect::AppendFence(uuid(9_001));
    assert!(bench.step(Event::Tick, at(599_999)).is_empty());
    assert_eq!(bench.step(Event::Tick, at(600_000)), vec![fence.clone()]);
    assert!(bench.step(Event::Tick, at(1_199_999)).is_empty());
    let mut copy = placed(bench.log, Fact::Fence);
    copy.event_id = uuid(9_001);
    assert!(bench.append(copy, at(1_199_999)).is_empty());
    assert!(bench.partition.is_active());
    assert_eq!(bench.step(Event::Tick, at(1_200_000)), vec![fence]);
    bench.step(Event::Revoked, at(1_200_001));
    assert!(bench.step(Event::Tick, at(9_000_000)).is_empty(), "an owner that hands over does not fence");
}
