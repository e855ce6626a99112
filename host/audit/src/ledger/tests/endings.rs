//! How a command may end.

use super::*;

#[test]
fn wants_proof_after_a_claim() {
    let early = proof(EvidenceKind::ChainQuery, Some(DEADLINE));
    let late = proof(EvidenceKind::ChainQuery, Some(DEADLINE.plus_millis(1)));
    ended(ResultStatus::NotExecuted, late).breaks_nothing();
    ended(ResultStatus::NotExecuted, early).breaks("negative_too_early");
    ended(ResultStatus::NotExecuted, proof(EvidenceKind::ChainQuery, None)).breaks("negative_too_early");
    ended(ResultStatus::NotExecuted, proof(EvidenceKind::Expiry, Some(DEADLINE.plus_millis(1))))
        .breaks("negative_too_early");
    ended(ResultStatus::Executed, proof(EvidenceKind::Host, None)).breaks("executed_without_proof");
    ended(ResultStatus::Rejected, None).breaks("no_evidence");
    ended(ResultStatus::Rejected, proof(EvidenceKind::Host, None)).breaks_nothing();
    let other = Evidence { action_digest: Some("00".into()), ..answered().unwrap() };
    ended(ResultStatus::Executed, Some(other)).breaks("evidence_of_another_action");
}

#[test]
fn lets_only_refusals_and_expiry_end_a_command_without_a_claim() {
    for status in [ResultStatus::Executed, ResultStatus::NotExecuted, ResultStatus::Unresolved] {
        let (mut run, command) = (Run::new(), command(0));
        run.command(&command);
        run.end(&command, status, None);
        run.breaks("outcome_needs_claim");
    }
    let (mut run, command) = (Run::new(), command(0));
    run.command(&command);
    run.end(&command, ResultStatus::Rejected, answered());
    run.breaks("evidence_without_claim");
}

#[test]
fn forgets_no_evidence_of_a_fenced_executor() {
    let (mut run, command) = claimed();
    let id = command.payload.command_id;
    let heard = JournalEvidence {
        command_id: id,
        fence_offset: 0,
        status: ResultStatus::Executed,
        result_code: "accepted".into(),
        evidence: answered().unwrap(),
    };
    run.journal(&id.to_string(), heard);
    run.end(&command, ResultStatus::NotExecuted, proof(EvidenceKind::ChainQuery, Some(DEADLINE.plus_millis(1))));
    run.breaks("evidence_ignored");
}

#[test]
fn names_what_was_settled_after_all() {
    let mut run = ended(ResultStatus::NotExecuted, proof(EvidenceKind::ChainQuery, Some(DEADLINE.plus_millis(1))));
    run.said(&command(0), StatusState::Settled);
    run.breaks("settled_after_all");
}
