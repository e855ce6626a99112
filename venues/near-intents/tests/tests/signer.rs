//! The host's NEP-413 signer makes the signature that the venue notes know for a published seed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "helpers of tests fail a test by panicking and say what they do"
)]

use sha2::{Digest, Sha256};
use unrip_execute::signer::{Nep413Signer, Signer};

const TAG: u32 = 2_147_484_061;

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const MESSAGE: &str = r#"{"signer_id":"solver.near","deadline":"2042-04-02T10:35:43.000Z","intents":[{"intent":"token_diff","diff":{"nep141:wrap.near":"1000000000000000000000000","nep141:usdt.tether-token.near":"-2500000"}}]}"#;
const RECIPIENT: &str = "intents.near";
const NONCE: &str = "5628f6c600252812b300367290575ba41f027015ec13dc11864973138fe6812f";

/// What NEP-413 has signed: without a callback.
fn pre_image() -> Vec<u8> {
    let sized = |text: &str| [&(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    [TAG.to_le_bytes().to_vec(), sized(MESSAGE), hex::decode(NONCE).unwrap(), sized(RECIPIENT), vec![0]].concat()
}

/// The known-seed vector of the venue notes (RFC 8032 test 1's seed).
#[test]
fn makes_the_known_signature() {
    let unsigned = pre_image();
    assert_eq!(unsigned.len(), 257);
    assert_eq!(
        hex::encode(Sha256::digest(&unsigned)),
        "7440f2ea0f33d10ed401f48091910c1155186195b7b97712c7ae0abb0d5fcf82"
    );
    let seed = hex::decode(SEED).unwrap().try_into().unwrap();
    let signed = Nep413Signer::new("main", "solver.near", RECIPIENT, &seed).sign(&unsigned).unwrap();
    assert_eq!(bs58::encode(&signed.public_key).into_string(), "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z");
    assert_eq!(
        bs58::encode(&signed.signature).into_string(),
        "5Q5iYbjS1oJRos2s7DAjUirLJaDfh76nVXVNsoMg1CRLsgQs1vCW6Q7tDMqz7CKc2QSHoKe1KMbE9u6EedNaCH2f"
    );
}
