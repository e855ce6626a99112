//! Tolerant reading of JSON: known members are read whatever their type, all else is skipped unread.
//!
//! Skipping costs no stack and looks at no number's size, so neither a deeply nested member nor `1e999` nor a
//! repeated key in a part that is not needed makes a frame unreadable. Of a repeated key the last one counts. What JSON
//! allows and Rust cannot hold (half a surrogate pair, also in a key; `1e999` in a known member) is read as such.

use std::fmt;

use crate::soften::{HALF_PAIR, soften};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member's value. Objects and arrays are only noted.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Scalar {
    /// The member is not there.
    #[default]
    Absent,
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number that is not negative.
    Unsigned(u64),
    /// A negative whole number.
    Negative(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// A string with half a surrogate pair in it: an id must not be made of it, it would be another one.
    HalfPair,
    /// An array or an object.
    Compound,
}

impl Scalar {
    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A string as it was read.
    pub(crate) fn of_text(text: &str) -> Self {
        if text.contains(HALF_PAIR) { Self::HalfPair } else { Self::Text(text.to_owned()) }
    }

    /// Whether nothing is said: the member is missing or `null`.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// A whole number that is not negative, however it is written (`60000`, `6e4`).
    pub fn whole(&self) -> Option<u64> {
        /// Above this, doubles no longer hold every whole number.
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Float(value) if value.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&value) => Some(value as u64),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "missing",
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Unsigned(_) | Self::Float(_) => "a number",
            Self::Negative(_) => "a negative number",
            Self::Text(_) => "a string",
            Self::HalfPair => "a string with half a surrogate pair",
            Self::Compound => "an array or object",
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Reads JSON as it is or, where only what Rust cannot hold is in the way, without that.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text).or_else(|error| serde_json::from_str(&soften(text)).map_err(|_| error))
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
        Ok(u64::try_from(value).map_or(Scalar::Negative(value), Scalar::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::of_text(value))
    }

    fn visit_unit<E>(self) -> Result<Scalar, E> {
        Ok(Scalar::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scalar, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Compound)
    }
}

/// Defines a struct that reads these members of an object and skips the rest. What is no object reads as a value
/// whose `scalar` says what it was and whose members are all absent; of an object, `scalar` is [`Scalar::Compound`]
/// and `is_object` true.
macro_rules! object {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Default)]
        #[allow(dead_code, reason = "not every reader asks whether it was an object")]
        $vis struct $name {
            $($(#[$field_meta])* $vis $field: $type,)*
            /// Whether it was an object at all.
            $vis is_object: bool,
            /// The value itself where it was no object.
            $vis scalar: $crate::loose::Scalar,
        }

        impl<'de> serde::de::Deserialize<'de> for $name {
            fn deserialize<D: serde::de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::loose::Scalar;
                struct Members;
                impl<'de> serde::de::Visitor<'de> for Members {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("any JSON value")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut read = $name { is_object: true, scalar: Scalar::Compound, ..$name::default() };
                        while let Some(key) = map.next_key::<String>()? {
                            match key.as_str() {
                                $($key => read.$field = map.next_value()?,)*
                                _ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(read)
                    }
                    fn visit_bool<E>(self, value: bool) -> Result<$name, E> {
                        Ok($name { scalar: Scalar::Bool(value), ..$name::default() })
                    }
                    fn visit_u64<E>(self, value: u64) -> Result<$name, E> {
                        Ok($name { scalar: Scalar::Unsigned(value), ..$name::default() })
                    }
                    fn visit_i64<E>(self, value: i64) -> Result<$name, E> {
                        Ok($name { scalar: Scalar::Negative(value), ..$name::default() })
                    }
                    fn visit_f64<E>(self, value: f64) -> Result<$name, E> {
                        Ok($name { scalar: Scalar::Float(value), ..$name::default() })
                    }
                    fn visit_str<E>(self, value: &str) -> Result<$name, E> {
                        Ok($name { scalar: Scalar::of_text(value), ..$name::default() })
                    }
                    fn visit_unit<E>(self) -> Result<$name, E> {
                        Ok($name { scalar: Scalar::Null, ..$name::default() })
                    }
                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<$name, A::Error> {
                        while seq.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                        Ok($name { scalar: Scalar::Compound, ..$name::default() })
                    }
                }
                deserializer.deserialize_any(Members)
            }
        }
    };
}
pub(crate) use object;

#[cfg(test)]
mod tests {
    use super::*;

    object!(
        struct Probe { a: Scalar = "a", inner: Inner = "inner" }
    );
    object!(
        /// A probe within.
        struct Inner { b: Scalar = "b" }
    );

    fn read(text: &str) -> Probe {
        super::read(text).unwrap()
    }

    #[test]
    fn keeps_what_is_known_and_skips_the_rest_however_odd() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let probe = read(&format!(r#"{{"x":{deep},"y":1e999,"a":"1","a":"2","inner":{{"b":3,"c":-1e999}}}}"#));
        assert_eq!(probe.a, Scalar::Text("2".into()), "the last of a repeated key counts");
        assert_eq!(probe.inner.b, Scalar::Unsigned(3));
        assert_eq!((probe.is_object, probe.scalar), (true, Scalar::Compound));
    }

    #[test]
    fn takes_any_type_anywhere() {
        for (text, kind) in [("null", "null"), ("[1,{}]", "an array or object"), ("-3", "a negative number")] {
            let probe = read(&format!(r#"{{"a":{text},"inner":{text}}}"#));
            assert_eq!(probe.a.kind(), kind);
            assert_eq!(probe.inner.scalar.kind(), kind);
            assert!(!probe.inner.is_object);
            assert!(!read(text).is_object);
        }
    }

    #[test]
    fn whole_numbers_are_whole_however_written() {
        assert_eq!(Scalar::Float(6e4).whole(), Some(60_000));
        for scalar in [Scalar::Float(0.5), Scalar::Float(-1.0), Scalar::Float(1e300), Scalar::Text("5".into())] {
            assert_eq!(scalar.whole(), None, "{scalar:?}");
        }
    }

    #[test]
    fn reads_around_half_pairs_and_numbers_beyond_a_double() {
        let probe = read(r#"{"\ud800":1,"a":"q","inner":{"b":"\udc00"},"x":"\ud800"}"#);
        assert_eq!((probe.a.text(), &probe.inner.b), (Some("q"), &Scalar::HalfPair));
        assert_eq!(read(r#"{"a":1e999}"#).a.whole(), None);
        assert!(super::read::<Probe>("{\"a\":").is_err());
    }
}
