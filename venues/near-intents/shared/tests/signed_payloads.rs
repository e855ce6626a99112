//! Published signed payloads: our pre-image has their hash, and the signatures verify or do not as published.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use near_intents_shared::answer::ed25519_text;
use near_intents_shared::nep413::{Message, digest};
use serde_json::Value;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

fn message(payload: &Value) -> Message {
    Message {
        message: text(payload, "message").to_owned(),
        nonce: STANDARD.decode(text(payload, "nonce")).unwrap().try_into().unwrap(),
        recipient: text(payload, "recipient").to_owned(),
        callback_url: payload["callbackUrl"].as_str().map(str::to_owned),
    }
}

fn bytes<const N: usize>(signed: &Value, name: &str) -> [u8; N] {
    let encoded = text(signed, name).strip_prefix("ed25519:").unwrap();
    bs58::decode(encoded).into_vec().unwrap().try_into().unwrap()
}

#[test]
fn hashes_and_signatures_are_as_published() {
    let (mut valid, mut refused) = (0, 0);
    for line in include_str!("../../test_data/signed_payloads.jsonl").lines() {
        let vector: Value = serde_json::from_str(line).unwrap();
        let signed = &vector["payload"];
        if text(signed, "standard") != "nep413" {
            continue;
        }
        let pre_image = message(&signed["payload"]).pre_image().unwrap();
        let hash = digest(&pre_image);
        assert_eq!(bs58::encode(hash).into_string(), text(&vector, "hash_b58"), "{}", vector["id"]);
        assert_eq!(Message::parse(&pre_image).unwrap(), message(&signed["payload"]));
        let key = VerifyingKey::from_bytes(&bytes(signed, "public_key")).unwrap();
        let verified = key.verify_strict(&hash, &Signature::from_bytes(&bytes(signed, "signature"))).is_ok();
        assert_eq!(Some(verified), vector["valid"].as_bool(), "{}", vector["id"]);
        if verified { valid += 1 } else { refused += 1 }
    }
    assert_eq!((valid, refused), (11, 1));
}

/// The seed of RFC 8032's first test, the contract's own nonce: computed for the notes, by other code than ours.
#[test]
fn a_known_seed_signs_as_computed_elsewhere() {
    let mut seed = [0; 32];
    hex::decode_to_slice("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", &mut seed).unwrap();
    let message = Message {
        message: r#"{"signer_id":"solver.near","deadline":"2042-04-02T10:35:43.000Z","intents":[{"intent":"token_diff","diff":{"nep141:wrap.near":"1000000000000000000000000","nep141:usdt.tether-token.near":"-2500000"}}]}"#.into(),
        nonce: STANDARD.decode("Vij2xgAlKBKzADZykFdbpB8CcBXsE9wRhklzE4/mgS8=").unwrap().try_into().unwrap(),
        recipient: "intents.near".into(),
        callback_url: None,
    };
    let pre_image = message.pre_image().unwrap();
    assert_eq!(pre_image.len(), 257);
    let hash = digest(&pre_image);
    assert_eq!(hex::encode(hash), "7440f2ea0f33d10ed401f48091910c1155186195b7b97712c7ae0abb0d5fcf82");
    assert_eq!(bs58::encode(hash).into_string(), "8pojaPQi3F2g2oj4ozQbE1MqirW3QkkvQo8hebgunGbB");
    let key = SigningKey::from_bytes(&seed);
    assert_eq!(ed25519_text(key.verifying_key().as_bytes()), "ed25519:FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z");
    assert_eq!(
        ed25519_text(&key.sign(&hash).to_bytes()),
        "ed25519:5Q5iYbjS1oJRos2s7DAjUirLJaDfh76nVXVNsoMg1CRLsgQs1vCW6Q7tDMqz7CKc2QSHoKe1KMbE9u6EedNaCH2f"
    );
}
