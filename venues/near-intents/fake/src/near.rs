//! The NEAR node's JSON-RPC: `query` / `call_function` on the verifying contract and `block`, each at the block asked for;
//! `status` for the network's name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use http::StatusCode;
use serde_json::{Value, json};

use super::chain::Chain;
use super::config::FakeVenueConfig;
use super::state::State;

/// The answer to one HTTP body, as nearcore gives it: refused requests are 400, errors of a handler are 200.
pub(super) fn answer(state: &State, config: &FakeVenueConfig, body: &[u8], now_ms: u64) -> (StatusCode, Value) {
    let request: Value = match serde_json::from_slice(body) {
        Ok(request) => request,
        Err(error) => return invalid(&Value::Null, -32700, "PARSE_ERROR", &error.to_string()),
    };
    let id = request.get("id").cloned().unwrap_or(Value::Null);
    let params = request.get("params").unwrap_or(&Value::Null);
    let found = match request.get("method").and_then(Value::as_str) {
        Some("block") => block(&state.chain, params, now_ms),
        Some("query") => query(state, &config.contract, params, now_ms),
        Some("status") => Ok(status(&state.chain, &config.chain.network, now_ms)),
        other => return invalid(&id, -32601, "METHOD_NOT_FOUND", other.unwrap_or_default()),
    };
    match found {
        Ok(result) => (StatusCode::OK, json!({"jsonrpc": "2.0", "id": id, "result": result})),
        Err(Failure::Parse(text)) => invalid(&id, -32700, "PARSE_ERROR", &text),
        Err(Failure::Handler { cause, text }) => {
            let cause = json!({"name": cause, "info": {}});
            let error = json!({"name": "HANDLER_ERROR", "cause": cause, "code": -32000, "message": "Server error", "data": text});
            (StatusCode::OK, json!({"jsonrpc": "2.0", "id": id, "error": error}))
        }
    }
}

