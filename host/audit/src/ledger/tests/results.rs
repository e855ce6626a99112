//! What is published.

use super::*;

#[test]
fn counts_repeats_and_names_a_second_result() {
    let (mut run, command) = claimed();
    let result = result_of(&command, ResultStatus::Executed, answered());
    run.outcome(&command, ResultStatus::Executed, answered());
    run.result(&result);
    run.result(&result);
    let report = run.report();
    assert_eq!((report.repeats, report.results_total(), report.violations_total), (1, 1, 0));
    run.result(&result_of(&command, ResultStatus::Rejected, answered()));
    run.breaks("second_result");
}

#[test]
fn names_two_executions_of_one_key() {
    let (mut run, first) = claimed();
    run.end(&first, ResultStatus::Executed, answered());
    let same_key = command_of(1, "q-0");
    run.command(&same_key);
    run.outcome(&same_key, ResultStatus::Rejected, None);
    run.result(&result_of(&same_key, ResultStatus::Executed, None));
    let report = run.report();
    let codes: Vec<&str> = report.violations.iter().map(|violation| violation.code.as_str()).collect();
    assert_eq!(codes, ["key_executed_twice", "result_differs_from_outcome"]);
}

#[test]
fn names_a_result_that_nothing_bears() {
    let (mut run, command) = claimed();
    run.result(&result_of(&command, ResultStatus::Executed, answered()));
    run.breaks("result_without_outcome");

    let (mut run, command) = (Run::new(), self::command(0));
    run.claim(&command, 0);
    run.end(&command, ResultStatus::Executed, answered());
    let report = run.report();
    let codes: Vec<&str> = report.violations.iter().map(|violation| violation.code.as_str()).collect();
    assert_eq!(codes, ["claim_without_command", "outcome_without_command", "result_without_command"]);
}

#[test]
fn compares_the_result_with_its_outcome_and_command() {
    let change = |change: fn(&mut Envelope<TradeResult>)| {
        let (mut run, command) = claimed();
        run.outcome(&command, ResultStatus::Executed, answered());
        let mut result = result_of(&command, ResultStatus::Executed, answered());
        change(&mut result);
        run.result(&result);
        run
    };
    change(|result| result.payload.status = ResultStatus::Rejected).breaks("result_differs_from_outcome");
    change(|result| result.payload.result_code = "other".into()).breaks("result_differs_from_outcome");
    change(|result| result.payload.evidence = None).breaks("result_differs_from_outcome");
    change(|result| result.event_id = Uuid::nil()).breaks("result_id");
    change(|result| result.observed_at = SEEN.plus_millis(1)).breaks("result_differs_from_command");
    change(|result| result.payload.venue_ref = "other".into()).breaks("result_differs_from_command");
    change(|result| result.causation_id = None).breaks("result_differs_from_command");
}

#[test]
fn names_records_that_cannot_be_read_or_have_another_key() {
    let (mut run, command) = claimed();
    let place = Place { stream: Stream::Results, partition: 0, offset: 7 };
    run.ledger.fold(place, None, b"{");
    run.breaks("unreadable");
    let (mut run, _) = claimed();
    run.outcome(&command, ResultStatus::Executed, answered());
    let result = result_of(&command, ResultStatus::Executed, answered());
    run.add(Stream::Results, "other", &result);
    run.breaks("wrong_key");
}
