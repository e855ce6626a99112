//! The signed answer as the relay takes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::intent::{Command, Fixed};
use crate::nep413::Message;
use crate::{Reason, rpc};

/// Bytes of an ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of an ed25519 signature.
const SIGNATURE_BYTES: usize = 64;

#[derive(Serialize)]
struct QuoteResponse<'a> {
    quote_id: &'a str,
    quote_output: QuoteOutput<'a>,
    signed_data: SignedData,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum QuoteOutput<'a> {
    AmountIn(&'a str),
    AmountOut(&'a str),
}

#[derive(Serialize)]
struct SignedData {
    standard: &'static str,
    payload: Payload,
    public_key: String,
    signature: String,
}

#[derive(Serialize)]
struct Payload {
    recipient: String,
    nonce: String,
    message: String,
}

/// The `quote_response` request for the unsigned bytes and their signature.
pub fn quote_response(
    command: &Command,
    unsigned: &[u8],
    public_key: &[u8],
    signature: &[u8],
    request_id: u64,
) -> Result<String, Reason> {
    if public_key.len() != PUBLIC_KEY_BYTES || signature.len() != SIGNATURE_BYTES {
        let lengths = format!("{} and {} bytes are no ed25519 key and signature", public_key.len(), signature.len());
        return Err(Reason::new("signature_invalid", lengths));
    }
    let Message { message, nonce, recipient, callback_url } =
        Message::parse(unsigned).map_err(|error| Reason::new("unsigned_invalid", error.to_string()))?;
    if callback_url.is_some() {
        return Err(Reason::new("unsigned_invalid", "a callback is signed, which the relay has no field for"));
    }
    // The relay is sent only what the taker left open.
    let quote_output = match command.fixed {
        None | Some(Fixed::In) => QuoteOutput::AmountOut(&command.amount_out),
        Some(Fixed::Out) => QuoteOutput::AmountIn(&command.amount_in),
    };
    let response = QuoteResponse {
        quote_id: &command.quote_id,
        quote_output,
        signed_data: SignedData {
            standard: crate::nep413::SCHEME,
            payload: Payload { recipient, nonce: STANDARD.encode(nonce), message },
            public_key: ed25519_text(public_key),
            signature: ed25519_text(signature),
        },
    };
    Ok(rpc::request(request_id, "quote_response", [response]))
}

/// `ed25519:` and base58, as NEAR writes keys and signatures.
pub fn ed25519_text(bytes: &[u8]) -> String {
    format!("ed25519:{}", bs58::encode(bytes).into_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::tests::command;
    use serde_json::Value;

    fn response(command: &Command) -> Value {
        let unsigned = command.message("intents.near", [1, 2, 3, 4]).unwrap().pre_image().unwrap();
        serde_json::from_str(&quote_response(command, &unsigned, &[7; 32], &[9; 64], 42).unwrap()).unwrap()
    }

    #[test]
    fn says_the_amount_that_the_taker_left_open() {
        let given_in = response(&command());
        assert_eq!(given_in["params"][0]["quote_output"], serde_json::json!({"amount_out": "2495000"}));
        let given_out = response(&Command { fixed: Some(Fixed::Out), ..command() });
        assert_eq!(
            given_out["params"][0]["quote_output"],
            serde_json::json!({"amount_in": "1000000000000000000000000"})
        );
    }

    #[test]
    fn carries_the_signed_message_byte_for_byte() {
        let value = response(&command());
        let message = command().message("intents.near", [1, 2, 3, 4]).unwrap();
        let signed = &value["params"][0]["signed_data"];
        assert_eq!((&value["id"], &value["method"]), (&42.into(), &"quote_response".into()));
        assert_eq!(signed["payload"]["message"], message.message.as_str());
        assert_eq!(signed["payload"]["nonce"], STANDARD.encode(message.nonce));
        assert_eq!(signed["standard"], "nep413");
        assert!(signed["public_key"].as_str().unwrap().starts_with("ed25519:"));
    }

    #[test]
    fn refuses_bytes_that_are_no_pre_image_and_odd_signatures() {
        assert_eq!(quote_response(&command(), b"x", &[7; 32], &[9; 64], 1).unwrap_err().code, "unsigned_invalid");
        let unsigned = command().message("intents.near", [0; 4]).unwrap().pre_image().unwrap();
        assert_eq!(quote_response(&command(), &unsigned, &[7; 33], &[9; 64], 1).unwrap_err().code, "signature_invalid");
    }
}
