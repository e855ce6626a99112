use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use unrip_core::event::command::{Action, ExecuteTrade, execution_key, idempotency_key};
use unrip_core::event::journal::{JournalClaim, JournalEvidence, JournalFence, JournalOutcome, JournalSkip};
use unrip_core::event::result::{Evidence, EvidenceKind, ResultStatus, StatusState, TradeResult, TradeStatus};
use unrip_core::id::{derived_event_id, sha256_hex};
use unrip_core::partition::partition_for;
use unrip_core::{Amount, Envelope, ModuleRef, Payload, Uuid};

use super::*;

const PARTITIONS: i32 = 3;
const VENUE: &str = "a-venue";
const SEEN: Timestamp = Timestamp::from_millis(1_795_341_600_123);
const DEADLINE: Timestamp = SEEN.plus_millis(65_000);

/// A run of the system as it should be; each test breaks one thing.
struct Run {
    ledger: Ledger,
    offsets: BTreeMap<Stream, i64>,
    fence: i64,
}

fn cause(n: u32) -> Uuid {
    Uuid::from_u128(u128::from(n) + 1)
}

fn command_of(n: u32, venue_ref: &str) -> Envelope<ExecuteTrade> {
    let key = execution_key(VENUE, "account");
    let payload = ExecuteTrade {
        command_id: CommandId::new(SEEN, &key, cause(n), "s", 0),
        idempotency_key: idempotency_key(&key, venue_ref),
        execution_key: key,
        account: "account".into(),
        strategy: "s".into(),
        venue_ref: venue_ref.into(),
        dispatch_by: SEEN.plus_millis(3_000),
        deadline: DEADLINE,
        reason: "test".into(),
        inputs: vec![],
        action: Action::SwapAnswer {
            quote_id: venue_ref.into(),
            asset_in: "a".into(),
            asset_out: "b".into(),
            amount_in: Amount(1),
            amount_out: Amount(2),
            amount_fixed: None,
        },
    };
    let event_id = derived_event_id(cause(n), "react/s", "execute_trade", 0);
    let mut envelope = Envelope::root(event_id, VENUE, "relay/quote", SEEN, payload);
    envelope.causation_id = Some(cause(n));
    envelope.correlation_id = Some(cause(n));
    envelope
}

fn command(n: u32) -> Envelope<ExecuteTrade> {
    command_of(n, &format!("q-{n}"))
}

fn json<P: Payload + Serialize>(envelope: &Envelope<P>) -> serde_json::Value {
    serde_json::to_value(envelope).unwrap()
}

fn hash(command: &Envelope<ExecuteTrade>) -> String {
    unrip_core::content::content_hash(command.causation_id, &serde_json::to_value(&command.payload).unwrap()).unwrap()
}

fn proof(kind: EvidenceKind, venue_time: Option<Timestamp>) -> Option<Evidence> {
    let action_digest = Some(sha256_hex(b"unsigned"));
    Some(Evidence { kind, received_at: SEEN.plus_millis(50), venue_time, action_digest, detail: None })
}

fn answered() -> Option<Evidence> {
    proof(EvidenceKind::VenueAnswer, None)
}

fn claim_of(command: &Envelope<ExecuteTrade>, command_offset: i64, fence_offset: i64) -> JournalClaim {
    JournalClaim {
        command_id: command.payload.command_id,
        command_offset,
        content_hash: hash(command),
        command: json(command),
        fence_offset,
        dispatch_by: command.payload.dispatch_by,
        deadline: command.payload.deadline,
        key_id: "k".into(),
        scheme: "nep413".into(),
        action_base64: STANDARD.encode(b"unsigned"),
        action_digest: sha256_hex(b"unsigned"),
        module: ModuleRef {
            name: "a-venue/execute".into(),
            version: "0.1.0".into(),
            digest: "sha256:00".into(),
            wit: "unrip:executor@0.1.0".into(),
            config_digest: "sha256:11".into(),
        },
        reserves: Vec::new(),
    }
}

fn outcome_of(
    command: &Envelope<ExecuteTrade>,
    fence_offset: i64,
    status: ResultStatus,
    evidence: Option<Evidence>,
) -> JournalOutcome {
    JournalOutcome {
        command_id: command.payload.command_id,
        command_offset: 0,
        content_hash: hash(command),
        command: None,
        fence_offset,
        status,
        result_code: "code".into(),
        note: None,
        evidence,
    }
}

fn result_of(
    command: &Envelope<ExecuteTrade>,
    status: ResultStatus,
    evidence: Option<Evidence>,
) -> Envelope<TradeResult> {
    let payload = TradeResult {
        command_id: command.payload.command_id,
        idempotency_key: command.payload.idempotency_key.clone(),
        execution_key: command.payload.execution_key.clone(),
        venue_ref: command.payload.venue_ref.clone(),
        status,
        result_code: "code".into(),
        note: None,
        evidence,
    };
    let event_id = derived_event_id(command.event_id, "execute", "trade_result", 0);
    Envelope::derived(event_id, command, SEEN.plus_millis(60), None, payload)
}

