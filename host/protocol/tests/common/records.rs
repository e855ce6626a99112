//! Records as they stand on the bus.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use serde_json::{Value, json};
use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::command::ExecuteTrade;
use unrip_core::partition::partition_for;
use unrip_core::{CommandId, Envelope};

use super::{VENUE, at};

/// The execution key of these tests.
pub const KEY: &str = "a-venue/an-account";
pub const PARTITIONS: i32 = 6;

/// A command record as a strategy writes it.
pub fn command_record() -> Value {
    let cause = unrip_core::Uuid::from_u128(7);
    let id = CommandId::new(at(0), KEY, cause, "a-strategy", 0);
    json!({
        "event_id": unrip_core::Uuid::from_u128(8), "event_type": "execute_trade", "venue": VENUE, "source": "a-source",
        "schema_version": 1, "observed_at": at(0), "ingested_at": at(1), "causation_id": cause, "correlation_id": cause,
        "module": module("sha256:aa", "bb"),
        "payload": {
            "command_id": id, "idempotency_key": format!("{KEY}/a-quote"), "execution_key": KEY,
            "account": "an-account", "strategy": "a-strategy", "venue_ref": "a-quote", "dispatch_by": at(3_000),
            "deadline": at(65_000), "reason": "why", "inputs": [],
            "action": {
                "kind": "swap_answer", "quote_id": "a-quote", "asset_in": "a", "asset_out": "b", "amount_in": "1",
                "amount_out": "2",
            },
        },
    })
}

pub fn module(digest: &str, config_digest: &str) -> Value {
    json!({ "name": "n", "version": "1", "digest": digest, "wit": "w", "config_digest": config_digest })
}

/// A record of the journal around a payload.
pub fn journal_record(event_type: &str, payload: Value) -> Value {
    json!({
        "event_id": unrip_core::Uuid::from_u128(9), "event_type": event_type, "venue": VENUE, "source": "execute",
        "schema_version": 1, "observed_at": at(2), "ingested_at": at(2), "causation_id": null, "correlation_id": null,
        "module": null, "payload": payload,
    })
}

pub fn partition_of(key: &str) -> i32 {
    partition_for(key.as_bytes(), PARTITIONS)
}

pub fn bytes(record: &Value) -> Vec<u8> {
    serde_json::to_vec(record).unwrap()
}

pub fn typed(record: &Value) -> Envelope<ExecuteTrade> {
    AnyEnvelope::read(&bytes(record)).unwrap().typed().unwrap()
}
