//! The NEP-413 signer: the published vector, and nothing but well-formed bytes of its own account.

use sha2::{Digest, Sha256};
use unrip_execute::signer::{Nep413Signer, SignError, Signer};

const TAG: u32 = 2_147_484_061;

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const MESSAGE: &str = r#"{"signer_id":"solver.near","deadline":"2042-04-02T10:35:43.000Z","intents":[{"intent":"token_diff","diff":{"nep141:wrap.near":"1000000000000000000000000","nep141:usdt.tether-token.near":"-2500000"}}]}"#;
const NONCE: &str = "5628f6c600252812b300367290575ba41f027015ec13dc11864973138fe6812f";

fn signer() -> Nep413Signer {
    let seed = hex::decode(SEED).unwrap().try_into().unwrap();
    Nep413Signer::new("main", "solver.near", "intents.near", &seed)
}

fn pre_image(tag: u32, message: &str, recipient: &str, tail: &[u8]) -> Vec<u8> {
    let mut bytes = tag.to_le_bytes().to_vec();
    bytes.extend((message.len() as u32).to_le_bytes());
    bytes.extend(message.as_bytes());
    bytes.extend(hex::decode(NONCE).unwrap());
    bytes.extend((recipient.len() as u32).to_le_bytes());
    bytes.extend(recipient.as_bytes());
    bytes.extend(tail);
    bytes
}

/// The known-seed vector of the venue notes (RFC 8032 test 1's seed).
#[test]
fn makes_the_known_signature() {
    let unsigned = pre_image(TAG, MESSAGE, "intents.near", &[0]);
    assert_eq!(unsigned.len(), 257);
    assert_eq!(
        hex::encode(Sha256::digest(&unsigned)),
        "7440f2ea0f33d10ed401f48091910c1155186195b7b97712c7ae0abb0d5fcf82"
    );
    let signed = signer().sign(&unsigned).unwrap();
    assert_eq!(bs58::encode(&signed.public_key).into_string(), "FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z");
    assert_eq!(
        bs58::encode(&signed.signature).into_string(),
        "5Q5iYbjS1oJRos2s7DAjUirLJaDfh76nVXVNsoMg1CRLsgQs1vCW6Q7tDMqz7CKc2QSHoKe1KMbE9u6EedNaCH2f"
    );
}

#[test]
fn refuses_everything_else() {
    let other_account = MESSAGE.replace("solver.near", "other.near");
    let good = pre_image(TAG, MESSAGE, "intents.near", &[0]);
    for (name, bytes) in [
        ("empty", vec![]),
        ("tag", pre_image(TAG + 1, MESSAGE, "intents.near", &[0])),
        ("account", pre_image(TAG, &other_account, "intents.near", &[0])),
        ("not json", pre_image(TAG, "pay me", "intents.near", &[0])),
        ("no signer", pre_image(TAG, "{}", "intents.near", &[0])),
        ("recipient", pre_image(TAG, MESSAGE, "other.near", &[0])),
        ("callback", pre_image(TAG, MESSAGE, "intents.near", &[1, 0, 0, 0, 0])),
        ("trailing", pre_image(TAG, MESSAGE, "intents.near", &[0, 0])),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("hash of it", Sha256::digest(&good).to_vec()),
    ] {
        assert!(matches!(signer().sign(&bytes), Err(SignError::Refused { .. })), "{name}");
    }
}
