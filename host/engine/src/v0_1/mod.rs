//! The WIT line v0.1: its generated bindings, and how its words and those of the bus become each other.
//!
//! A next line gets a folder of its own beside this one. Of the worlds' types at the crate's root, those of the normalizer
//! and the reactor are the engine's own; those of the ingestor, the executor and `describe` are still this line's.

pub(crate) mod bindings;
pub(crate) mod command;
pub(crate) mod event;

use std::collections::BTreeMap;

use unrip_core::{Amount, Timestamp};

use crate::classify::bounded;
use crate::fault::{Fault, FaultKind, Rejection};
use bindings::shared::unrip::types::common;

/// Bytes of a code or a decline reason: it becomes a metric label.
const CODE_BYTES_MAX: usize = 64;
/// The last microsecond of the year 9999: RFC 3339 has no later one.
const TIME_MAX: u64 = 253_402_300_799_999_999;

/// The fault of a call that succeeded and returned something without meaning.
pub(crate) fn invalid(text: impl AsRef<str>) -> Fault {
    Fault::new(FaultKind::Invalid, bounded(text.as_ref()))
}

pub(crate) fn time_out(at: Timestamp) -> u64 {
    u64::try_from(at.micros()).unwrap_or(0)
}

pub(crate) fn time_in(field: &str, micros: u64) -> Result<Timestamp, Fault> {
    let fits = i64::try_from(micros).ok().filter(|_| micros <= TIME_MAX);
    fits.map(Timestamp::from_micros).ok_or_else(|| invalid(format!("{field} is {micros} us, after the year 9999")))
}

pub(crate) fn amount_in(field: &str, text: &str) -> Result<Amount, Fault> {
    text.parse().map_err(|error| invalid(format!("{field}: {error}")))
}

pub(crate) fn filled(field: &str, text: String) -> Result<String, Fault> {
    if text.is_empty() { Err(invalid(format!("{field} is empty"))) } else { Ok(text) }
}

pub(crate) fn attributes_in(pairs: Vec<common::Attribute>) -> Result<BTreeMap<String, String>, Fault> {
    let mut attributes = BTreeMap::new();
    for (name, value) in pairs {
        if attributes.contains_key(&name) {
            return Err(invalid(format!("attribute `{name}` is given twice")));
        }
        attributes.insert(name, value);
    }
    Ok(attributes)
}

pub(crate) fn attributes_out(attributes: &BTreeMap<String, String>) -> Vec<common::Attribute> {
    attributes.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A label that a module gives: snake_case and short, or it is not taken as it is.
pub(crate) fn code_in(code: &str) -> String {
    let plain = code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let fits = plain && !code.is_empty() && code.len() <= CODE_BYTES_MAX;
    if fits { code.to_owned() } else { "invalid_code".to_owned() }
}

pub(crate) fn rejection_in(rejection: common::Rejection) -> Rejection {
    // A code that is not a valid label is kept in the text, so that nothing said is lost.
    let words = |reason: common::Reason| {
        let code = code_in(&reason.code);
        let text = if code == reason.code { reason.text } else { format!("{}: {}", reason.code, reason.text) };
        (code, bounded(&text))
    };
    match rejection {
        common::Rejection::Reject(reason) => {
            let (code, text) = words(reason);
            Rejection::Reject { code, text }
        }
        common::Rejection::RetryAfter((ms, reason)) => {
            let (code, text) = words(reason);
            Rejection::RetryAfter { ms, code, text }
        }
        common::Rejection::Fatal(reason) => {
            let (code, text) = words(reason);
            Rejection::Fatal { code, text }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_snake_case_becomes_a_label() {
        assert_eq!(code_in("no_amount_2"), "no_amount_2");
        for code in ["", "Näh", "a b", "UPPER", &"x".repeat(65)] {
            assert_eq!(code_in(code), "invalid_code", "{code}");
        }
        let odd = common::Rejection::Reject(common::Reason { code: "No!".into(), text: "why".into() });
        let expected = Rejection::Reject { code: "invalid_code".into(), text: "No!: why".into() };
        assert_eq!(rejection_in(odd), expected);
    }

    #[test]
    fn a_time_beyond_rfc_3339_is_invalid() {
        assert!(time_in("deadline", TIME_MAX).is_ok());
        assert_eq!(time_in("deadline", TIME_MAX + 1).unwrap_err().kind, FaultKind::Invalid);
        assert!(time_in("deadline", u64::MAX).is_err());
    }

    #[test]
    fn an_attribute_has_one_value() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(attributes_in(vec![pair("b", "1"), pair("a", "2")]).unwrap().len(), 2);
        assert!(attributes_in(vec![pair("a", "1"), pair("a", "2")]).unwrap_err().text.contains("`a`"));
    }
}
