use serde_json::{Value, json};
use unrip_bus::RecordTime;
use unrip_core::id::uuid_v7;

use super::*;

const VENUE: &str = "a-venue";
const AT: Timestamp = Timestamp::from_millis(1_795_341_600_123);

/// A partition of the journal that is written by hand.
struct Log {
    journal: Journal,
    next: i64,
}

fn id(n: u8) -> CommandId {
    CommandId::from_bytes([n; 16])
}

fn envelope(event_type: &str, venue: &str, payload: Value) -> Value {
    json!({
        "event_id": uuid_v7(AT, [1; 10]), "event_type": event_type, "venue": venue, "source": "s", "schema_version": 1,
        "observed_at": AT, "ingested_at": AT, "causation_id": null, "correlation_id": null, "module": null,
        "payload": payload,
    })
}

impl Log {
    fn from(start: i64, watched: CommandId) -> Self {
        Self { journal: Journal::new(Some(watched)), next: start }
    }

    fn add(&mut self, event_type: &str, payload: Value) -> i64 {
        self.add_of(VENUE, event_type, payload)
    }

    fn add_of(&mut self, venue: &str, event_type: &str, payload: Value) -> i64 {
        let offset = self.next;
        self.next += 1;
        self.journal.fold(&Record {
            topic: "exec.journal".to_owned(),
            partition: 0,
            offset,
            key: None,
            value: serde_json::to_vec(&envelope(event_type, venue, payload)).unwrap(),
            tombstone: false,
            headers: Vec::new(),
            timestamp: RecordTime::Append(AT.millis()),
        });
        offset
    }

    fn fence(&mut self) -> i64 {
        self.fence_of(VENUE)
    }

    fn fence_of(&mut self, venue: &str) -> i64 {
        let nil = Uuid::nil();
        let fence =
            json!({"partition": 0, "partition_count": 1, "journal_id": nil, "executor_id": "x", "incarnation": nil});
        self.add_of(venue, "journal_fence", fence)
    }

    fn claim(&mut self, n: u8, key: &str, fence_offset: i64) {
        let action = json!({
            "kind": "swap_answer", "quote_id": "q", "asset_in": "x", "asset_out": "y", "amount_in": "1", "amount_out": "2",
        });
        let command = json!({
            "command_id": id(n), "idempotency_key": key, "execution_key": "a-venue/a", "account": "a", "venue_ref": "q",
            "strategy": "s", "dispatch_by": AT, "deadline": AT, "reason": "r", "inputs": [], "action": action,
        });
        let module = json!({"name": "m", "version": "1", "digest": "d", "wit": "w", "config_digest": "c"});
        let claim = json!({
            "command_id": id(n), "command_offset": 0, "content_hash": "00", "fence_offset": fence_offset,
            "dispatch_by": AT, "deadline": AT, "key_id": "k", "scheme": "none", "action_base64": "", "action_digest": "00",
            "module": module, "command": envelope("execute_trade", VENUE, command),
        });
        self.add("journal_claim", claim);
    }

    fn outcome(&mut self, n: u8, fence_offset: i64) {
        let outcome = json!({
            "command_id": id(n), "command_offset": 0, "content_hash": "00", "command": null, "fence_offset": fence_offset,
            "status": "executed", "result_code": "accepted", "note": null, "evidence": null,
        });
        self.add("journal_outcome", outcome);
    }

    fn decide(&mut self, n: u8, by: &str) {
        let decision = json!({"command_id": id(n), "status": "not_executed", "decided_by": by, "reason": "r"});
        self.add("journal_decision", decision);
    }

    fn open(&self) -> Vec<CommandId> {
        self.journal.open().keys().copied().collect()
    }
}

#[test]
fn keeps_what_is_open_and_waits_for_results_of_the_rest() {
    let mut log = Log::from(0, id(1));
    let fence = log.fence();
    for n in 1..=3 {
        log.claim(n, &format!("k{n}"), fence);
    }
    log.outcome(1, fence);
    assert_eq!(log.open(), [id(2), id(3)]);
    assert_eq!(*log.journal.watched(), Watched::Ended(ResultStatus::Executed, "accepted".to_owned()));
    assert_eq!(log.journal.unpublished().first(), Some(&id(1)));
    log.journal.published(&id(1));
    assert!(log.journal.unpublished().is_empty());
    assert_eq!(log.journal.fences()[VENUE].executor_id, "x");
    let (claim, command) = log.journal.open()[&id(2)].details().unwrap();
    assert_eq!((claim.command_id, command.payload.idempotency_key.as_str()), (id(2), "k2"));
}

#[test]
fn gives_no_effect_to_what_is_fenced_or_comes_second() {
    let mut log = Log::from(0, id(2));
    let old = log.fence();
    log.claim(1, "k1", old);
    let fence = log.fence();
    log.claim(2, "k2", old);
    assert_eq!(*log.journal.watched(), Watched::Void);
    log.outcome(1, old);
    assert_eq!(log.open(), [id(1)]);
    log.claim(2, "k1", fence);
    log.outcome(1, fence);
    log.claim(1, "k1", fence);
    log.claim(3, "k1", fence);
    assert_eq!((log.open(), log.journal.watched()), (vec![], &Watched::Void));
    // Another venue's fence is no fence of this one.
    log.fence_of("b-venue");
    log.claim(2, "k2", fence);
    assert_eq!((log.open(), log.journal.watched()), (vec![id(2)], &Watched::Claimed));
}

#[test]
fn notes_the_first_decision_about_what_is_open() {
    let mut log = Log::from(0, id(1));
    let fence = log.fence();
    log.decide(1, "too early");
    log.claim(1, "k1", fence);
    log.decide(1, "first");
    log.decide(1, "second");
    let decided = log.journal.open()[&id(1)].decision.clone().unwrap();
    assert_eq!((decided.decided_by.as_str(), decided.status), ("first", ResultStatus::NotExecuted));
}

/// As the executor judges it: fences are written again and again, so none that counts is older than the retention.
#[test]
fn gives_no_effect_to_a_fence_that_was_deleted_by_age() {
    let mut log = Log::from(100, id(9));
    for (n, fence_offset) in [(1, 40), (2, 99), (3, 103)] {
        log.claim(n, &format!("k{n}"), fence_offset);
    }
    log.outcome(4, 40);
    assert_eq!((log.open(), log.journal.unpublished().len()), (vec![], 0));
    let fence = log.fence();
    log.claim(6, "k6", 99);
    log.claim(7, "k7", fence);
    assert_eq!(log.open(), [id(7)]);
    assert_eq!(*log.journal.watched(), Watched::Unknown);
}

#[test]
fn takes_a_seed_for_an_ended_command_and_its_key() {
    let mut log = Log::from(0, id(1));
    let fence = log.fence();
    let seed = json!({
        "command_id": id(1), "command_offset": 0, "command_event_id": Uuid::nil(), "content_hash": "", "origin": "",
        "idempotency_key": "k1", "dispatch_by": AT, "deadline": AT, "fence_offset": fence, "claimed": true,
        "status": "executed",
    });
    log.add("journal_seed", seed);
    log.claim(1, "k1", fence);
    log.claim(2, "k1", fence);
    assert_eq!(log.open(), []);
    assert!(log.journal.unpublished().is_empty());
    assert_eq!(*log.journal.watched(), Watched::Ended(ResultStatus::Executed, "seeded".to_owned()));
}
