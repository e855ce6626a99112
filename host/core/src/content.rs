//! What makes two records with one id the same record: `causation_id`, `payload` and `raw`.

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::id::sha256_hex;

/// A payload that has no canonical form (a float that is not finite, a map key that is not a string).
#[derive(Debug, thiserror::Error)]
#[error("the payload has no canonical JSON: {0}")]
pub struct NotCanonical(#[from] serde_json::Error);

/// SHA-256, lower-case hex, of `causation_id ⏎` the payload in canonical JSON (RFC 8785). A missing cause is empty.
///
/// Hash the payload as it was read (a `serde_json::Value`), not a typed copy: a typed copy has lost unknown fields.
pub fn content_hash<P: Serialize>(causation_id: Option<Uuid>, payload: &P) -> Result<String, NotCanonical> {
    let mut hasher = Sha256::new();
    hasher.update(causation_id.map(|id| id.to_string()).unwrap_or_default());
    hasher.update("\n");
    hasher.update(serde_json_canonicalizer::to_vec(payload)?);
    Ok(hex::encode(hasher.finalize()))
}

/// Canonical JSON (RFC 8785): the same value always gives the same text.
pub fn canonical<V: Serialize>(value: &V) -> Result<String, NotCanonical> {
    Ok(serde_json_canonicalizer::to_string(value)?)
}

/// SHA-256, lower-case hex, of a configuration in canonical JSON: `module.config_digest` without its `sha256:`.
pub fn config_digest(config: &serde_json::Value) -> Result<String, NotCanonical> {
    Ok(sha256_hex(&serde_json_canonicalizer::to_vec(config)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn does_not_depend_on_the_order_of_fields() {
        let cause = Some(Uuid::nil());
        let one: serde_json::Value = serde_json::from_str(r#"{"a":"1","b":{"x":1,"y":null}}"#).unwrap();
        let two: serde_json::Value = serde_json::from_str(r#"{ "b":{"y":null,"x":1}, "a":"1" }"#).unwrap();
        assert_eq!(content_hash(cause, &one).unwrap(), content_hash(cause, &two).unwrap());
        assert_ne!(content_hash(cause, &one).unwrap(), content_hash(None, &one).unwrap());
        assert_ne!(content_hash(cause, &one).unwrap(), content_hash(cause, &json!({"a":"1"})).unwrap());
    }

    #[test]
    fn is_the_sha256_of_cause_line_feed_and_canonical_json() {
        let expected = crate::id::sha256_hex(b"00000000-0000-0000-0000-000000000000\n{\"a\":1}");
        assert_eq!(content_hash(Some(Uuid::nil()), &json!({"a": 1})).unwrap(), expected);
    }
}
