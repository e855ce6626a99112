//! The rule of validity (DESIGN §6.1), record by record.

mod common;

use common::{VENUE, claim, command, fence, outcome, placed};
use unrip_core::event::result::ResultStatus;
use unrip_execute::core::fold::{Applied, Fact, FoldView, Invalid, MemoryFold, apply};

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
