//! Amounts in base units: unsigned 128-bit integers, written as decimal strings, never as floats.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::text::cut;

/// Bytes of a bad amount that its error quotes: it may come from a hostile frame.
const QUOTED_BYTES_MAX: usize = 48;

/// A non-negative whole number of an asset's base units, up to `u128::MAX` (39 digits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(pub u128);

/// A text that is not a plain decimal integer in range.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a decimal integer of base units (no sign, no leading zero, at most 2^128-1)")]
pub struct InvalidAmount(String);

impl FromStr for Amount {
    type Err = InvalidAmount;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        let invalid = || InvalidAmount(cut(text, QUOTED_BYTES_MAX).to_owned());
        if !plain {
            return Err(invalid());
        }
        text.parse().map(Self).map_err(|_| invalid())
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Amount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "base units, decimal integer, at most 2^128-1",
            "pattern": "^(0|[1-9][0-9]{0,38})$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_plain_integer() {
        for text in
            ["", "+1", "-1", "01", "00", "1.0", "1e3", " 1", "1 ", "٣", "340282366920938463463374607431768211456"]
        {
            assert!(text.parse::<Amount>().is_err(), "{text}");
        }
        assert_eq!("340282366920938463463374607431768211455".parse::<Amount>().unwrap().0, u128::MAX);
        assert_eq!("0".parse::<Amount>().unwrap().0, 0);
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(value: u128) {
            prop_assert_eq!(Amount(value).to_string().parse::<Amount>().unwrap(), Amount(value));
        }
    }
}
