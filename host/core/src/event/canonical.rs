//! Canonical events: what frames of any venue mean.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::envelope::{AnyEnvelope, DecodeError, Envelope, ModuleRef, Payload};
use crate::id::derived_event_id;
use crate::time::Timestamp;
use crate::trace::TraceParent;

/// What else a venue says about an event.
pub type Attributes = BTreeMap<String, String>;

/// A taker asks to swap one asset for another. Exactly one amount is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwapDemand {
    /// The venue's id of the demand.
    pub quote_id: String,
    /// `<asset_in>~<asset_out>`.
    pub instrument: String,
    /// What the taker gives.
    pub asset_in: String,
    /// What the taker receives.
    pub asset_out: String,
    /// Given if the taker fixed what it gives.
    pub amount_in: Option<Amount>,
    /// Given if the taker fixed what it receives.
    pub amount_out: Option<Amount>,
    /// How long an answer must stay valid, in milliseconds.
    pub min_deadline_ms: u64,
    /// The longest time that the venue takes answers, in milliseconds; null if it does not say.
    pub ttl_ms: Option<u64>,
    /// What else the venue says.
    #[serde(default)]
    pub attributes: Attributes,
}

/// What became of a quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwapSettlement {
    /// The venue's hash of the signed quote.
    pub quote_hash: String,
    /// The venue's hash of the whole intent.
    pub intent_hash: Option<String>,
    /// The transaction on the venue's chain.
    pub tx_hash: Option<String>,
    /// What became of it.
    pub outcome: SettlementOutcome,
    /// What else the venue says.
    #[serde(default)]
    pub attributes: Attributes,
}

/// What became of a quote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettlementOutcome {
    /// It took effect.
    Settled,
    /// It will not take effect.
    Failed,
    /// The venue is about to settle it.
    Ready,
}

/// The best prices of a book. Prices and sizes are decimal strings as the venue wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BookTop {
    /// The venue's symbol.
    pub instrument: String,
    /// Highest bid.
    pub bid_price: Option<String>,
    /// Size at the highest bid.
    pub bid_size: Option<String>,
    /// Lowest ask.
    pub ask_price: Option<String>,
    /// Size at the lowest ask.
    pub ask_size: Option<String>,
    /// The venue's own time.
    pub venue_time: Option<String>,
    /// The venue's own sequence number.
    pub sequence: Option<String>,
    /// What else the venue says.
    #[serde(default)]
    pub attributes: Attributes,
}

/// A trade that took place at the venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trade {
    /// The venue's symbol.
    pub instrument: String,
    /// The venue's id of the trade.
    pub trade_id: String,
    /// Decimal string as the venue wrote it.
    pub price: String,
    /// Decimal string as the venue wrote it.
    pub size: String,
    /// Of the taker.
    pub side: Side,
    /// The venue's own time.
    pub venue_time: String,
    /// What else the venue says.
    #[serde(default)]
    pub attributes: Attributes,
}

/// Which way a trade went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

super::payload!(SwapDemand, "swap_demand");
super::payload!(SwapSettlement, "swap_settlement");
super::payload!(BookTop, "book_top");
super::payload!(Trade, "trade");

/// Names each kind once, with the field that stands after `<venue>/` in its records' keys.
macro_rules! kinds {
    ($($kind:ident by $key:ident),+ $(,)?) => {
        /// Any canonical event.
        #[allow(missing_docs, reason = "each kind holds the payload of its name")]
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum CanonicalEvent {
            $($kind($kind)),+
        }

        impl CanonicalEvent {
            /// The names of all kinds on the bus.
            pub const EVENT_TYPES: &'static [&'static str] = &[$(<$kind as Payload>::EVENT_TYPE),+];

            /// The kind's name on the bus.
            pub fn event_type(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => <$kind as Payload>::EVENT_TYPE),+
                }
            }

            /// What stands after `<venue>/` in the record's key: the instrument, of a settlement its quote hash.
            pub fn key(&self) -> &str {
                match self {
                    $(Self::$kind(event) => &event.$key),+
                }
            }

            /// The event in a record's envelope.
            pub fn read(envelope: AnyEnvelope) -> Result<Self, DecodeError> {
                match envelope.event_type.as_str() {
                    $(<$kind as Payload>::EVENT_TYPE => Ok(Self::$kind(envelope.typed()?.payload)),)+
                    _ => Err(DecodeError::EventType { found: envelope.event_type, expected: "canonical event" }),
                }
            }

            /// The value and headers of the record of this event, the output `index` of its cause.
            pub fn record<C>(self, index: u32, derivation: Derivation<'_, C>) -> Result<RecordParts, serde_json::Error> {
                match self {
                    $(Self::$kind(payload) => derivation.record(index, payload)),+
                }
            }
        }
    };
}

kinds! {
    SwapDemand by instrument,
    SwapSettlement by quote_hash,
    BookTop by instrument,
    Trade by instrument,
}

/// A record's value and headers.
pub type RecordParts = (Vec<u8>, Vec<(String, Vec<u8>)>);

/// What an event is derived from and by.
#[derive(Clone, Copy, Debug)]
pub struct Derivation<'a, C> {
    /// The record that it follows from.
    pub cause: &'a Envelope<C>,
    /// The role's name in event ids.
    pub role: &'a str,
    /// The code that made it.
    pub module: &'a ModuleRef,
    /// When its record is made.
    pub at: Timestamp,
    /// Its record's span.
    pub trace: TraceParent,
}

impl<C> Derivation<'_, C> {
    fn record<P: Payload>(&self, index: u32, payload: P) -> Result<RecordParts, serde_json::Error> {
        let event_id = derived_event_id(self.cause.event_id, self.role, P::EVENT_TYPE, index);
        let envelope = Envelope::derived(event_id, self.cause, self.at, Some(self.module.clone()), payload);
        Ok((envelope.encode()?, envelope.headers(self.trace)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_kind_back_and_refuses_others() {
        assert_eq!(CanonicalEvent::EVENT_TYPES, ["swap_demand", "swap_settlement", "book_top", "trade"]);
        let payload = SwapSettlement {
            quote_hash: "h".into(),
            intent_hash: None,
            tx_hash: None,
            outcome: SettlementOutcome::Settled,
            attributes: Attributes::new(),
        };
        let at = Timestamp::from_millis(1);
        let envelope = Envelope::root(uuid::Uuid::from_u128(1), "a-venue", "s", at, payload.clone());
        let any = AnyEnvelope::read(&envelope.encode().unwrap()).unwrap();
        let event = CanonicalEvent::read(any.clone()).unwrap();
        assert_eq!((event.event_type(), event.key()), ("swap_settlement", "h"));
        assert_eq!(event, CanonicalEvent::SwapSettlement(payload));
        let weather = AnyEnvelope { event_type: "weather".into(), ..any };
        assert!(matches!(CanonicalEvent::read(weather), Err(DecodeError::EventType { .. })));
    }
}
