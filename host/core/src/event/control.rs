//! The kill switch.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What executors may do in a scope. No record for the fleet means halted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionMode {
    /// `fleet`, `venue/<venue>` or `account/<venue>/<account>`: the record's key.
    pub scope: String,
    /// What is allowed.
    pub mode: Mode,
    /// Why, for people.
    pub reason: String,
    /// Who set it.
    pub set_by: String,
    /// When.
    pub set_at: Timestamp,
}

/// What is allowed in a scope; ordered from free to closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything.
    Active,
    /// Only what makes a position smaller; refuses like `halted` where positions are unknown.
    ReduceOnly,
    /// Nothing.
    Halted,
}

/// The scope of the whole fleet.
pub const FLEET: &str = "fleet";

/// The scope of one venue.
pub fn venue_scope(venue: &str) -> String {
    format!("venue/{venue}")
}

/// The scope of one account.
pub fn account_scope(venue: &str, account: &str) -> String {
    format!("account/{venue}/{account}")
}

super::payload!(ExecutionMode, "execution_mode");