enum Failure {
    Parse(String),
    Handler { cause: &'static str, text: String },
}

fn invalid(id: &Value, code: i64, name: &str, text: &str) -> (StatusCode, Value) {
    let message = if code == -32601 { "Method not found" } else { "Parse error" };
    let cause = json!({"name": name, "info": {"error_message": text}});
    let error =
        json!({"name": "REQUEST_VALIDATION_ERROR", "cause": cause, "code": code, "message": message, "data": text});
    (StatusCode::BAD_REQUEST, json!({"jsonrpc": "2.0", "id": id, "error": error}))
}

/// `{"finality": …}` or `{"block_id": height or hash}`.
fn height(chain: &Chain, params: &Value, now_ms: u64) -> Result<u64, Failure> {
    let unknown = |id: &Value| Failure::Handler {
        cause: "UNKNOWN_BLOCK",
        text: format!("DB Not Found Error: BLOCK: {id} \n Cause: Unknown"),
    };
    match (params.get("finality").and_then(Value::as_str), params.get("block_id")) {
        (Some("final"), None) => Ok(chain.final_height(now_ms)),
        (Some("near-final"), None) => Ok(chain.head(now_ms).saturating_sub(1).max(chain.final_height(now_ms))),
        (Some("optimistic"), None) => Ok(chain.head(now_ms)),
        (None, Some(id)) => {
            let height = id.as_u64().or_else(|| id.as_str().and_then(|hash| chain.height_of(hash)));
            height.filter(|height| chain.exists(*height, now_ms)).ok_or_else(|| unknown(id))
        }
        _ => Err(Failure::Parse("Failed parsing args: give either finality or block_id".into())),
    }
}

fn block(chain: &Chain, params: &Value, now_ms: u64) -> Result<Value, Failure> {
    let height = height(chain, params, now_ms)?;
    let before = height.saturating_sub(1);
    let timestamp = chain.timestamp_ns(height);
    let header = json!({
        "height": height, "hash": chain.hash(height),
        "prev_height": before, "prev_hash": chain.hash(before),
        "timestamp": timestamp, "timestamp_nanosec": timestamp.to_string(),
        "last_final_block": chain.hash(height.saturating_sub(3)), "last_ds_final_block": chain.hash(height.saturating_sub(2)),
        "chunks_included": 1, "gas_price": "100000000", "latest_protocol_version": 80,
    });
    Ok(json!({"author": "fake-relay.near", "header": header, "chunks": []}))
}

fn status(chain: &Chain, network: &str, now_ms: u64) -> Value {
    let height = chain.head(now_ms);
    let at = i64::try_from(chain.timestamp_ms(height)).ok().and_then(DateTime::from_timestamp_millis);
    json!({
        "chain_id": network, "protocol_version": 80, "latest_protocol_version": 80, "version": {"version": "fake", "build": "fake"},
        "sync_info": {
            "latest_block_hash": chain.hash(height), "latest_block_height": height,
            "latest_block_time": at.map(|at| at.to_rfc3339_opts(SecondsFormat::Nanos, true)), "syncing": false,
        },
    })
}

fn query(state: &State, contract: &str, params: &Value, now_ms: u64) -> Result<Value, Failure> {
    let field = |name: &str| {
        let text = params.get(name).and_then(Value::as_str);
        text.ok_or_else(|| Failure::Parse(format!("Failed parsing args: missing field `{name}`")))
    };
    if field("request_type")? != "call_function" {
        return Err(Failure::Parse("Failed parsing args: this node answers call_function only".into()));
    }
    let height = height(&state.chain, params, now_ms)?;
    let account = field("account_id")?;
    if account != contract {
        let text = format!("account {account} does not exist while viewing");
        return Err(Failure::Handler { cause: "UNKNOWN_ACCOUNT", text });
    }
    let args = STANDARD.decode(field("args_base64")?);
    let args = args.map_err(|error| Failure::Parse(format!("Failed parsing args: {error}")))?;
    let args: Value = if args.is_empty() { json!({}) } else { serde_json::from_slice(&args).unwrap_or(Value::Null) };
    let (block_hash, logs) = (state.chain.hash(height), json!([]));
    Ok(match view(state, field("method_name")?, &args, height) {
        Ok(value) => {
            let bytes = value.to_string().into_bytes();
            json!({"result": bytes, "logs": logs, "block_height": height, "block_hash": block_hash})
        }
        // nearcore keeps this shape for calls that fail inside the contract: a result with an error in it.
        Err(text) => {
            let error = format!("wasm execution failed with error: {text}");
            json!({"error": error, "logs": logs, "block_height": height, "block_hash": block_hash})
        }
    })
}

/// The contract's views.
fn view(state: &State, method: &str, args: &Value, height: u64) -> Result<Value, String> {
    let text =
        |name: &str| args.get(name).and_then(Value::as_str).ok_or_else(|| panicked(&format!("missing field `{name}`")));
    let account = || text("account_id").map(|id| state.accounts.get(id));
    match method {
        "current_salt" => Ok(json!(hex::encode(state.chain.current_salt(height)))),
        "is_valid_salt" => {
            let salt = hex::decode(text("salt")?).ok().and_then(|bytes| bytes.try_into().ok());
            let salt: [u8; 4] = salt.ok_or_else(|| panicked("invalid salt"))?;
            Ok(json!(state.chain.salt_is_valid(salt, height)))
        }
        "is_nonce_used" => {
            let nonce = text("nonce")?;
            let bytes = STANDARD.decode(nonce).ok().filter(|bytes| bytes.len() == 32);
            bytes.ok_or_else(|| panicked("invalid nonce"))?;
            let used = state.nonces_used.get(&(text("account_id")?.to_owned(), nonce.to_owned()));
            Ok(json!(used.is_some_and(|from| *from <= height)))
        }
        "mt_balance_of" => {
            let asset = text("token_id")?;
            Ok(json!(account()?.map_or(0, |account| account.balance(asset, height)).to_string()))
        }
        "mt_batch_balance_of" => {
            let assets =
                args.get("token_ids").and_then(Value::as_array).ok_or_else(|| panicked("missing field `token_ids`"))?;
            let account = account()?;
            let balance = |asset: &Value| {
                let asset = asset.as_str().ok_or_else(|| panicked("invalid type: token_ids"))?;
                Ok(json!(account.map_or(0, |account| account.balance(asset, height)).to_string()))
            };
            assets.iter().map(balance).collect::<Result<Vec<_>, String>>().map(Value::Array)
        }
        "public_keys_of" => Ok(json!(account()?.map(|account| account.key_texts.clone()).unwrap_or_default())),
        "has_public_key" => {
            let key = text("public_key")?.to_owned();
            Ok(json!(account()?.is_some_and(|account| account.key_texts.contains(&key))))
        }
        // The protocol fee, in millionths.
        "fee" => Ok(json!(1)),
        _ => Err("MethodResolveError(MethodNotFound)".into()),
    }
}

fn panicked(text: &str) -> String {
    format!("Smart contract panicked: Failed to deserialize input from JSON: {text}")
}
