//! Commands: what a strategy wants done at a venue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::amount::Amount;
use crate::id::CommandId;
use crate::time::Timestamp;

/// The latest deadline of a command after its cause was observed, in milliseconds.
pub const DEADLINE_MS_MAX: i64 = 610_000;
/// The latest `dispatch_by` of a command after its cause was observed, in milliseconds.
pub const DISPATCH_WINDOW_MS_MAX: i64 = 60_000;

/// A command to trade. Exactly one terminal result answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecuteTrade {
    /// Deterministic and time-ordered.
    pub command_id: CommandId,
    /// `<execution_key>/<venue_ref>`: at most one signed action is released per key.
    pub idempotency_key: String,
    /// `<venue>/<account>`: the record's key, hence its partition.
    pub execution_key: String,
    /// The venue's name of the account that acts.
    pub account: String,
    /// The strategy that decided.
    pub strategy: String,
    /// The venue's own id of the opportunity.
    pub venue_ref: String,
    /// Nothing is handed to a socket after this time.
    pub dispatch_by: Timestamp,
    /// The expiry inside the signed payload, enforced by the venue.
    pub deadline: Timestamp,
    /// Why, in the strategy's words.
    pub reason: String,
    /// The reference records that the strategy used besides its cause.
    pub inputs: Vec<InputRef>,
    /// What to do.
    pub action: Action,
}

/// The place of a record on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputRef {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
}

/// What a command does. Other kinds come with their venues.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Action {
    /// Answer a swap demand: receive `amount_in` of `asset_in`, give `amount_out` of `asset_out`.
    SwapAnswer {
        /// The venue's id of the demand.
        quote_id: String,
        /// What the taker gives and we receive.
        asset_in: String,
        /// What the taker receives and we give.
        asset_out: String,
        /// Base units of `asset_in`.
        amount_in: Amount,
        /// Base units of `asset_out`.
        amount_out: Amount,
        /// Which amount the taker fixed, for venues that are sent only the other one; absent: `amount_in`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        amount_fixed: Option<SideFixed>,
    },
}

/// Which amount of a swap the taker fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SideFixed {
    /// What the taker gives: we named `amount_out`.
    In,
    /// What the taker receives: we named `amount_in`.
    Out,
}

/// `<venue>/<account>`.
pub fn execution_key(venue: &str, account: &str) -> String {
    format!("{venue}/{account}")
}

/// `<execution_key>/<venue_ref>`.
pub fn idempotency_key(execution_key: &str, venue_ref: &str) -> String {
    format!("{execution_key}/{venue_ref}")
}

super::payload!(ExecuteTrade, "execute_trade");
