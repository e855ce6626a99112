//! Questions to a NEAR node and how its answers read. Whatever is not understood is an error, never a fact.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// An HTTP answer.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: &'a [u8],
}

/// A final block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u64,
    /// Its time in nanoseconds since the epoch.
    pub timestamp_ns: u64,
}

/// Whether a nonce was used, as of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceUse {
    /// Whether it was.
    pub used: bool,
    /// The block that the node says it looked at.
    pub block_height: Option<u64>,
}

/// Asks for the salt that nonces need.
pub fn ask_salt(verifier: &str) -> Vec<u8> {
    call("salt", verifier, "current_salt", &json!({}), &json!({"finality": "final"}))
}

/// Asks for the newest final block.
pub fn ask_block() -> Vec<u8> {
    body("block", "block", json!({"finality": "final"}))
}

/// Asks whether a nonce was used at the end of a block.
pub fn ask_nonce(verifier: &str, account: &str, nonce: &[u8; 32], height: u64) -> Vec<u8> {
    let args = json!({"account_id": account, "nonce": STANDARD.encode(nonce)});
    call("nonce", verifier, "is_nonce_used", &args, &json!({"block_id": height}))
}

fn call(id: &str, contract: &str, method: &str, args: &Value, at: &Value) -> Vec<u8> {
    let mut params = json!({
        "request_type": "call_function",
        "account_id": contract,
        "method_name": method,
        "args_base64": STANDARD.encode(args.to_string()),
    });
    if let (Some(params), Some(at)) = (params.as_object_mut(), at.as_object()) {
        params.extend(at.clone());
    }
    body(id, "query", params)
}

fn body(id: &str, method: &str, params: Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().into_bytes()
}

/// The salt in an answer: eight lower-case hex digits.
pub fn read_salt(response: Response<'_>) -> Result<String, String> {
    let (value, _) = called(response)?;
    let text = value.as_str().ok_or("the salt is no string")?;
    match crate::nonce::parse_salt(text) {
        Some(salt) => Ok(hex::encode(salt)),
        None => Err(format!("the salt `{}` is not eight hex digits", crate::excerpt(text))),
    }
}

/// The final block in an answer.
pub fn read_block(response: Response<'_>) -> Result<Block, String> {
    let result = result(response)?;
    let header = result.get("header").ok_or("the block has no header")?;
    let height = header.get("height").and_then(Value::as_u64).ok_or("the block has no height")?;
    // The number of nanoseconds is beyond what some JSON writers keep exactly; the string is not.
    let exact = header.get("timestamp_nanosec").and_then(Value::as_str).and_then(|text| text.parse().ok());
    let timestamp_ns =
        exact.or_else(|| header.get("timestamp").and_then(Value::as_u64)).ok_or("the block has no timestamp")?;
    Ok(Block { height, timestamp_ns })
}

/// Whether a nonce was used, in an answer.
pub fn read_nonce(response: Response<'_>) -> Result<NonceUse, String> {
    let (value, block_height) = called(response)?;
    let used = value.as_bool().ok_or("is_nonce_used gave no boolean")?;
    Ok(NonceUse { used, block_height })
}

/// What a contract's view returned, and the block that the node says it looked at.
fn called(response: Response<'_>) -> Result<(Value, Option<u64>), String> {
    let result = result(response)?;
    if let Some(error) = result.get("error").filter(|error| !error.is_null()) {
        return Err(format!("the call failed: {}", crate::excerpt(&error.to_string())));
    }
    let bytes = result.get("result").and_then(Value::as_array).ok_or("the call has no result")?;
    let bytes: Option<Vec<u8>> = bytes.iter().map(|byte| byte.as_u64().and_then(|b| b.try_into().ok())).collect();
    let value = serde_json::from_slice(&bytes.ok_or("the result is not bytes")?)
        .map_err(|error| format!("the result is not JSON: {error}"))?;
    Ok((value, result.get("block_height").and_then(Value::as_u64)))
}

fn result(response: Response<'_>) -> Result<Value, String> {
    let answer: Result<Value, _> = serde_json::from_slice(response.body);
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Err(format!("HTTP {}, not JSON: {error}", response.status)),
    };
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        return Err(format!("HTTP {}: {}", response.status, crate::excerpt(&error.to_string())));
    }
    if response.status != 200 {
        return Err(format!("HTTP {}", response.status));
    }
    answer.get_mut("result").map(Value::take).filter(Value::is_object).ok_or_else(|| "no result".into())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn returned(value: &Value, height: u64) -> Vec<u8> {
        let bytes: Vec<u8> = value.to_string().into_bytes();
        json!({"jsonrpc":"2.0","id":"x","result":{"result":bytes,"logs":[],"block_height":height,"block_hash":"h"}})
            .to_string()
            .into_bytes()
    }

    pub(crate) fn block(height: u64, timestamp_ns: u64) -> Vec<u8> {
        json!({"jsonrpc":"2.0","id":"x","result":{"author":"a","header":{"height":height,"timestamp":timestamp_ns,
            "timestamp_nanosec":timestamp_ns.to_string()}}})
        .to_string()
        .into_bytes()
    }

    fn ok(body: &[u8]) -> Response<'_> {
        Response { status: 200, body }
    }

    #[test]
    fn asks_as_a_node_wants_it() {
        let asked: Value = serde_json::from_slice(&ask_nonce("intents.near", "solver.near", &[0; 32], 7)).unwrap();
        assert_eq!(asked["method"], "query");
        assert_eq!(asked["params"]["block_id"], 7);
        assert_eq!(asked["params"]["method_name"], "is_nonce_used");
        let args = STANDARD.decode(asked["params"]["args_base64"].as_str().unwrap()).unwrap();
        let args: Value = serde_json::from_slice(&args).unwrap();
        assert_eq!(args, json!({"account_id":"solver.near","nonce":STANDARD.encode([0_u8; 32])}));
    }

    #[test]
    fn reads_answers() {
        assert_eq!(read_salt(ok(&returned(&json!("252812B3"), 1))).unwrap(), "252812b3");
        let time = 1_795_341_665_123_456_789;
        assert_eq!(read_block(ok(&block(9, time))).unwrap(), Block { height: 9, timestamp_ns: time });
        assert_eq!(read_nonce(ok(&returned(&json!(true), 9))).unwrap(), NonceUse { used: true, block_height: Some(9) });
    }

    #[test]
    fn an_error_is_never_a_fact() {
        for body in [
            &b""[..],
            b"{}",
            b"null",
            b"{\"result\":{}}",
            b"{\"result\":{\"result\":[300]}}",
            b"{\"result\":{\"result\":[110,117,108,108]}}",
            b"{\"result\":{\"error\":\"wasm execution failed\",\"result\":[116,114,117,101]}}",
            b"{\"error\":{\"code\":-32000},\"result\":{\"result\":[116,114,117,101]}}",
        ] {
            let text = String::from_utf8_lossy(body);
            assert!(read_nonce(ok(body)).is_err(), "{text}");
            assert!(read_salt(ok(body)).is_err(), "{text}");
            assert!(read_block(ok(body)).is_err(), "{text}");
        }
        let refused = returned(&json!(true), 9);
        assert!(read_nonce(Response { status: 500, body: &refused }).is_err());
    }
}
