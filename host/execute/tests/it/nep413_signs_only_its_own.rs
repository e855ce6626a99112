//! The NEP-413 signer signs well-formed bytes of its own account, and nothing else. The known vector is tried by the venue.

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use unrip_execute::signer::{Nep413Signer, SignError, Signer};

const TAG: u32 = 2_147_484_061;

const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const MESSAGE: &str = r#"{"signer_id":"trader.test","deadline":"2042-04-02T10:35:43.000Z","intents":[]}"#;
const RECIPIENT: &str = "verifier.test";
const NONCE: &str = "5628f6c600252812b300367290575ba41f027015ec13dc11864973138fe6812f";

fn signer() -> Nep413Signer {
    let seed = hex::decode(SEED).unwrap().try_into().unwrap();
    Nep413Signer::new("main", "trader.test", RECIPIENT, &seed)
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

#[test]
fn signs_the_hash_of_what_it_is_given() {
    let unsigned = pre_image(TAG, MESSAGE, RECIPIENT, &[0]);
    let signed = signer().sign(&unsigned).unwrap();
    let seed = hex::decode(SEED).unwrap().try_into().unwrap();
    let key = SigningKey::from_bytes(&seed);
    assert_eq!(signed.public_key, key.verifying_key().to_bytes());
    assert_eq!(signed.signature, key.sign(&Sha256::digest(&unsigned)).to_bytes());
}

#[test]
fn refuses_everything_else() {
    let other_account = MESSAGE.replace("trader.test", "other.test");
    let good = pre_image(TAG, MESSAGE, RECIPIENT, &[0]);
    for (name, bytes) in [
        ("empty", vec![]),
        ("tag", pre_image(TAG + 1, MESSAGE, RECIPIENT, &[0])),
        ("account", pre_image(TAG, &other_account, RECIPIENT, &[0])),
        ("not json", pre_image(TAG, "pay me", RECIPIENT, &[0])),
        ("no signer", pre_image(TAG, "{}", RECIPIENT, &[0])),
        ("recipient", pre_image(TAG, MESSAGE, "other.test", &[0])),
        ("callback", pre_image(TAG, MESSAGE, RECIPIENT, &[1, 0, 0, 0, 0])),
        ("trailing", pre_image(TAG, MESSAGE, RECIPIENT, &[0, 0])),
        ("truncated", good[..good.len() - 1].to_vec()),
        ("hash of it", Sha256::digest(&good).to_vec()),
    ] {
        assert!(matches!(signer().sign(&bytes), Err(SignError::Refused { .. })), "{name}");
    }
}
