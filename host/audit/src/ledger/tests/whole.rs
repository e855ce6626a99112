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
    run.ledger.begin(Stream::Commands, partition, 100, SEEN);
    run.ledger.begin(Stream::Journal, partition, 100, SEEN);
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

/// As the executor's rule and the operator's reading have it: without its fence a record has no effect, and no one can
/// say what it had while the fence was there.
#[test]
fn gives_no_effect_to_what_lost_its_fence_to_retention_and_does_not_miss_it() {
    let mut run = Run::new();
    run.ledger.begin(Stream::Journal, partition(), 100, SEEN);
    run.ledger.fences.clear();
    run.offsets.insert(Stream::Journal, 100);
    for (n, fence) in [(0, 40), (1, 30), (2, 40)] {
        let command = command(n);
        let offset = run.command(&command);
        run.fence = fence;
        run.claim(&command, offset);
        if n < 2 {
            run.end(&command, ResultStatus::Executed, answered());
        }
    }
    let skipped = command(3);
    let command_offset = run.command(&skipped);
    let id = skipped.payload.command_id;
    run.journal(
        "skip",
        JournalSkip { command_offset, command_id: Some(id), fence_offset: 40, reason_code: "stale".into() },
    );
    let report = run.report_at(DEADLINE.plus_millis(GRACE_MS + 1));
    assert_eq!((report.claims, report.commands, report.overdue, report.unjudged), (0, 4, 0, 2));
    for (reason, count) in [("claim_fence_deleted", 3), ("outcome_fence_deleted", 2), ("skip_fence_deleted", 1)] {
        assert_eq!(report.journal_void[reason], count, "{reason}");
    }
    // Once a fence is read, an older one is known to be fenced.
    run.fence();
    let (newest, late) = (run.fence, command(4));
    let offset = run.command(&late);
    run.fence = 40;
    run.claim(&late, offset);
    run.fence = newest;
    run.claim(&late, offset);
    run.end(&late, ResultStatus::Executed, answered());
    let report = run.breaks_nothing();
    assert_eq!((report.claims, report.journal_void["claim_fenced"]), (1, 1));
}

#[test]
fn counts_what_was_deleted_unread_and_forgets_the_fences_before_it() {
    let (mut run, command) = claimed();
    run.ledger.gap(Stream::Commands, partition(), 1, 100, SEEN);
    run.ledger.gap(Stream::Journal, partition(), 2, 60, SEEN);
    // A log that begins below the position has lost nothing.
    run.ledger.gap(Stream::Statuses, partition(), 10, 3, SEEN);
    run.offsets.insert(Stream::Journal, 60);
    // A newer fence may be among what was deleted.
    run.end(&command, ResultStatus::Executed, answered());
    let report = run.breaks_nothing();
    assert_eq!((report.lost_records, report.journal_void["outcome_fence_deleted"]), (99 + 58, 1));
}

#[test]
fn calls_nothing_overdue_whose_end_may_have_been_deleted() {
    let late = DEADLINE.plus_millis(GRACE_MS + 1);
    let lose = |stream, now: Timestamp| {
        let (mut run, command) = (Run::new(), command(0));
        run.command(&command);
        run.ledger.gap(stream, partition(), 1, 60, now);
        run
    };
    for stream in [Stream::Journal, Stream::Results] {
        let report = lose(stream, late).report_at(late);
        assert_eq!((report.overdue, report.unjudged, report.broken()), (0, 1, false), "{stream:?}");
        // What was deleted is older than the command: its end must be there.
        let report = lose(stream, SEEN.plus_millis(-CLOCK_SKEW_MS_MAX - 1)).report_at(late);
        assert_eq!((report.overdue, report.unjudged, report.broken()), (1, 0, true), "{stream:?}");
    }
    for stream in [Stream::Commands, Stream::Statuses] {
        assert_eq!(lose(stream, late).report_at(late).overdue, 1, "{stream:?}");
    }
    // The first result that is kept says from when on none is missing.
    let mut run = lose(Stream::Results, late);
    let mut early = result_of(&command(1), ResultStatus::Rejected, None);
    early.ingested_at = SEEN.plus_millis(-CLOCK_SKEW_MS_MAX - 1);
    run.result(&early);
    assert_eq!(run.report_at(late).overdue, 1);
    // A claim without an outcome, in a journal that is whole since: there was no end, so there is no result.
    let (mut run, _) = claimed();
    run.ledger.gap(Stream::Results, partition(), 0, 60, late);
    assert_eq!((run.report_at(late).overdue, run.report_at(late).unjudged), (1, 0));
    run.ledger.gap(Stream::Journal, partition(), 2, 60, late);
    assert_eq!((run.report_at(late).overdue, run.report_at(late).unjudged), (0, 1));
}

#[test]
fn lives_through_a_journal_that_was_made_again() {
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
