//! The kill switch: its records, and what they mean together.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::envelope::Envelope;
use crate::names::{AccountId, VenueId};
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

impl Mode {
    /// As it is written in records and in the operator's commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ReduceOnly => "reduce_only",
            Self::Halted => "halted",
        }
    }
}

/// The scope of the whole fleet.
pub const FLEET: &str = "fleet";

/// The scope of one venue.
pub fn venue_scope(venue: &VenueId) -> String {
    format!("venue/{venue}")
}

/// The scope of one account.
pub fn account_scope(venue: &VenueId, account: &AccountId) -> String {
    format!("account/{venue}/{account}")
}

/// What the newest record of a scope says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeMode {
    /// This was set.
    Set(ExecutionMode),
    /// The record cannot be read, for this reason: it counts as halted.
    Unreadable(String),
}

impl ScopeMode {
    /// What is allowed.
    pub fn mode(&self) -> Mode {
        match self {
            Self::Set(set) => set.mode,
            Self::Unreadable(_) => Mode::Halted,
        }
    }
}

/// The kill switch as its records, read in order, leave it: the one rule of executors and of the operator's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modes(BTreeMap<String, ScopeMode>);

impl Modes {
    /// Takes the next record: the newest of a scope counts, a tombstone (`value` is `None`) removes the scope.
    ///
    /// Returns the scope that the record is about; `None` for a record without one, which has no effect.
    pub fn fold<'key>(&mut self, key: Option<&'key [u8]>, value: Option<&[u8]>) -> Option<&'key str> {
        let scope = std::str::from_utf8(key?).ok()?;
        match value.map(Envelope::<ExecutionMode>::decode) {
            None => self.0.remove(scope),
            Some(Ok(envelope)) => self.0.insert(scope.to_owned(), ScopeMode::Set(envelope.payload)),
            Some(Err(error)) => self.0.insert(scope.to_owned(), ScopeMode::Unreadable(error.to_string())),
        };
        Some(scope)
    }

    /// What is set for a scope; `None` where nothing is.
    pub fn get(&self, scope: &str) -> Option<&ScopeMode> {
        self.0.get(scope)
    }

    /// Every scope for which something is set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &ScopeMode)> {
        self.0.iter().map(|(scope, mode)| (scope.as_str(), mode))
    }

    /// What the fleet may do: without a record, nothing.
    pub fn fleet(&self) -> Mode {
        self.get(FLEET).map_or(Mode::Halted, ScopeMode::mode)
    }

    /// What an account may do: the strictest of fleet, venue and account counts. Both names are as a record has them.
    pub fn of_account(&self, venue: &str, account: &str) -> Mode {
        let scopes = [format!("venue/{venue}"), format!("account/{venue}/{account}")];
        scopes.iter().filter_map(|scope| self.get(scope)).map(ScopeMode::mode).fold(self.fleet(), Mode::max)
    }
}

super::payload!(ExecutionMode, "execution_mode");

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn set(modes: &mut Modes, scope: &str, mode: Mode) {
        let at = Timestamp::from_millis(0);
        let payload = ExecutionMode {
            scope: scope.to_owned(),
            mode,
            reason: "test".to_owned(),
            set_by: "me".to_owned(),
            set_at: at,
        };
        let value = Envelope::root(Uuid::nil(), "*", "test", at, payload).encode().unwrap();
        assert_eq!(modes.fold(Some(scope.as_bytes()), Some(&value)), Some(scope));
    }

    #[test]
    fn the_newest_record_of_a_scope_counts_and_an_unreadable_one_halts() {
        let mut modes = Modes::default();
        assert_eq!(modes.fleet(), Mode::Halted, "nothing set means halted");
        set(&mut modes, FLEET, Mode::Halted);
        set(&mut modes, FLEET, Mode::Active);
        assert_eq!(modes.fleet(), Mode::Active);
        modes.fold(Some(b"venue/a"), Some(b"{"));
        assert_eq!(modes.get("venue/a").map(ScopeMode::mode), Some(Mode::Halted));
        modes.fold(Some(b"venue/a"), None);
        assert_eq!(modes.get("venue/a"), None, "a tombstone removes the scope");
        // An empty value is not a tombstone: a record that says nothing is a record that cannot be read.
        modes.fold(Some(b"venue/a"), Some(b""));
        assert_eq!(modes.get("venue/a").map(ScopeMode::mode), Some(Mode::Halted));
        modes.fold(Some(FLEET.as_bytes()), Some(b"{}"));
        assert_eq!(modes.fleet(), Mode::Halted);
        let before = modes.clone();
        assert_eq!(modes.fold(None, Some(b"{}")), None);
        assert_eq!(modes.fold(Some(b"\xff"), None), None);
        assert_eq!(modes, before, "a record without a scope has no effect");
    }

    #[test]
    fn the_strictest_scope_counts_for_an_account() {
        let mut modes = Modes::default();
        set(&mut modes, FLEET, Mode::Active);
        assert_eq!(modes.of_account("a", "x"), Mode::Active);
        set(&mut modes, "venue/a", Mode::ReduceOnly);
        assert_eq!((modes.of_account("a", "x"), modes.of_account("b", "x")), (Mode::ReduceOnly, Mode::Active));
        set(&mut modes, "account/a/x", Mode::Halted);
        assert_eq!((modes.of_account("a", "x"), modes.of_account("a", "y")), (Mode::Halted, Mode::ReduceOnly));
        modes.fold(Some(FLEET.as_bytes()), None);
        assert_eq!(modes.of_account("b", "x"), Mode::Halted);
    }

    #[test]
    fn writes_modes_as_serde_does() {
        for mode in [Mode::Active, Mode::ReduceOnly, Mode::Halted] {
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.as_str());
        }
    }
}
