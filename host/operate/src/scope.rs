//! The scopes of the kill switch.

use std::fmt;
use std::str::FromStr;

use unrip_core::event::control::{FLEET, account_scope, venue_scope};
use unrip_core::{AccountId, VenueId};

/// What a mode is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Fleet,
    /// One venue.
    Venue(VenueId),
    /// One account of a venue.
    Account(VenueId, AccountId),
}

impl Scope {
    /// The venue that it names.
    pub fn venue(&self) -> Option<&VenueId> {
        match self {
            Self::Fleet => None,
            Self::Venue(venue) | Self::Account(venue, _) => Some(venue),
        }
    }

    /// Whether some command is in both scopes: then the stricter of their modes counts for it.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Account(venue, account), Self::Account(other_venue, other_account)) => {
                venue == other_venue && account == other_account
            }
            _ => match (self.venue(), other.venue()) {
                (Some(venue), Some(other)) => venue == other,
                _ => true,
            },
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fleet => f.write_str(FLEET),
            Self::Venue(venue) => f.write_str(&venue_scope(venue)),
            Self::Account(venue, account) => f.write_str(&account_scope(venue, account)),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.splitn(3, '/').collect();
        match parts.as_slice() {
            ["fleet"] => Ok(Self::Fleet),
            ["venue", venue] => Ok(Self::Venue(name(venue)?)),
            ["account", venue, account] => Ok(Self::Account(name(venue)?, name(account)?)),
            _ => Err("write fleet, venue/<venue> or account/<venue>/<account>".to_owned()),
        }
    }
}

/// A misspelt name would be halted without effect, so its shape is checked.
fn name<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        for text in ["fleet", "venue/a-venue", "account/a-venue/solver.one", "account/a/b/c"] {
            assert_eq!(scope(text).to_string(), text);
        }
        for text in
            ["", "Fleet", "venue", "venue/", "venue/a_venue", "venue/a/b", "account/a", "account/a/", "account//b"]
        {
            assert!(text.parse::<Scope>().is_err(), "{text}");
        }
    }

    #[test]
    fn knows_which_scopes_meet() {
        let all = ["fleet", "venue/a", "account/a/x"];
        for one in all {
            assert!(all.iter().all(|other| scope(one).meets(&scope(other))), "{one}");
        }
        assert!(!scope("venue/b").meets(&scope("venue/a")));
        assert!(!scope("venue/b").meets(&scope("account/a/x")));
        assert!(!scope("account/a/y").meets(&scope("account/a/x")));
    }
}
