//! The rule of validity (`RECORDS.md`, Validity), record by record.

use crate::common::{VENUE, claim, command, fence, outcome, placed};
use unrip_core::event::result::ResultStatus;
use unrip_protocol::fold::{Applied, ClaimMark, Fact, FoldView, Head, Invalid, MemoryFold, OutcomeMark, apply};

#[track_caller]
fn check(facts: Vec<Fact>, expected: Vec<Applied>) {
    let mut fold = MemoryFold::default();
    let applied: Vec<Applied> = facts
        .into_iter()
        .enumerate()
        .map(|(offset, fact)| apply(&mut fold, &placed(offset as i64, fact)).unwrap())
        .collect();
    assert_eq!(applied, expected);
}

#[test]
fn a_claim_needs_the_newest_fence() {
    let a = command(1, "key-a");
    check(vec![claim(&a, 0)], vec![Applied::ClaimInvalid(Invalid::Fence)]);
    check(vec![fence(), claim(&a, 0)], vec![Applied::Fenced, Applied::ClaimValid]);
    check(
        vec![fence(), fence(), claim(&a, 0), claim(&a, 1)],
        vec![Applied::Fenced, Applied::Fenced, Applied::ClaimInvalid(Invalid::Fence), Applied::ClaimValid],
    );
}

#[test]
fn only_the_first_valid_claim_of_a_command_counts() {
    let a = command(1, "key-a");
    check(
        vec![fence(), claim(&a, 0), claim(&a, 0), fence(), claim(&a, 3)],
        vec![
            Applied::Fenced,
            Applied::ClaimValid,
            Applied::ClaimInvalid(Invalid::Command),
            Applied::Fenced,
            Applied::ClaimInvalid(Invalid::Command),
        ],
    );
}

#[test]
fn only_the_first_valid_claim_of_a_key_counts() {
    let (a, b) = (command(1, "one-key"), command(2, "one-key"));
    check(
        vec![fence(), claim(&a, 0), claim(&b, 0)],
        vec![Applied::Fenced, Applied::ClaimValid, Applied::ClaimInvalid(Invalid::Key(a.id))],
    );
}

#[test]
fn an_invalid_claim_blocks_nobody() {
    let (a, b) = (command(1, "one-key"), command(2, "one-key"));
    // The zombie's claim of `a` came after the second fence: `b` and `a` itself are as free as before.
    check(
        vec![fence(), fence(), claim(&a, 0), claim(&b, 1)],
        vec![Applied::Fenced, Applied::Fenced, Applied::ClaimInvalid(Invalid::Fence), Applied::ClaimValid],
    );
    check(
        vec![fence(), fence(), claim(&a, 0), claim(&a, 1)],
        vec![Applied::Fenced, Applied::Fenced, Applied::ClaimInvalid(Invalid::Fence), Applied::ClaimValid],
    );
}

#[test]
fn an_outcome_closes_its_command_and_only_the_first_counts() {
    let a = command(1, "key-a");
    check(
        vec![fence(), outcome(&a, 0, ResultStatus::Expired), claim(&a, 0), outcome(&a, 0, ResultStatus::Executed)],
        vec![
            Applied::Fenced,
            Applied::OutcomeValid,
            Applied::ClaimInvalid(Invalid::Command),
            Applied::OutcomeInvalid(Invalid::Command),
        ],
    );
}

#[test]
fn a_fenced_writer_ends_nothing_but_its_evidence_is_noted() {
    let a = command(1, "key-a");
    check(
        vec![
            fence(),
            claim(&a, 0),
            fence(),
            outcome(&a, 0, ResultStatus::Executed),
            Fact::Evidence { id: a.id },
            Fact::Evidence { id: a.id },
            outcome(&a, 2, ResultStatus::Executed),
            Fact::Evidence { id: a.id },
        ],
        vec![
            Applied::Fenced,
            Applied::ClaimValid,
            Applied::Fenced,
            Applied::OutcomeInvalid(Invalid::Fence),
            Applied::EvidenceNoted,
            Applied::NoEffect,
            Applied::OutcomeValid,
            Applied::NoEffect,
        ],
    );
}

#[test]
fn a_fence_fences_its_own_venue_only() {
    let a = command(1, "key-a");
    let mut fold = MemoryFold::default();
    apply(&mut fold, &placed(0, fence())).unwrap();
    let mut foreign = placed(1, fence());
    foreign.venue = "another".to_owned();
    apply(&mut fold, &foreign).unwrap();
    assert_eq!(apply(&mut fold, &placed(2, claim(&a, 0))).unwrap(), Applied::ClaimValid);
    assert_eq!(fold.fence(VENUE).unwrap().unwrap().offset, 0);
}

#[test]
fn a_skip_under_an_old_fence_has_no_effect() {
    let skip = |fence_offset| Fact::Skip { command_offset: 7, fence_offset };
    check(
        vec![fence(), skip(0), fence(), skip(0), Fact::Genesis, Fact::Unknown],
        vec![
            Applied::Fenced,
            Applied::SkipValid,
            Applied::Fenced,
            Applied::NoEffect,
            Applied::NoEffect,
            Applied::NoEffect,
        ],
    );
}

