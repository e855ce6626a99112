//! Checks records against RECORDS.md, field by field, without unrip's own types.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use unrip_bus::Record;

use super::formulas::{canonical, command_id, hex, micros, partition, sha256, uuid_v8};

pub const VENUE: &str = "near-intents";

/// What a strategy may add to the venue's shortest validity, and to which both time limits are bound (RECORDS, Payloads).
const DEADLINE_MARGIN_MS: i64 = 5_000;
const DISPATCH_DEFAULT_MS: i64 = 3_000;

/// A record with its value as JSON.
pub struct Seen<'a> {
    pub record: &'a Record,
    pub value: Value,
}

impl Seen<'_> {
    pub fn text(&self, pointer: &str) -> String {
        let found = self.value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {}", self.value));
        found.as_str().unwrap_or_else(|| panic!("{pointer} is no string in {}", self.value)).to_owned()
    }

    pub fn id(&self) -> String {
        self.text("/event_id")
    }

    pub fn key(&self) -> String {
        String::from_utf8(self.record.key.clone().unwrap()).unwrap()
    }

    /// The bytes that `raw` holds.
    pub fn raw(&self) -> Vec<u8> {
        let raw = self.text("/raw");
        match self.text("/raw_encoding").as_str() {
            "utf8" => raw.into_bytes(),
            "base64" => STANDARD.decode(raw).unwrap(),
            other => panic!("raw_encoding {other}"),
        }
    }

    fn trace_id(&self) -> String {
        header(self.record, "traceparent").split('-').nth(1).unwrap().to_owned()
    }
}

/// Reads the records of a topic and checks their envelopes and headers.
pub fn envelopes<'a>(records: &'a [Record], event_types: &[&str]) -> Vec<Seen<'a>> {
    records.iter().map(|record| envelope(record, event_types)).collect()
}

fn envelope<'a>(record: &'a Record, event_types: &[&str]) -> Seen<'a> {
    let value: Value = serde_json::from_slice(&record.value).unwrap();
    let seen = Seen { record, value };
    let event_type = seen.text("/event_type");
    assert!(event_types.contains(&event_type.as_str()), "{event_type} on {}", record.topic);
    let mut fields = BTreeSet::from([
        "event_id",
        "event_type",
        "venue",
        "source",
        "schema_version",
        "observed_at",
        "ingested_at",
        "causation_id",
        "correlation_id",
        "module",
        "payload",
    ]);
    if ["raw_frame", "dead_letter"].contains(&event_type.as_str()) {
        fields.extend(["raw", "raw_encoding"]);
    }
    let found: BTreeSet<&str> = seen.value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, fields, "{}", seen.value);
    assert_eq!(seen.value["schema_version"], 1);
    assert_eq!(header(record, "event_type"), event_type);
    assert_eq!(header(record, "venue"), seen.text("/venue"));
    assert_eq!(header(record, "schema_version"), "1");
    let trace = header(record, "traceparent");
    let parts: Vec<usize> = trace.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{trace}");
    assert!(micros(&seen.text("/observed_at")) <= micros(&seen.text("/ingested_at")), "{}", seen.value);
    assert!(uuid::Uuid::parse_str(&seen.id()).is_ok());
    module(&seen.value["module"]);
    seen
}

fn header(record: &Record, name: &str) -> String {
    let found: Vec<_> = record.headers.iter().filter(|(key, _)| key == name).collect();
    assert_eq!(found.len(), 1, "header {name} on {}", record.topic);
    String::from_utf8(found[0].1.clone()).unwrap()
}

fn module(module: &Value) {
    if module.is_null() {
        return;
    }
    let fields: BTreeSet<&str> = module.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["name", "version", "digest", "wit", "config_digest"]));
    for digest in ["digest", "config_digest"] {
        let text = module[digest].as_str().unwrap();
        assert!(text.starts_with("sha256:") && text.len() == 71, "{text}");
    }
}

fn fields(payload: &Value, expected: &[&str]) {
    let found: BTreeSet<&str> = payload.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(found, expected.iter().copied().collect(), "{payload}");
}

fn version(id: &str) -> char {
    id.chars().nth(14).unwrap()
}

