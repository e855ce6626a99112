//! One line per record, with ids shortened to their last eight digits.

use serde_json::Value;
use unrip_bus::Record;
use unrip_core::envelope::AnyEnvelope;

/// Characters of an asset's name that are shown.
const ASSET_CHARS_MAX: usize = 26;
/// Characters of a reason that are shown.
const REASON_CHARS_MAX: usize = 100;

/// The record in one line; `None` for what only repeats another line.
pub fn line(record: &Record) -> Option<String> {
    if record.tombstone {
        return Some(format!("{:<8} {} removed", "control", record.topic));
    }
    let Ok(envelope) = AnyEnvelope::read(&record.value) else {
        return Some(format!(
            "{:<8} {}/{}/{} is no envelope",
            "unknown", record.topic, record.partition, record.offset
        ));
    };
    let payload = &envelope.payload;
    let (word, rest) = match envelope.event_type.as_str() {
        "raw_frame" => ("raw", raw(&envelope, record)),
        "swap_demand" => ("demand", format!("{}  {}", short(&text(payload, "quote_id")), demand(payload))),
        "execute_trade" => ("command", format!("{}  {}", command_id(payload), action(payload))),
        "journal_genesis" | "journal_outcome" => return None,
        "journal_fence" => ("fence", format!("partition {} is {}'s", record.partition, text(payload, "executor_id"))),
        "journal_claim" => ("claim", format!("{}  signs by {}", command_id(payload), text(payload, "key_id"))),
        "trade_result" => ("result", result(&envelope)),
        "trade_status" => ("status", format!("{}  {}", command_id(payload), text(payload, "state"))),
        "execution_mode" => ("control", format!("{} is {}", text(payload, "scope"), text(payload, "mode"))),
        "dead_letter" => ("dead", dead(payload, record)),
        other => (other, format!("{}/{}/{}", record.topic, record.partition, record.offset)),
    };
    Some(format!("{word:<8} {rest}"))
}

fn raw(envelope: &AnyEnvelope, record: &Record) -> String {
    let id = short(&envelope.event_id.to_string());
    let bytes = envelope.raw_bytes().ok().flatten().map_or(0, |raw| raw.len());
    let key = record.key.as_deref().map(|key| short(&String::from_utf8_lossy(key))).unwrap_or_default();
    format!("{key}  {bytes} bytes on {}, event {id}", record.topic)
}

fn demand(payload: &Value) -> String {
    let side = |amount: &str, asset: &str| match text(payload, amount) {
        none if none.is_empty() => format!("? {}", asset_of(payload, asset)),
        given => format!("{given} {}", asset_of(payload, asset)),
    };
    format!("{} -> {}", side("amount_in", "asset_in"), side("amount_out", "asset_out"))
}

fn action(payload: &Value) -> String {
    let action = payload.get("action").unwrap_or(&Value::Null);
    let quote = short(&text(payload, "venue_ref"));
    match text(action, "kind").as_str() {
        "swap_answer" => format!("quote {quote}, {}", demand(action)),
        other => format!("{other} {quote}"),
    }
}

fn result(envelope: &AnyEnvelope) -> String {
    let payload = &envelope.payload;
    let status = text(payload, "status");
    let code = text(payload, "result_code");
    let ms = envelope.ingested_at.micros().saturating_sub(envelope.observed_at.micros()) as f64 / 1_000.0;
    format!("{}  {status} ({code}), {ms:.1} ms after its frame", command_id(payload))
}

fn dead(payload: &Value, record: &Record) -> String {
    let reason: String = text(payload, "reason").chars().take(REASON_CHARS_MAX).collect();
    format!("{}  {}: {}", record.topic, text(payload, "reason_code"), reason.escape_debug())
}

fn command_id(payload: &Value) -> String {
    short(&text(payload, "command_id"))
}

fn asset_of(payload: &Value, key: &str) -> String {
    let asset = text(payload, key);
    match asset.char_indices().nth(ASSET_CHARS_MAX) {
        Some((end, _)) => format!("{}…", asset.get(..end).unwrap_or_default()),
        None => asset,
    }
}

/// The last eight characters: the first ones of time-ordered ids hardly differ.
fn short(id: &str) -> String {
    let skip = id.chars().count().saturating_sub(8);
    id.chars().skip(skip).flat_map(char::escape_debug).collect()
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use unrip_bus::RecordTime;

    pub(crate) fn record(topic: &str, event_type: &str, payload: Value) -> Record {
        let value = json!({
            "event_id": "a93b34a2-d36a-8e5c-a43d-1ed6fb7f5efb", "event_type": event_type, "venue": "a-venue",
            "source": "s", "schema_version": 1, "observed_at": "2026-11-22T10:00:00.000000Z",
            "ingested_at": "2026-11-22T10:00:00.012300Z", "causation_id": null, "correlation_id": null,
            "module": null, "payload": payload,
        });
        Record {
            topic: topic.to_owned(),
            partition: 0,
            offset: 0,
            key: Some(b"key".to_vec()),
            value: value.to_string().into_bytes(),
            tombstone: false,
            headers: Vec::new(),
            timestamp: RecordTime::None,
        }
    }

    #[test]
    fn shows_a_result_with_its_time_from_the_frame() {
        let payload =
            json!({"command_id": "01a202b2c57b305f61b858094c910cf9", "status": "executed", "result_code": "ok"});
        let line = line(&record("exec.trade_result", "trade_result", payload)).unwrap();
        assert_eq!(line, "result   4c910cf9  executed (ok), 12.3 ms after its frame");
    }

    #[test]
    fn shows_demands_with_the_side_that_is_given() {
        let payload = json!({"quote_id": "12345678-q", "asset_in": "a", "asset_out": "a-very-long-asset-name-that-is-cut",
            "amount_in": null, "amount_out": "7"});
        let line = line(&record("norm.swap_demand", "swap_demand", payload)).unwrap();
        assert_eq!(line, "demand   345678-q  ? a -> 7 a-very-long-asset-name-tha…");
    }

    #[test]
    fn keeps_what_a_venue_says_on_one_line() {
        let payload = json!({"reason_code": "x", "reason": "two\nlines \u{1b}[31m"});
        let line = line(&record("dead.raw.a_venue", "dead_letter", payload)).unwrap();
        assert!(!line.contains('\n') && !line.contains('\u{1b}'), "{line}");
    }

    #[test]
    fn says_what_it_cannot_read() {
        let mut record = record("t", "x", json!({}));
        record.value = b"nonsense".to_vec();
        assert_eq!(line(&record).unwrap(), "unknown  t/0/0 is no envelope");
    }
}
