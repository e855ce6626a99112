//! The relay's own word on what became of an answer: `get_status`, asked by our quote hash.
//!
//! It is documented for the taker's intent hash. Whether the live relay knows a solver's quote hash is unverified, so
//! nothing here is ever a "no": only a settlement that names our hash and its transaction says anything definite.

use serde_json::{Value, json};

use crate::chain::{self, Response};
use crate::{excerpt, rpc};

/// A request id; each HTTP request has its answer for itself.
const REQUEST_ID: u64 = 1;

/// What the relay says of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It took effect, in this transaction.
    Settled(String),
    /// It is under way.
    Broadcast,
    /// It may yet be taken.
    Pending,
    /// The relay does not say: it does not know it, or no longer.
    Unknown,
}

/// Asks what became of the answer with this quote hash (base58).
pub fn ask_status(quote_hash: &str) -> Vec<u8> {
    rpc::request(REQUEST_ID, "get_status", json!([{ "intent_hash": quote_hash }])).into_bytes()
}

/// What the relay says of this quote hash.
pub fn read_status(response: Response<'_>, quote_hash: &str) -> Result<Fate, String> {
    let result = chain::result(response)?;
    let text = |name: &str| result.get(name).and_then(Value::as_str);
    match text("intent_hash") {
        Some(named) if named == quote_hash => {}
        Some(named) => return Err(format!("the status is of `{}`", excerpt(named))),
        None => return Err("the status names no hash".into()),
    }
    match text("status") {
        Some("SETTLED") => match result.pointer("/data/hash").and_then(Value::as_str) {
            Some(hash) if !hash.is_empty() => Ok(Fate::Settled(excerpt(hash))),
            _ => Err("settled without a transaction".into()),
        },
        Some("TX_BROADCASTED") => Ok(Fate::Broadcast),
        Some("PENDING") => Ok(Fate::Pending),
        Some(other) if other.starts_with("NOT_FOUND_OR_NOT_VALID") => Ok(Fate::Unknown),
        Some(other) => Err(format!("the status is `{}`", excerpt(other))),
        None => Err("there is no status".into()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn said(hash: &str, status: &str) -> Vec<u8> {
        let result = json!({"intent_hash": hash, "status": status, "data": {"hash": "8rEAAvvj"}});
        json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string().into_bytes()
    }

    fn read(body: &[u8]) -> Result<Fate, String> {
        read_status(Response { status: 200, body }, "h")
    }

    #[test]
    fn asks_as_the_documentation_says() {
        let asked: Value = serde_json::from_slice(&ask_status("h")).unwrap();
        let wanted = json!({"jsonrpc": "2.0", "id": 1, "method": "get_status", "params": [{"intent_hash": "h"}]});
        assert_eq!(asked, wanted);
    }

    #[test]
    fn reads_what_it_knows() {
        assert_eq!(read(&said("h", "SETTLED")), Ok(Fate::Settled("8rEAAvvj".into())));
        assert_eq!(read(&said("h", "TX_BROADCASTED")), Ok(Fate::Broadcast));
        assert_eq!(read(&said("h", "PENDING")), Ok(Fate::Pending));
        assert_eq!(read(&said("h", "NOT_FOUND_OR_NOT_VALID")), Ok(Fate::Unknown));
        assert_eq!(read(&said("h", "NOT_FOUND_OR_NOT_VALID_ANYMORE")), Ok(Fate::Unknown));
    }

    #[test]
    fn whatever_is_not_exactly_that_says_nothing() {
        for body in [
            said("other", "SETTLED"),
            said("h", "settled"),
            said("h", "SETTLED "),
            said("h", ""),
            br#"{"result":{"status":"SETTLED","data":{"hash":"x"}}}"#.to_vec(),
            br#"{"result":{"intent_hash":"h","status":"SETTLED"}}"#.to_vec(),
            br#"{"result":{"intent_hash":"h","status":"SETTLED","data":{"hash":""}}}"#.to_vec(),
            br#"{"result":{"intent_hash":"h","status":["SETTLED"],"data":{"hash":"x"}}}"#.to_vec(),
            br#"{"result":[{"intent_hash":"h","status":"SETTLED","data":{"hash":"x"}}]}"#.to_vec(),
            br#"{"error":"x","result":{"intent_hash":"h","status":"SETTLED","data":{"hash":"x"}}}"#.to_vec(),
            br#"{"result":null}"#.to_vec(),
            b"<html>".to_vec(),
            Vec::new(),
        ] {
            assert!(read(&body).is_err(), "{}", String::from_utf8_lossy(&body));
        }
        let settled = said("h", "SETTLED");
        assert!(read_status(Response { status: 403, body: &settled }, "h").is_err());
    }
}
