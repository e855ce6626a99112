//! Commands that are not accepted, or come twice.

use super::*;

#[test]
fn wants_nothing_for_commands_that_were_never_accepted() {
    let (mut run, stale) = (Run::new(), command(0));
    let offset = run.command(&stale);
    let id = Some(stale.payload.command_id);
    let fence_offset = run.fence;
    run.journal(
        "skip",
        JournalSkip { command_offset: offset, command_id: id, fence_offset, reason_code: "stale".into() },
    );
    let mut misrouted = command(1);
    misrouted.payload.account = "other".into();
    run.command(&misrouted);
    let report = run.report_at(DEADLINE.plus_millis(GRACE_MS + 1));
    assert_eq!((report.commands, report.overdue, report.skipped["stale"]), (0, 0, 1));
    run.end(&stale, ResultStatus::Rejected, None);
    run.claim(&misrouted, 1);
    let report = run.report();
    let codes: BTreeSet<&str> = report.violations.iter().map(|violation| violation.code.as_str()).collect();
    assert_eq!(codes, BTreeSet::from(["claim_of_unaccepted", "outcome_of_unaccepted", "result_of_unaccepted"]));
}

#[test]
fn lets_the_first_of_two_commands_with_one_id_stand() {
    let (mut run, first) = claimed();
    run.command(&first);
    let mut other = command(0);
    other.payload.reason = "another".into();
    let offset = run.command(&other);
    let id = Some(first.payload.command_id);
    let fence_offset = run.fence;
    let reason_code = "conflict".into();
    run.journal("skip", JournalSkip { command_offset: offset, command_id: id, fence_offset, reason_code });
    run.end(&first, ResultStatus::Executed, answered());
    let report = run.breaks_nothing();
    assert_eq!((report.commands, report.command_repeats, report.command_copies), (1, 1, 1));
}
