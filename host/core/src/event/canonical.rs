//! Canonical events: what frames of any venue mean.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;

/// What else a venue says about an event.
pub type Attributes = BTreeMap<String, String>;

/// Somebody asks to swap one asset for another. Exactly one amount is given.
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
