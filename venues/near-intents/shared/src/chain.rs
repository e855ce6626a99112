//! Questions to a NEAR node and how its answers read. Whatever is not understood is an error, never a fact.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// An HTTP answer.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    /// Status code.
    pub status: u16,
    pub body: &'a [u8],
}

/// A final block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub height: u64,
    /// Its hash, base58.
    pub hash: String,
    /// Its time in nanoseconds since the epoch.
    pub timestamp_ns: u64,
}

/// Asks for the salt that nonces need.
pub fn ask_salt(verifier: &str) -> Vec<u8> {
    call("salt", verifier, "current_salt", "{}", &json!({"finality": "final"}))
}

/// Asks for the newest final block.
pub fn ask_block() -> Vec<u8> {
    body("block", "block", json!({"finality": "final"}))
}

/// Asks whether a nonce was used at the end of this very block.
pub fn ask_nonce(verifier: &str, account: &str, nonce: &[u8; 32], block_hash: &str) -> Vec<u8> {
    let args = json!({"account_id": account, "nonce": STANDARD.encode(nonce)});
    call("nonce", verifier, "is_nonce_used", &args.to_string(), &json!({"block_id": block_hash}))
}

/// Asks for the balances that these arguments of the view name.
pub fn ask_balances(verifier: &str, args: &str) -> Vec<u8> {
    call("balances", verifier, "mt_batch_balance_of", args, &json!({"finality": "final"}))
}

/// Asks which network the node is of.
pub fn ask_network() -> Vec<u8> {
    body("network", "status", json!([]))
}

