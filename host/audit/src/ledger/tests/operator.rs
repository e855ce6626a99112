//! What a person decided, and what a lost journal held.

use unrip_core::event::journal::{JournalDecision, JournalSeed};

use super::*;

/// After the deadline, and with a margin.
const LATE: Timestamp = DEADLINE.plus_millis(5_000);

fn decide(run: &mut Run, command: &Envelope<ExecuteTrade>, status: ResultStatus, at: Timestamp) {
    let (decided_by, reason) = ("ops".into(), "asked the venue".into());
    let decision = JournalDecision { command_id: command.payload.command_id, status, decided_by, reason };
    let key = decision.command_id.to_string();
    run.add(Stream::Journal, &key, &Envelope::root(Uuid::nil(), VENUE, "unrip/resolve", at, decision));
}

/// Outcome and result as the executor makes them of a decision.
fn end_by_decision(run: &mut Run, command: &Envelope<ExecuteTrade>, status: ResultStatus) {
    run.said(command, StatusState::ResolvedByOperator);
    let evidence = proof(EvidenceKind::Host, None);
    let mut outcome = outcome_of(command, run.fence, status, evidence.clone());
    outcome.result_code = "resolved_by_operator".into();
    run.journal(&command.payload.command_id.to_string(), outcome);
    let mut result = result_of(command, status, evidence);
    result.payload.result_code = "resolved_by_operator".into();
    run.result(&result);
}

fn seed_of(run: &Run, command: &Envelope<ExecuteTrade>, status: ResultStatus) -> JournalSeed {
    JournalSeed {
        command_id: command.payload.command_id,
        command_offset: 0,
        command_event_id: command.event_id,
        content_hash: hash(command),
        origin: String::new(),
        idempotency_key: command.payload.idempotency_key.clone(),
        dispatch_by: command.payload.dispatch_by,
        deadline: command.payload.deadline,
        fence_offset: run.fence,
        claimed: true,
        status,
    }
}

fn seed(run: &mut Run, command: &Envelope<ExecuteTrade>, status: ResultStatus) {
    let seed = seed_of(run, command, status);
    run.journal(&seed.command_id.to_string(), seed);
}

#[test]
fn takes_a_persons_word_for_an_open_claim() {
    for status in [ResultStatus::Executed, ResultStatus::NotExecuted, ResultStatus::Unresolved] {
        let (mut run, command) = claimed();
        decide(&mut run, &command, status, LATE);
        // The first decision counts.
        decide(&mut run, &command, ResultStatus::Rejected, LATE);
        end_by_decision(&mut run, &command, status);
        assert_eq!(run.breaks_nothing().journal_void["decision_without_effect"], 1);
    }
}

#[test]
fn wants_the_decision_before_the_outcome_that_rests_on_it() {
    let (mut run, command) = claimed();
    end_by_decision(&mut run, &command, ResultStatus::Executed);
    decide(&mut run, &command, ResultStatus::Executed, LATE);
    run.breaks("decision_missing");
    let (mut run, command) = claimed();
    decide(&mut run, &command, ResultStatus::Executed, LATE);
    end_by_decision(&mut run, &command, ResultStatus::NotExecuted);
    run.breaks("decision_differs");
    let (mut run, command) = claimed();
    run.said(&command, StatusState::ResolvedByOperator);
    run.breaks("decision_missing");
}

#[test]
fn a_decision_excuses_only_the_outcome_that_it_made() {
    let (mut run, command) = claimed();
    decide(&mut run, &command, ResultStatus::Executed, LATE);
    run.end(&command, ResultStatus::Executed, proof(EvidenceKind::Host, None));
    run.breaks("executed_without_proof");
    let (mut run, command) = claimed();
    decide(&mut run, &command, ResultStatus::NotExecuted, LATE);
    run.end(&command, ResultStatus::Executed, answered());
    run.breaks_nothing();
}

#[test]
fn names_a_decision_made_while_the_venue_could_still_act() {
    let (mut run, command) = claimed();
    decide(&mut run, &command, ResultStatus::NotExecuted, DEADLINE);
    run.breaks("decision_too_early");
    let (mut run, command) = claimed();
    decide(&mut run, &command, ResultStatus::Executed, SEEN);
    run.breaks_nothing();
}

#[test]
fn takes_what_ended_in_a_lost_journal_as_ended() {
    let (mut run, command) = (Run::new(), command(0));
    let offset = run.command(&command);
    seed(&mut run, &command, ResultStatus::Executed);
    run.result(&result_of(&command, ResultStatus::Executed, answered()));
    // Nothing more may come of it or of its key.
    run.claim(&command, offset);
    run.outcome(&command, ResultStatus::Rejected, None);
    seed(&mut run, &command, ResultStatus::Executed);
    let same_key = command_of(1, "q-0");
    let offset = run.command(&same_key);
    run.claim(&same_key, offset);
    run.end(&same_key, ResultStatus::Rejected, None);
    let old = JournalSeed { fence_offset: 77, ..seed_of(&run, &self::command(2), ResultStatus::Executed) };
    run.journal(&old.command_id.to_string(), old);
    let report = run.breaks_nothing();
    assert_eq!((report.claims, report.open), (0, 0));
    for reason in
        ["claim_repeats_command", "outcome_repeats_command", "seed_repeats_command", "claim_repeats_key", "seed_fenced"]
    {
        assert_eq!(report.journal_void[reason], 1, "{reason}");
    }
}

#[test]
fn compares_a_seed_with_the_result_and_misses_one_only_where_none_was_deleted() {
    let (mut run, ended) = (Run::new(), command(0));
    run.command(&ended);
    seed(&mut run, &ended, ResultStatus::Executed);
    assert_eq!(run.report_at(DEADLINE.plus_millis(GRACE_MS + 1)).overdue, 1);
    run.ledger.begin(Stream::Results, partition(), 5, DEADLINE);
    let report = run.report_at(DEADLINE.plus_millis(GRACE_MS + 1));
    assert_eq!((report.overdue, report.open, report.unjudged), (0, 0, 1));
    run.result(&result_of(&ended, ResultStatus::Rejected, answered()));
    run.breaks("seed_differs");
}

#[test]
fn lets_what_was_executed_settle_or_lapse_but_not_both() {
    for state in [StatusState::Settled, StatusState::Lapsed, StatusState::SettlementFailed] {
        let mut run = ended(ResultStatus::Executed, answered());
        run.said(&command(0), state);
        run.breaks_nothing();
    }
    let mut run = ended(ResultStatus::Executed, answered());
    run.said(&command(0), StatusState::Settled);
    run.said(&command(0), StatusState::Lapsed);
    run.breaks("settled_and_lapsed");
    let mut run = ended(ResultStatus::Rejected, answered());
    run.said(&command(0), StatusState::Lapsed);
    run.breaks("lapsed_not_executed");
}
