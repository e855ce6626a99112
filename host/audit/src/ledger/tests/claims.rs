//! Which claims count, and what they may say.

use super::*;

#[test]
fn gives_no_effect_to_what_a_fenced_executor_writes() {
    let (mut run, command) = (Run::new(), command(0));
    let offset = run.command(&command);
    let old = run.fence;
    run.fence();
    let id = command.payload.command_id.to_string();
    run.journal(&id, claim_of(&command, offset, old));
    run.journal(&id, outcome_of(&command, old, ResultStatus::Executed, answered()));
    let skip = JournalSkip { command_offset: offset, command_id: None, fence_offset: old, reason_code: "stale".into() };
    run.journal("skip", skip);
    let report = run.report();
    assert_eq!((report.claims, report.open), (0, 1));
    for reason in ["claim_fenced", "outcome_fenced", "skip_fenced"] {
        assert_eq!(report.journal_void[reason], 1, "{reason}");
    }
    // Another venue's fence does not fence this one's.
    let fence = JournalFence {
        partition: 0,
        partition_count: PARTITIONS,
        journal_id: Uuid::nil(),
        executor_id: "y".into(),
        incarnation: Uuid::nil(),
    };
    run.add(Stream::Journal, "fence", &Envelope::root(Uuid::nil(), "b-venue", "execute", SEEN, fence));
    run.claim(&command, offset);
    run.end(&command, ResultStatus::Executed, answered());
    assert_eq!(run.breaks_nothing().claims, 1);
}

#[test]
fn lets_one_claim_per_command_and_key_count() {
    let (mut run, first) = claimed();
    run.claim(&first, 0);
    let same_key = command_of(1, "q-0");
    let offset = run.command(&same_key);
    run.claim(&same_key, offset);
    run.end(&first, ResultStatus::Executed, answered());
    run.claim(&first, 0);
    run.outcome(&first, ResultStatus::Rejected, answered());
    run.end(&same_key, ResultStatus::Rejected, None);
    let report = run.breaks_nothing();
    assert_eq!(report.claims, 1);
    assert_eq!(report.journal_void["claim_repeats_command"], 2);
    assert_eq!(report.journal_void["claim_repeats_key"], 1);
    assert_eq!(report.journal_void["outcome_repeats_command"], 1);
}

#[test]
fn compares_the_claim_with_its_command_and_bytes() {
    let change = |change: fn(&mut JournalClaim)| {
        let (mut run, command) = (Run::new(), command(0));
        let offset = run.command(&command);
        let mut claim = claim_of(&command, offset, run.fence);
        change(&mut claim);
        run.journal(&claim.command_id.to_string(), claim);
        run
    };
    change(|_| {}).breaks_nothing();
    change(|claim| claim.dispatch_by = SEEN).breaks_nothing();
    change(|claim| claim.action_base64 = STANDARD.encode("other")).breaks("claim_digest");
    change(|claim| claim.deadline = SEEN).breaks("claim_differs");
    change(|claim| claim.dispatch_by = DEADLINE).breaks("claim_differs");
    change(|claim| claim.content_hash = "00".into()).breaks("claim_differs");
    change(|claim| claim.command_offset = 9).breaks("claim_differs");
    change(|claim| claim.command = json(&command(1))).breaks("claim_differs");
    change(|claim| claim.command = serde_json::Value::Null).breaks("unreadable");
}
