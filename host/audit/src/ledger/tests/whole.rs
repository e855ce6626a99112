//! Runs as a whole: open, overdue, in doubt, deleted by age, forgotten.

use super::*;

#[test]
fn finds_nothing_in_a_run_as_it_should_be() {
    let (mut run, first) = claimed();
    run.end(&first, ResultStatus::Executed, answered());
    run.said(&first, StatusState::Settled);
    let doubtful = command(1);
    let offset = run.command(&doubtful);
    run.claim(&doubtful, offset);
    run.said(&doubtful, StatusState::InDoubt);
    run.end(&doubtful, ResultStatus::NotExecuted, proof(EvidenceKind::ChainQuery, Some(DEADLINE.plus_millis(1))));
    let halted = command(2);
    run.command(&halted);
    run.end(&halted, ResultStatus::Rejected, None);
    let late = command(3);
    run.command(&late);
    let expiry = Evidence { action_digest: None, ..proof(EvidenceKind::Expiry, None).unwrap() };
    run.end(&late, ResultStatus::Expired, Some(expiry));
    let report = run.breaks_nothing();
    assert_eq!((report.commands, report.claims, report.open, report.overdue), (4, 2, 0, 0));
    assert_eq!(report.results_total(), 4);
    assert_eq!(report.results["not_executed"], 1);
    assert!(!report.broken());
}

#[test]
fn judges_the_same_in_whatever_order_the_streams_are_read() {
    let (mut run, command) = (Run::new(), command(0));
    run.result(&result_of(&command, ResultStatus::Executed, answered()));
    let mark = run.ledger.mark();
    run.claim(&command, 0);
    run.outcome(&command, ResultStatus::Executed, answered());
    run.command(&command);
    // What was touched after the mark is not judged by it.
    run.ledger.settle(mark);
    run.breaks_nothing();
}

#[test]
fn knows_open_from_overdue() {
    let (mut run, command) = claimed();
    let report = run.report_at(DEADLINE.plus_millis(GRACE_MS));
    assert_eq!((report.open, report.overdue, report.broken()), (1, 0, false));
    let report = run.report_at(DEADLINE.plus_millis(GRACE_MS + 1));
    assert_eq!((report.open, report.overdue, report.broken()), (0, 1, true));
    assert_eq!(report.overdue_commands, vec![command.payload.command_id]);
}

#[test]
fn takes_a_doubt_that_lasts_for_an_alarm_and_not_for_a_broken_promise() {
    let (mut run, command) = claimed();
    run.said(&command, StatusState::InDoubt);
    let report = run.report_at(SEEN.plus_millis(3_600_000));
    assert_eq!((report.open, report.in_doubt, report.overdue, report.broken()), (1, 1, 0, false));
    assert_eq!(report.in_doubt_oldest_ms, 3_600_000);
    // Once the journal knows the end, its result is due.
    run.outcome(&command, ResultStatus::Executed, answered());
    let report = run.report_at(SEEN.plus_millis(3_600_000));
    assert_eq!((report.in_doubt, report.in_doubt_oldest_ms, report.overdue), (0, 0, 1));
    // Without a claim there is nothing to doubt.
    let (mut run, command) = (Run::new(), self::command(0));
    run.command(&command);
    run.said(&command, StatusState::InDoubt);
    assert_eq!(run.report_at(DEADLINE.plus_millis(GRACE_MS + 1)).overdue, 1);
}

#[test]
fn misses_nothing_that_was_deleted_by_age() {
    let mut run = Run::new();
    let partition = partition_for(execution_key(VENUE, "account").as_bytes(), PARTITIONS);
    run.ledger.begin(Stream::Commands, partition, 100);
    run.ledger.begin(Stream::Journal, partition, 100);
    run.end(&command(0), ResultStatus::Executed, answered());
    run.breaks_nothing();
}

#[test]
fn forgets_the_oldest_that_ended_and_keeps_counting() {
    let mut run = Run::new();
    run.ledger.options.history_commands_max = 1;
    for n in 0..3 {
        let command = command(n);
        let offset = run.command(&command);
        run.claim(&command, offset);
        run.end(&command, ResultStatus::Executed, answered());
    }
    let report = run.report();
    assert_eq!((report.commands, report.results_total(), report.forgotten), (3, 3, 2));
    // A repeat of what was forgotten is not judged.
    run.result(&result_of(&command(0), ResultStatus::Executed, answered()));
    run.breaks_nothing();
}

#[test]
fn reads_on_where_the_newest_fence_was_deleted_by_age() {
    let mut run = Run::new();
    run.ledger.begin(Stream::Journal, partition(), 100);
    run.ledger.fences.clear();
    run.offsets.insert(Stream::Journal, 100);
    let (old, newer) = (command(0), command(1));
    for (command, fence) in [(&newer, 40), (&old, 30)] {
        let offset = run.command(command);
        run.fence = fence;
        run.claim(command, offset);
    }
    let report = run.breaks_nothing();
    assert_eq!((report.claims, report.journal_void["claim_fenced"]), (1, 1));
}

#[test]
fn lives_through_a_journal_that_was_made_anew() {
    let mut run = Run::new();
    run.offsets.insert(Stream::Journal, 0);
    run.genesis(1);
    run.fence();
    let ended = command(0);
    let offset = run.command(&ended);
    run.claim(&ended, offset);
    run.end(&ended, ResultStatus::Executed, answered());
    run.offsets.insert(Stream::Journal, 0);
    run.genesis(2);
    // The earlier journal's fence counts no more, even at an offset that it had.
    let late = command(1);
    let offset = run.command(&late);
    run.claim(&late, offset);
    run.fence();
    let skip = |id, command_offset, fence_offset| JournalSkip {
        command_offset,
        command_id: Some(id),
        fence_offset,
        reason_code: "stale".into(),
    };
    run.journal("skip", skip(ended.payload.command_id, 0, run.fence));
    run.journal("skip", skip(late.payload.command_id, offset, run.fence));
    let report = run.breaks_nothing();
    assert_eq!((report.commands, report.claims, report.journal_void["claim_fenced"]), (1, 1, 1));
}