#[test]
fn evidence_and_decisions_count_once_and_for_open_commands_only() {
    let (a, b) = (command(1, "key-a"), command(2, "key-b"));
    let (said, decided) = (|id| Fact::Evidence { id }, |id| Fact::Decision { id });
    // Nothing is known of `a`; `b` ends without a claim.
    check(
        vec![fence(), said(a.id), decided(a.id), outcome(&b, 0, ResultStatus::Expired), said(b.id), decided(b.id)],
        vec![
            Applied::Fenced,
            Applied::NoEffect,
            Applied::NoEffect,
            Applied::OutcomeValid,
            Applied::NoEffect,
            Applied::NoEffect,
        ],
    );
    // Open, each counts once, whichever executor owns the partition; ended, none does.
    check(
        vec![
            fence(),
            claim(&a, 0),
            fence(),
            decided(a.id),
            decided(a.id),
            said(a.id),
            outcome(&a, 2, ResultStatus::Executed),
            decided(a.id),
            said(a.id),
        ],
        vec![
            Applied::Fenced,
            Applied::ClaimValid,
            Applied::Fenced,
            Applied::DecisionNoted,
            Applied::NoEffect,
            Applied::EvidenceNoted,
            Applied::OutcomeValid,
            Applied::NoEffect,
            Applied::NoEffect,
        ],
    );
}

#[test]
fn an_entry_keeps_where_everything_stands() {
    let a = command(1, "key-a");
    let mut fold = MemoryFold::default();
    let facts = [
        fence(),
        claim(&a, 0),
        Fact::Decision { id: a.id },
        Fact::Evidence { id: a.id },
        outcome(&a, 0, ResultStatus::NotExecuted),
    ];
    let mut open = Vec::new();
    for (offset, fact) in (0..).zip(facts) {
        apply(&mut fold, &placed(offset, fact)).unwrap();
        open.push(fold.open_claims(VENUE).unwrap().len());
    }
    assert_eq!(open, [0, 1, 1, 1, 0]);
    assert!(fold.open_claims("another").unwrap().is_empty());
    let entry = fold.entry(&a.id).unwrap().unwrap();
    assert_eq!(entry.claim, Some(ClaimMark { offset: 1, fence_offset: 0 }));
    assert_eq!((entry.decision, entry.evidence), (Some(2), Some(3)));
    assert_eq!(entry.outcome, Some(OutcomeMark { offset: 4, status: ResultStatus::NotExecuted }));
    assert_eq!(fold.key_owner("key-a").unwrap(), Some(a.id));
    assert_eq!(fold.event_owner(&a.event_id).unwrap(), Some(a.id));
}

#[test]
fn a_command_that_ended_without_a_claim_holds_no_key_and_is_not_open() {
    let (a, b) = (command(1, "one-key"), command(2, "one-key"));
    let mut fold = MemoryFold::default();
    for (offset, fact) in (0..).zip([fence(), outcome(&a, 0, ResultStatus::Expired)]) {
        apply(&mut fold, &placed(offset, fact)).unwrap();
    }
    assert!(fold.open_claims(VENUE).unwrap().is_empty());
    assert_eq!(fold.key_owner("one-key").unwrap(), None);
    assert_eq!(apply(&mut fold, &placed(2, claim(&b, 0))).unwrap(), Applied::ClaimValid);
}

#[test]
fn a_seed_stands_for_what_a_lost_journal_held() {
    let seed = |head: &Head, fence_offset, claimed| Fact::Seed {
        head: head.clone(),
        fence_offset,
        claimed,
        status: ResultStatus::Executed,
    };
    let (a, b, c) = (command(1, "one-key"), command(2, "one-key"), command(3, "one-key"));
    let mut fold = MemoryFold::default();
    let mut apply_at = |offset, fact| apply(&mut fold, &placed(offset, fact)).unwrap();
    assert_eq!(apply_at(0, seed(&a, 0, true)), Applied::NoEffect, "no fence");
    assert_eq!(apply_at(1, fence()), Applied::Fenced);
    assert_eq!(apply_at(2, fence()), Applied::Fenced);
    assert_eq!(apply_at(3, seed(&a, 1, true)), Applied::NoEffect, "an old fence");
    assert_eq!(apply_at(4, seed(&c, 2, false)), Applied::SeedValid);
    assert_eq!(apply_at(5, seed(&a, 2, true)), Applied::SeedValid, "what was not claimed holds no key");
    assert_eq!(apply_at(6, seed(&a, 2, true)), Applied::NoEffect, "known");
    assert_eq!(apply_at(7, seed(&b, 2, true)), Applied::SeedValid);
    assert_eq!(apply_at(8, claim(&a, 2)), Applied::ClaimInvalid(Invalid::Command));
    assert_eq!(apply_at(9, outcome(&a, 2, ResultStatus::Rejected)), Applied::OutcomeInvalid(Invalid::Command));
    let d = command(4, "one-key");
    assert_eq!(apply_at(10, claim(&d, 2)), Applied::ClaimInvalid(Invalid::Key(a.id)), "the first holds the key");
    let entry = fold.entry(&a.id).unwrap().unwrap();
    assert_eq!(entry.claim, Some(ClaimMark { offset: 5, fence_offset: 2 }));
    assert_eq!(entry.outcome, Some(OutcomeMark { offset: 5, status: ResultStatus::Executed }));
    assert_eq!(fold.entry(&c.id).unwrap().unwrap().claim, None);
}