impl Run {
    fn new() -> Self {
        let mut ledger = Ledger::new(Options::new(PARTITIONS));
        for stream in Stream::ALL {
            (0..PARTITIONS).for_each(|partition| ledger.begin(stream, partition, 0));
        }
        let mut run = Self { ledger, offsets: BTreeMap::new(), fence: 0 };
        run.fence();
        run
    }

    fn add<P: Payload>(&mut self, stream: Stream, key: &str, envelope: &Envelope<P>) -> i64 {
        let offset = self.offsets.entry(stream).or_default();
        let partition = partition_for(execution_key(VENUE, "account").as_bytes(), PARTITIONS);
        let place = Place { stream, partition, offset: *offset };
        *offset += 1;
        self.ledger.fold(place, Some(key.as_bytes()), &envelope.encode().unwrap());
        place.offset
    }

    fn journal<P: Payload>(&mut self, key: &str, payload: P) -> i64 {
        self.add(Stream::Journal, key, &Envelope::root(Uuid::nil(), VENUE, "execute", SEEN, payload))
    }

    fn fence(&mut self) {
        let (partition, partition_count) = (0, PARTITIONS);
        let (journal_id, incarnation) = (Uuid::nil(), Uuid::nil());
        let executor_id = "x".into();
        self.fence =
            self.journal("fence", JournalFence { partition, partition_count, journal_id, executor_id, incarnation });
    }

    fn command(&mut self, command: &Envelope<ExecuteTrade>) -> i64 {
        self.add(Stream::Commands, &command.payload.execution_key.clone(), command)
    }

    fn claim(&mut self, command: &Envelope<ExecuteTrade>, command_offset: i64) {
        let claim = claim_of(command, command_offset, self.fence);
        self.journal(&claim.command_id.to_string(), claim);
    }

    fn outcome(&mut self, command: &Envelope<ExecuteTrade>, status: ResultStatus, evidence: Option<Evidence>) {
        let outcome = outcome_of(command, self.fence, status, evidence);
        self.journal(&outcome.command_id.to_string(), outcome);
    }

    fn result(&mut self, result: &Envelope<TradeResult>) {
        self.add(Stream::Results, &result.payload.command_id.to_string(), result);
    }

    /// Outcome and result alike.
    fn end(&mut self, command: &Envelope<ExecuteTrade>, status: ResultStatus, evidence: Option<Evidence>) {
        self.outcome(command, status, evidence.clone());
        self.result(&result_of(command, status, evidence));
    }

    fn said(&mut self, command: &Envelope<ExecuteTrade>, state: StatusState) {
        let command_id = command.payload.command_id;
        let event_id = derived_event_id(command.event_id, "execute", "trade_status", state.index());
        let payload = TradeStatus { command_id, venue_ref: command.payload.venue_ref.clone(), state, detail: None };
        self.add(Stream::Statuses, &command_id.to_string(), &Envelope::derived(event_id, command, SEEN, None, payload));
    }

    fn report(&mut self) -> Report {
        self.report_at(SEEN.plus_millis(1_000))
    }

    fn report_at(&mut self, now: Timestamp) -> Report {
        self.ledger.settle(self.ledger.mark());
        self.ledger.report(now)
    }

    /// Exactly this is broken.
    fn breaks(mut self, code: &str) {
        let report = self.report();
        let codes: Vec<&str> = report.violations.iter().map(|violation| violation.code.as_str()).collect();
        assert_eq!(codes, [code], "{:?}", report.violations);
        assert!(report.broken());
    }

    fn breaks_nothing(mut self) -> Report {
        let report = self.report();
        assert_eq!(report.violations, vec![]);
        report
    }
}

/// A run with command 0 claimed.
fn claimed() -> (Run, Envelope<ExecuteTrade>) {
    let (mut run, command) = (Run::new(), command(0));
    let offset = run.command(&command);
    run.claim(&command, offset);
    (run, command)
}

/// A run whose command 0 ended so, after a claim.
fn ended(status: ResultStatus, evidence: Option<Evidence>) -> Run {
    let (mut run, command) = claimed();
    run.end(&command, status, evidence);
    run
}

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
fn knows_open_from_overdue() {
    let (mut run, command) = claimed();
    run.said(&command, StatusState::InDoubt);
    let report = run.report_at(DEADLINE.plus_millis(GRACE_MS));
    assert_eq!((report.open, report.in_doubt, report.overdue, report.broken()), (1, 1, 0, false));
    let report = run.report_at(DEADLINE.plus_millis(GRACE_MS + 1));
    assert_eq!((report.open, report.in_doubt, report.overdue, report.broken()), (0, 1, 1, true));
    assert_eq!(report.overdue_commands, vec![command.payload.command_id]);
}

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
fn misses_nothing_that_was_deleted_by_age() {
    let mut run = Run::new();
    let partition = partition_for(execution_key(VENUE, "account").as_bytes(), PARTITIONS);
    run.ledger.begin(Stream::Commands, partition, 100);
    run.ledger.begin(Stream::Journal, partition, 100);
    run.end(&command(0), ResultStatus::Executed, answered());
    run.breaks_nothing();
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
fn takes_a_persons_word() {
    let (mut run, command) = claimed();
    run.said(&command, StatusState::ResolvedByOperator);
    run.end(&command, ResultStatus::NotExecuted, proof(EvidenceKind::Host, None));
    run.breaks_nothing();
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