/// What every derived record has of its cause.
fn derived(seen: &Seen<'_>, cause: &Seen<'_>) {
    assert_eq!(seen.value["causation_id"], cause.value["event_id"]);
    assert_eq!(seen.value["correlation_id"], cause.value["correlation_id"]);
    assert_eq!(seen.value["observed_at"], cause.value["observed_at"]);
    assert_eq!(seen.value["venue"], cause.value["venue"]);
    assert_eq!(seen.value["source"], cause.value["source"]);
    assert_eq!(seen.trace_id(), cause.trace_id(), "one trace along a chain");
    assert_ne!(header(seen.record, "traceparent"), header(cause.record, "traceparent"), "a span of its own");
}

/// Raw events: their ids, keys and bytes; `sent` are the frames that the venue says it sent.
pub fn raw_events(raws: &[Seen<'_>], sent: &BTreeSet<Vec<u8>>, partitions: i32) {
    let mut places = BTreeSet::new();
    for raw in raws {
        assert_eq!(version(&raw.id()), '7');
        assert!(raw.value["causation_id"].is_null());
        assert_eq!(raw.value["correlation_id"], raw.value["event_id"]);
        assert_eq!(raw.text("/module/name"), "near-intents/ingest");
        fields(&raw.value["payload"], &["stream", "connection_id", "frame_seq", "reset"]);
        let place = (raw.text("/payload/connection_id"), raw.value["payload"]["frame_seq"].as_u64().unwrap());
        assert!(places.insert(place), "two frames of one number");
        assert!(sent.contains(&raw.raw()), "bytes that the venue never sent: {}", raw.value);
        assert!(raw.raw().windows(raw.key().len()).any(|window| window == raw.key().as_bytes()));
        assert_eq!(raw.record.partition, partition(raw.key().as_bytes(), partitions));
    }
}

/// Demands: each of exactly one raw event, with its amounts digit for digit.
pub fn demands(demands: &[Seen<'_>], raws: &[Seen<'_>], partitions: i32) {
    let by_id: BTreeMap<String, &Seen<'_>> = raws.iter().map(|raw| (raw.id(), raw)).collect();
    for demand in demands {
        let cause = demand.text("/causation_id");
        let raw = by_id.get(&cause).unwrap_or_else(|| panic!("no raw event {cause}"));
        derived(demand, raw);
        assert_eq!(demand.id(), uuid_v8(&[&cause, "normalize", "swap_demand", "0"]));
        let payload = &demand.value["payload"];
        fields(
            payload,
            &[
                "quote_id",
                "instrument",
                "asset_in",
                "asset_out",
                "amount_in",
                "amount_out",
                "min_deadline_ms",
                "ttl_ms",
                "attributes",
            ],
        );
        let instrument = format!("{}~{}", demand.text("/payload/asset_in"), demand.text("/payload/asset_out"));
        assert_eq!(payload["instrument"], instrument);
        assert_eq!(demand.key(), format!("{VENUE}/{instrument}"));
        assert_eq!(demand.record.partition, partition(demand.key().as_bytes(), partitions));
        let frame: Value = serde_json::from_slice(&raw.raw()).unwrap();
        let data = frame.pointer("/params/data").unwrap_or_else(|| &frame["params"]);
        assert_eq!(payload["quote_id"], data["quote_id"]);
        assert_eq!(payload["asset_in"], data["defuse_asset_identifier_in"]);
        assert_eq!(payload["asset_out"], data["defuse_asset_identifier_out"]);
        assert_eq!(payload["amount_in"], data["exact_amount_in"]);
        assert_eq!(payload["amount_out"], data["exact_amount_out"]);
        assert_ne!(payload["amount_in"].is_null(), payload["amount_out"].is_null(), "exactly one amount");
        assert_eq!(payload["min_deadline_ms"], data["min_deadline_ms"]);
        assert_eq!(payload["ttl_ms"], data["max_wait_ms"]);
    }
}

/// Commands: ids and times by formula, amounts that answer the demand.
pub fn commands(commands: &[Seen<'_>], demands: &[Seen<'_>], partitions: i32) {
    let by_id: BTreeMap<String, &Seen<'_>> = demands.iter().map(|demand| (demand.id(), demand)).collect();
    for command in commands {
        let cause = command.text("/causation_id");
        let demand = by_id.get(&cause).unwrap_or_else(|| panic!("no demand {cause}"));
        derived(command, demand);
        let strategy = command.text("/payload/strategy");
        assert_eq!(command.id(), uuid_v8(&[&cause, &format!("react/{strategy}"), "execute_trade", "0"]));
        let payload = &command.value["payload"];
        fields(
            payload,
            &[
                "command_id",
                "idempotency_key",
                "execution_key",
                "account",
                "strategy",
                "venue_ref",
                "dispatch_by",
                "deadline",
                "reason",
                "inputs",
                "action",
            ],
        );
        let key = format!("{VENUE}/{}", command.text("/payload/account"));
        assert_eq!(command.key(), key);
        assert_eq!(command.text("/payload/execution_key"), key);
        assert_eq!(command.text("/payload/venue_ref"), demand.text("/payload/quote_id"));
        assert_eq!(command.text("/payload/idempotency_key"), format!("{key}/{}", command.text("/payload/venue_ref")));
        let observed_at = command.text("/observed_at");
        assert_eq!(command.text("/payload/command_id"), command_id(&observed_at, &key, &cause, &strategy, 0));
        assert_eq!(command.record.partition, partition(key.as_bytes(), partitions));
        times(command, demand);
        let action = &payload["action"];
        assert_eq!(action["kind"], "swap_answer");
        for field in ["quote_id", "asset_in", "asset_out"] {
            assert_eq!(action[field], demand.value["payload"][field]);
        }
        for amount in ["amount_in", "amount_out"] {
            let given = &demand.value["payload"][amount];
            assert!(given.is_null() || *given == action[amount], "the amount that the taker fixed is kept");
            assert!(action[amount].as_str().unwrap().parse::<u128>().unwrap() > 0);
        }
    }
}

fn times(command: &Seen<'_>, demand: &Seen<'_>) {
    let observed = micros(&command.text("/observed_at"));
    let number = |field: &str| demand.value["payload"][field].as_i64();
    let window = number("ttl_ms").unwrap_or(DISPATCH_DEFAULT_MS).min(DEADLINE_MARGIN_MS);
    assert_eq!(micros(&command.text("/payload/dispatch_by")), observed + window * 1_000);
    let deadline = (observed + (number("min_deadline_ms").unwrap() + DEADLINE_MARGIN_MS) * 1_000) / 1_000 * 1_000;
    assert_eq!(micros(&command.text("/payload/deadline")), deadline);
}

/// The journal: started by genesis, claims that hold their whole command, all in the command's partition.
pub fn journal(entries: &[Seen<'_>], commands: &[Seen<'_>], partitions: i32) {
    let by_id: BTreeMap<String, &Seen<'_>> =
        commands.iter().map(|command| (command.text("/payload/command_id"), command)).collect();
    let journals: BTreeSet<String> = (0..partitions)
        .map(|partition| {
            let first = entries.iter().find(|entry| entry.record.partition == partition).unwrap();
            assert_eq!((first.text("/event_type").as_str(), first.record.offset), ("journal_genesis", 0));
            assert_eq!((first.key().as_str(), first.text("/venue").as_str()), ("genesis", "*"));
            assert_eq!(first.value["payload"]["partition_count"], partitions);
            first.text("/payload/journal_id")
        })
        .collect();
    assert_eq!(journals.len(), 1, "one journal");
    for entry in entries {
        assert_eq!(version(&entry.id()), '7');
        match entry.text("/event_type").as_str() {
            "journal_claim" => claim(entry, &by_id),
            "journal_fence" => assert_eq!(entry.key(), "fence"),
            "journal_outcome" => {
                let command = by_id[&entry.text("/payload/command_id")];
                assert_eq!(entry.record.partition, command.record.partition);
            }
            _ => {}
        }
    }
}

fn claim(entry: &Seen<'_>, commands: &BTreeMap<String, &Seen<'_>>) {
    let id = entry.text("/payload/command_id");
    let command = commands[&id];
    assert_eq!(entry.key(), id);
    assert_eq!(entry.record.partition, command.record.partition);
    assert_eq!(entry.value["payload"]["command_offset"], command.record.offset);
    assert_eq!(entry.value["payload"]["command"], command.value, "the whole command");
    let content = format!("{}\n{}", command.text("/causation_id"), canonical(&command.value["payload"]));
    assert_eq!(entry.text("/payload/content_hash"), hex(&sha256(content.as_bytes())));
    let action = STANDARD.decode(entry.text("/payload/action_base64")).unwrap();
    assert_eq!(entry.text("/payload/action_digest"), hex(&sha256(&action)));
    assert_eq!(entry.text("/payload/deadline"), command.text("/payload/deadline"));
    assert!(micros(&entry.text("/payload/dispatch_by")) <= micros(&command.text("/payload/dispatch_by")));
}

/// Results: exactly one for each command (`all`), or at most one.
pub fn results(results: &[Seen<'_>], commands: &[Seen<'_>], entries: &[Seen<'_>], all: bool) {
    let by_id: BTreeMap<String, &Seen<'_>> = commands.iter().map(|command| (command.id(), command)).collect();
    let claimed: BTreeSet<String> = entries
        .iter()
        .filter(|entry| entry.text("/event_type") == "journal_claim")
        .map(|entry| entry.text("/payload/command_id"))
        .collect();
    let mut ended = BTreeSet::new();
    for result in results {
        let cause = result.text("/causation_id");
        let command = by_id.get(&cause).unwrap_or_else(|| panic!("no command {cause}"));
        derived(result, command);
        assert_eq!(result.id(), uuid_v8(&[&cause, "execute", "trade_result", "0"]));
        fields(
            &result.value["payload"],
            &[
                "command_id",
                "idempotency_key",
                "execution_key",
                "venue_ref",
                "status",
                "result_code",
                "note",
                "evidence",
            ],
        );
        for field in ["command_id", "idempotency_key", "execution_key", "venue_ref"] {
            assert_eq!(result.value["payload"][field], command.value["payload"][field]);
        }
        let id = result.text("/payload/command_id");
        assert_eq!(result.key(), id);
        assert_eq!(result.record.partition, command.record.partition);
        let known = ["executed", "rejected", "not_executed", "expired", "unresolved"];
        assert!(known.contains(&result.text("/payload/status").as_str()), "{}", result.value);
        let evidence = &result.value["payload"]["evidence"];
        assert!(!evidence.is_null() || !claimed.contains(&id), "a claim without evidence: {}", result.value);
        assert!(ended.insert(id), "two results of one command: {}", result.value);
    }
    if all {
        let commands: BTreeSet<String> = commands.iter().map(|command| command.text("/payload/command_id")).collect();
        assert_eq!(ended, commands, "every command has its result");
    }
}

/// What the venue's ledger and the results say of each other: no quote answered twice, `executed` exactly where accepted.
pub fn ledger_agrees(ledger: &[Value], results: &[Seen<'_>]) {
    assert_eq!(ledger.iter().filter(|line| line["kind"] == "duplicate").count(), 0, "an answer was given twice");
    let mut accepted = BTreeSet::new();
    let mut answered = BTreeSet::new();
    for line in ledger.iter().filter(|line| line["kind"] == "answered" || line["kind"] == "refused") {
        let quote = line["venue_ref"].as_str().unwrap_or_default().to_owned();
        assert!(answered.insert(quote.clone()), "two answers for quote {quote}");
        if line["accepted"] == true {
            accepted.insert(quote);
        }
    }
    for result in results {
        let quote = result.text("/payload/venue_ref");
        match result.text("/payload/status").as_str() {
            "executed" => assert!(accepted.contains(&quote), "the venue never accepted: {}", result.value),
            "expired" => assert!(!answered.contains(&quote), "an answer was sent: {}", result.value),
            "rejected" => assert!(!accepted.contains(&quote), "the venue accepted: {}", result.value),
            _ => {}
        }
    }
}

/// Dead letters: hash and length of the original, which is whole unless it says otherwise.
pub fn dead_letters(letters: &[Seen<'_>]) {
    for letter in letters {
        let payload = &letter.value["payload"];
        fields(
            payload,
            &[
                "reason_code",
                "reason",
                "source_topic",
                "source_partition",
                "source_offset",
                "original_key_base64",
                "original_length",
                "original_sha256",
                "truncated",
                "connection_id",
                "frame_seq",
            ],
        );
        let raw = letter.raw();
        if payload["truncated"] == false {
            assert_eq!(payload["original_length"], raw.len());
            assert_eq!(letter.text("/payload/original_sha256"), hex(&sha256(&raw)));
        }
        if let (Some(topic), Some(at), Some(offset)) =
            (payload["source_topic"].as_str(), payload["source_partition"].as_i64(), payload["source_offset"].as_i64())
        {
            let group = if topic.starts_with("raw.") { "normalize" } else { "react" };
            let source = format!("{topic}/{at}/{offset}");
            let id = uuid_v8(&[&source, &format!("{group}.near_intents"), "dead_letter", "0"]);
            assert_eq!(letter.id(), id);
        }
    }
}
