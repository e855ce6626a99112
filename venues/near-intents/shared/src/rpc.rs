//! What we say to the relay and to a NEAR node: JSON-RPC requests.

use serde::Serialize;
use serde_json::{Value, json};

/// A request to the relay.
#[derive(Serialize)]
struct Request<'a, P> {
    jsonrpc: &'static str,
    id: u64,
    method: &'a str,
    params: P,
}

/// A JSON-RPC request to the relay as text.
pub fn request<P: Serialize>(id: u64, method: &str, params: P) -> String {
    // Strings, numbers and maps with string keys always serialise.
    serde_json::to_string(&Request { jsonrpc: "2.0", id, method, params }).unwrap_or_default()
}

/// `subscribe` to a stream, maybe with a filter of tokens.
pub fn subscribe(id: u64, stream: &str, filter: Option<&Value>) -> String {
    match filter {
        Some(filter) => request(id, "subscribe", json!([stream, filter])),
        None => request(id, "subscribe", [stream]),
    }
}
