//! One command's records as they should be, and each broken in one way.

mod claims;
mod commands;
mod endings;
mod operator;
mod results;
mod whole;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use unrip_core::event::command::{Action, ExecuteTrade, execution_key, idempotency_key};
use unrip_core::event::journal::{
    JournalClaim, JournalEvidence, JournalFence, JournalGenesis, JournalOutcome, JournalSkip,
};
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

/// The account's partition.
fn partition() -> i32 {
    partition_for(execution_key(VENUE, "account").as_bytes(), PARTITIONS)
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
            (0..PARTITIONS).for_each(|partition| ledger.begin(stream, partition, 0, SEEN));
        }
        let mut run = Self { ledger, offsets: BTreeMap::new(), fence: 0 };
        run.fence();
        run
    }

    fn add<P: Payload>(&mut self, stream: Stream, key: &str, envelope: &Envelope<P>) -> i64 {
        let offset = self.offsets.entry(stream).or_default();
        let place = Place { stream, partition: partition(), offset: *offset };
        *offset += 1;
        self.ledger.fold(place, Some(key.as_bytes()), &envelope.encode().unwrap());
        place.offset
    }

    fn journal<P: Payload>(&mut self, key: &str, payload: P) -> i64 {
        self.add(Stream::Journal, key, &Envelope::root(Uuid::nil(), VENUE, "execute", SEEN, payload))
    }

    fn genesis(&mut self, journal: u128) {
        let journal_id = Uuid::from_u128(journal);
        let genesis = JournalGenesis { journal_id, partition_count: PARTITIONS };
        self.add(Stream::Journal, "genesis", &Envelope::root(Uuid::nil(), "*", "unrip/topics", SEEN, genesis));
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
