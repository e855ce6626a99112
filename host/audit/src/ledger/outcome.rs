//! Results and facts on the way.

use unrip_core::Envelope;
use unrip_core::envelope::AnyEnvelope;
use unrip_core::event::result::{ResultStatus, StatusState, TradeResult, TradeStatus};

use super::command::PublishedResult;
use super::{Finding, Ledger, Place, count};

impl Ledger {
    pub(super) fn fold_result(&mut self, place: Place, key: Option<&[u8]>, value: &[u8]) {
        let read = AnyEnvelope::read(value).and_then(|any| Ok((any.content_hash(), any.typed::<TradeResult>()?)));
        let (content_hash, envelope) = match read {
            Ok((Ok(hash), envelope)) => (hash, envelope),
            Ok((Err(error), _)) => return self.unreadable(place, error.to_string()),
            Err(error) => return self.unreadable(place, error.to_string()),
        };
        let id = envelope.payload.command_id;
        self.keeps(place, envelope.ingested_at);
        self.check_key(place, key, id);
        let Some(command) = self.touch(id) else { return };
        if let Some(first) = &command.result {
            let same = first.event_id == envelope.event_id && first.content_hash == content_hash;
            if same {
                self.counts.repeats += 1;
            } else {
                let Place { partition, offset, .. } = first.place;
                let detail = format!("another result than the one at {partition}/{offset}");
                self.violation(Finding { code: "second_result", place, detail }, Some(id));
            }
            return;
        }
        let (status, idempotency_key) = (envelope.payload.status, envelope.payload.idempotency_key.clone());
        command.result = Some(PublishedResult {
            place,
            event_id: envelope.event_id,
            causation_id: envelope.causation_id,
            correlation_id: envelope.correlation_id,
            observed_at: envelope.observed_at,
            content_hash,
            payload: envelope.payload,
        });
        count(&mut self.counts.results, &snake_case(status));
        if status == ResultStatus::Executed {
            let holder = *self.executed_keys.entry(idempotency_key).or_insert(id);
            if holder != id {
                let detail = format!("command {holder} of the same idempotency_key was executed too");
                self.violation(Finding { code: "key_executed_twice", place, detail }, Some(id));
            }
        }
    }

    pub(super) fn fold_status(&mut self, place: Place, key: Option<&[u8]>, value: &[u8]) {
        let envelope = match Envelope::<TradeStatus>::decode(value) {
            Ok(envelope) => envelope,
            Err(error) => return self.unreadable(place, error.to_string()),
        };
        let (id, state) = (envelope.payload.command_id, envelope.payload.state);
        self.check_key(place, key, id);
        let Some(command) = self.touch(id) else { return };
        let status = (state.index(), envelope.event_id);
        if command.statuses.iter().any(|(state, event_id, _)| (*state, *event_id) == status) {
            // Written again after a crash.
            return;
        }
        command.statuses.push((status.0, status.1, place));
        if state == StatusState::InDoubt {
            command.doubt_since.get_or_insert(envelope.ingested_at);
        }
        count(&mut self.counts.statuses, &snake_case(state));
    }
}

/// A value as it stands on the bus.
pub(super) fn snake_case(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
