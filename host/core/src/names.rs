//! Names of venues and accounts, read once where text comes in.
//!
//! ```
//! use unrip_core::{AccountId, VenueId};
//!
//! let venue: VenueId = "a-venue".parse()?;
//! assert_eq!(unrip_core::topic::raw(&venue, "quote"), "raw.a_venue.quote");
//! // `a-venue` and `a_venue` would share their topics.
//! assert!("a_venue".parse::<VenueId>().is_err());
//! assert!("maker 1".parse::<AccountId>().is_err());
//! # Ok::<(), unrip_core::names::InvalidName>(())
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::text::cut;

/// The `venue` of a record about the whole fleet, and of a service or module for any venue.
pub const ALL_VENUES: &str = "*";

/// Bytes of an invalid name that its error quotes.
const NAME_BYTES_QUOTED: usize = 64;

/// A text that is not a name of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Not a venue.
    #[error("`{0}` is not a venue's name: use lower-case letters, digits and `-`, as its folder is named")]
    Venue(String),
    /// Not an account.
    #[error("`{0}` is not an account's name: it must have a character, and no space or control character")]
    Account(String),
}

/// A venue, named as its folder: lower-case letters, digits and `-`. Topics and groups write `-` as `_`, so `_` is
/// refused: two venues would share theirs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueId(String);

/// An account, as its venue names it: not empty, and without spaces and control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

impl VenueId {
    fn fits(name: &str) -> bool {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    }
}

impl AccountId {
    fn fits(name: &str) -> bool {
        !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control())
    }
}

macro_rules! name {
    ($name:ident, $invalid:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                match Self::fits(text) {
                    true => Ok(Self(text.to_owned())),
                    false => Err(InvalidName::$invalid(cut(text, NAME_BYTES_QUOTED).to_owned())),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    };
}

name!(VenueId, Venue);
name!(AccountId, Account);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_venues_cannot_meet_in_one_topic() {
        assert!("a-venue2".parse::<VenueId>().is_ok());
        for name in ["", "a_venue", "A", "a.b", "a/b", ALL_VENUES, "ä", "a b", "a-venue\n"] {
            assert!(name.parse::<VenueId>().is_err(), "{name}");
        }
    }

    #[test]
    fn accounts_are_as_venues_name_them() {
        for name in ["solver.a-venue", "0x00Ab", "maker/1", "ä"] {
            assert_eq!(name.parse::<AccountId>().unwrap().as_str(), name);
        }
        for name in ["", " ", "a b", "a\n", "\u{7f}", "\u{a0}"] {
            assert!(name.parse::<AccountId>().is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_error_quotes_little_of_a_long_name() {
        let error = "_".repeat(10_000).parse::<VenueId>().unwrap_err().to_string();
        assert!(error.len() < 200 && error.contains("is not a venue's name"), "{error}");
    }

    #[test]
    fn reads_what_it_writes() {
        let venue: VenueId = serde_json::from_str("\"a-venue\"").unwrap();
        assert_eq!(serde_json::to_string(&venue).unwrap(), "\"a-venue\"");
        let error = serde_json::from_str::<VenueId>("\"a_venue\"").unwrap_err().to_string();
        assert!(error.contains("`a_venue` is not a venue's name"), "{error}");
        assert!(serde_json::from_str::<AccountId>("\"\"").is_err());
        assert_eq!(format!("{venue:>9}|{venue:?}"), "  a-venue|\"a-venue\"");
    }
}
