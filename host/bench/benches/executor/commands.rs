//! Commands about quotes that the venue does not know.

use unrip_bus::{Outgoing, Record};
use unrip_core::event::command::{Action, ExecuteTrade, execution_key, idempotency_key};
use unrip_core::{CommandId, Envelope, ModuleRef, topic};
use unrip_service::{Clock, Ids, SystemClock};

const STRATEGY: &str = "bench";
/// How long an answer would be valid, in milliseconds.
const VALID_MS: i64 = 60_000;
/// How long it may be sent, in milliseconds.
const DISPATCH_MS: i64 = 55_000;

pub(crate) struct Commands {
    ids: Ids,
    venue: String,
    model: ExecuteTrade,
}

impl Commands {
    /// Commands like this one of the venue's own strategy: the same account and assets.
    pub(crate) fn like(record: &Record) -> Self {
        let envelope: Envelope<ExecuteTrade> = serde_json::from_slice(&record.value).unwrap();
        Self { ids: Ids::random(), venue: envelope.venue.to_string(), model: envelope.payload }
    }

    pub(crate) fn next(&self) -> Outgoing {
        let now = SystemClock.now();
        let (cause, quote_id) = (self.ids.uuid_v7(now), self.ids.uuid_v7(now).to_string());
        let key = execution_key(&self.venue, &self.model.account);
        let Action::SwapAnswer { asset_in, asset_out, amount_in, amount_out, .. } = self.model.action.clone();
        let payload = ExecuteTrade {
            command_id: CommandId::new(now, &key, cause, STRATEGY, 0),
            idempotency_key: idempotency_key(&key, &quote_id),
            execution_key: key.clone(),
            account: self.model.account.clone(),
            strategy: STRATEGY.to_owned(),
            venue_ref: quote_id.clone(),
            dispatch_by: now.plus_millis(DISPATCH_MS),
            deadline: now.plus_millis(VALID_MS).cut_to_millis(),
            reason: "a benchmark".to_owned(),
            inputs: Vec::new(),
            action: Action::SwapAnswer { quote_id, asset_in, asset_out, amount_in, amount_out, amount_fixed: None },
        };
        let mut envelope = Envelope::root(self.ids.uuid_v7(now), &self.venue, "bench", now, payload);
        envelope.causation_id = Some(cause);
        envelope.module = Some(ModuleRef {
            name: "bench/react".to_owned(),
            version: "0.1.0".to_owned(),
            digest: "sha256:00".to_owned(),
            wit: "unrip:reactor@0.1.0".to_owned(),
            config_digest: "sha256:00".to_owned(),
        });
        Outgoing {
            topic: topic::EXECUTE_TRADE.to_owned(),
            partition: None,
            key: key.into_bytes(),
            value: envelope.encode().unwrap(),
            headers: envelope.headers(self.ids.trace()),
        }
    }
}