fn call(id: &str, contract: &str, method: &str, args: &str, at: &Value) -> Vec<u8> {
    let mut params = json!({
        "request_type": "call_function",
        "account_id": contract,
        "method_name": method,
        "args_base64": STANDARD.encode(args),
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
    let value = read_view(response)?;
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
    let hash = header.get("hash").and_then(Value::as_str).filter(|hash| is_hash(hash));
    let hash = hash.ok_or("the block has no hash")?.to_owned();
    Ok(Block { height, hash, timestamp_ns })
}

/// Whether a nonce was used at this block, in an answer. A node that looked at another block has said nothing.
pub fn read_nonce(response: Response<'_>, at: &Block) -> Result<bool, String> {
    let result = result(response)?;
    let used = returned(&result)?.as_bool().ok_or("is_nonce_used gave no boolean")?;
    let height = result.get("block_height").and_then(Value::as_u64);
    let hash = result.get("block_hash").and_then(Value::as_str);
    if height != Some(at.height) || hash != Some(at.hash.as_str()) {
        return Err(format!("the node looked at block {height:?}, asked was {}", at.height));
    }
    Ok(used)
}

/// The `chain_id` in an answer of a node that is not behind.
pub fn read_network(response: Response<'_>) -> Result<String, String> {
    let result = result(response)?;
    if result.pointer("/sync_info/syncing").and_then(Value::as_bool) != Some(false) {
        return Err("the node is syncing, or does not say".into());
    }
    let chain = result.get("chain_id").and_then(Value::as_str).ok_or("the node names no chain_id")?;
    Ok(chain.to_owned())
}

/// What a contract's view returned.
pub fn read_view(response: Response<'_>) -> Result<Value, String> {
    returned(&result(response)?)
}

fn returned(result: &Value) -> Result<Value, String> {
    if let Some(error) = result.get("error").filter(|error| !error.is_null()) {
        return Err(format!("the call failed: {}", crate::excerpt(&error.to_string())));
    }
    let bytes = result.get("result").and_then(Value::as_array).ok_or("the call has no result")?;
    let bytes: Option<Vec<u8>> = bytes.iter().map(|byte| byte.as_u64().and_then(|b| b.try_into().ok())).collect();
    serde_json::from_slice(&bytes.ok_or("the result is not bytes")?)
        .map_err(|error| format!("the result is not JSON: {error}"))
}

/// A block's hash: base58 of 32 bytes.
fn is_hash(text: &str) -> bool {
    bs58::decode(text).onto(&mut [0; 32]).is_ok_and(|length| length == 32)
}

/// The result of a JSON-RPC answer, an object.
pub(crate) fn result(response: Response<'_>) -> Result<Value, String> {
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
        json!({"jsonrpc":"2.0","id":"x","result":{"result":bytes,"logs":[],"block_height":height,"block_hash":hash(height)}})
            .to_string()
            .into_bytes()
    }

    /// A hash for each height.
    pub(crate) fn hash(height: u64) -> String {
        bs58::encode(std::array::from_fn::<u8, 32, _>(|n| height.to_le_bytes()[n % 8])).into_string()
    }

    pub(crate) fn status(chain_id: &str, syncing: bool) -> Vec<u8> {
        json!({"jsonrpc":"2.0","id":"x","result":{"chain_id":chain_id,"sync_info":{"syncing":syncing}}})
            .to_string()
            .into_bytes()
    }

    pub(crate) fn block(height: u64, timestamp_ns: u64) -> Vec<u8> {
        json!({"jsonrpc":"2.0","id":"x","result":{"author":"a","header":{"height":height,"hash":hash(height),"timestamp":timestamp_ns,
            "timestamp_nanosec":timestamp_ns.to_string()}}})
        .to_string()
        .into_bytes()
    }

    fn ok(body: &[u8]) -> Response<'_> {
        Response { status: 200, body }
    }

    #[test]
    fn asks_as_a_node_wants_it() {
        let asked: Value = serde_json::from_slice(&ask_nonce("intents.near", "solver.near", &[0; 32], "h")).unwrap();
        assert_eq!(asked["method"], "query");
        assert_eq!(asked["params"]["block_id"], "h");
        assert_eq!(asked["params"]["method_name"], "is_nonce_used");
        let args = STANDARD.decode(asked["params"]["args_base64"].as_str().unwrap()).unwrap();
        let args: Value = serde_json::from_slice(&args).unwrap();
        assert_eq!(args, json!({"account_id":"solver.near","nonce":STANDARD.encode([0_u8; 32])}));
    }

    #[test]
    fn reads_answers() {
        assert_eq!(read_salt(ok(&returned(&json!("252812B3"), 1))).unwrap(), "252812b3");
        let time = 1_795_341_665_123_456_789;
        let at = Block { height: 9, hash: hash(9), timestamp_ns: time };
        assert_eq!(read_block(ok(&block(9, time))).unwrap(), at);
        assert_eq!(read_nonce(ok(&returned(&json!(true), 9)), &at), Ok(true));
        assert!(read_nonce(ok(&returned(&json!(true), 8)), &at).is_err());
        assert!(read_nonce(ok(&returned(&json!(true), 9)), &Block { hash: hash(8), ..at }).is_err());
        assert_eq!(read_network(ok(&status("mainnet", false))).unwrap(), "mainnet");
        assert!(read_network(ok(&status("mainnet", true))).is_err());
    }

    #[test]
    fn an_error_is_never_a_fact() {
        let at = Block { height: 9, hash: hash(9), timestamp_ns: 1 };
        for body in [
            &b""[..],
            b"{}",
            b"null",
            b"{\"result\":{}}",
            b"{\"result\":{\"result\":[300]}}",
            b"{\"result\":{\"result\":[110,117,108,108]}}",
            b"{\"result\":{\"error\":\"wasm execution failed\",\"result\":[116,114,117,101]}}",
            b"{\"result\":{\"header\":{\"height\":9,\"timestamp\":1}}}",
            b"{\"result\":{\"header\":{\"height\":9,\"timestamp\":1,\"hash\":\"../x\"}}}",
            b"{\"error\":{\"code\":-32000},\"result\":{\"result\":[116,114,117,101]}}",
        ] {
            let text = String::from_utf8_lossy(body);
            assert!(read_nonce(ok(body), &at).is_err(), "{text}");
            assert!(read_network(ok(body)).is_err(), "{text}");
            assert!(read_salt(ok(body)).is_err(), "{text}");
            assert!(read_block(ok(body)).is_err(), "{text}");
        }
        let refused = returned(&json!(true), 9);
        assert!(read_nonce(Response { status: 500, body: &refused }, &at).is_err());
    }
}
