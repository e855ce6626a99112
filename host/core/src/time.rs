//! Points in time as the bus writes them: RFC 3339, UTC, exactly six fractional digits, `Z`.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A text that is not an RFC 3339 time in UTC.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an RFC 3339 time in UTC")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, cut, not rounded.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This time and `millis` milliseconds; saturates at the ends of the range.
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis.saturating_mul(1_000)))
    }

    /// The same time with everything below a millisecond cut off.
    pub const fn cut_to_millis(self) -> Self {
        Self::from_millis(self.millis())
    }

    /// Milliseconds from `earlier` to this time; negative if `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0).div_euclid(1_000)
    }

    /// Parses an RFC 3339 time whose offset is UTC.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp(text.to_owned()))?;
        if parsed.offset().local_minus_utc() != 0 {
            return Err(InvalidTimestamp(text.to_owned()));
        }
        Ok(Self(parsed.timestamp_micros()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Chrono holds more than ±262 000 years; what lies beyond is shown as the epoch's raw number.
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None => write!(f, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "RFC 3339, UTC, six fractional digits",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{6}Z$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_six_digits_and_z_and_reads_itself_back() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_795_341_600_123_456, "2026-11-22T10:00:00.123456Z"),
            (1_795_341_600_000_000, "2026-11-22T10:00:00.000000Z"),
        ] {
            assert_eq!(Timestamp::from_micros(micros).to_string(), text);
            assert_eq!(Timestamp::parse(text).unwrap(), Timestamp::from_micros(micros));
        }
    }

    #[test]
    fn refuses_other_offsets_and_nonsense() {
        for text in ["2026-11-22T10:00:00+01:00", "yesterday", "", "2026-11-22"] {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cuts_to_whole_milliseconds() {
        assert_eq!(Timestamp::from_micros(1_999).cut_to_millis(), Timestamp::from_micros(1_000));
        assert_eq!(Timestamp::from_micros(-1).cut_to_millis(), Timestamp::from_millis(-1));
    }
}
