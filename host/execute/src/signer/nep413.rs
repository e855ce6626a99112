//! NEP-413: Ed25519 over SHA-256 of the Borsh pre-image
//! `u32 2^31+413 ‖ u32 length ‖ message ‖ nonce[32] ‖ u32 length ‖ recipient ‖ callback option`
//! (<https://github.com/near/NEPs/blob/master/neps/nep-0413.md>).

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};

use super::{SignError, Signed, Signer};

/// 2^31 + 413.
const TAG: u32 = 2_147_484_061;
const SCHEME: &str = "nep413";

/// Signs messages of one account to one recipient.
pub struct Nep413Signer {
    key_id: String,
    account: String,
    recipient: String,
    key: SigningKey,
}

impl std::fmt::Debug for Nep413Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the key.
        f.debug_struct("Nep413Signer").field("key_id", &self.key_id).field("account", &self.account).finish()
    }
}

impl Nep413Signer {
    /// A signer for `account` whose messages go to `recipient` and nobody else.
    pub fn new(key_id: &str, account: &str, recipient: &str, seed: &[u8; 32]) -> Self {
        Self {
            key_id: key_id.to_owned(),
            account: account.to_owned(),
            recipient: recipient.to_owned(),
            key: SigningKey::from_bytes(seed),
        }
    }

    fn check(&self, unsigned: &[u8]) -> Result<(), String> {
        let mut rest = unsigned;
        if take_u32(&mut rest)? != TAG {
            return Err("the tag is not NEP-413's".to_owned());
        }
        let message = take_string(&mut rest)?;
        take(&mut rest, 32)?;
        let recipient = take_string(&mut rest)?;
        if rest != [0] {
            return Err("a callback URL or trailing bytes".to_owned());
        }
        if recipient != self.recipient {
            return Err(format!("the recipient is `{recipient}`, configured is `{}`", self.recipient));
        }
        let message: serde_json::Value =
            serde_json::from_str(message).map_err(|error| format!("the message is not JSON: {error}"))?;
        match message.get("signer_id").and_then(serde_json::Value::as_str) {
            Some(signer) if signer == self.account => Ok(()),
            other => Err(format!("signer_id is {other:?}, configured is `{}`", self.account)),
        }
    }
}

impl Signer for Nep413Signer {
    fn key_id(&self) -> &str {
        &self.key_id
    }

    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn account(&self) -> &str {
        &self.account
    }

    fn sign(&self, unsigned: &[u8]) -> Result<Signed, SignError> {
        self.check(unsigned).map_err(|reason| SignError::Refused { scheme: SCHEME, reason })?;
        let signature = self.key.sign(&Sha256::digest(unsigned));
        Ok(Signed { public_key: self.key.verifying_key().to_bytes().to_vec(), signature: signature.to_bytes().to_vec() })
    }
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (head, tail) = rest.split_at_checked(length).ok_or("the bytes end too early")?;
    *rest = tail;
    Ok(head)
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, String> {
    let bytes = take(rest, 4)?;
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| "the bytes end too early".to_owned())
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Result<&'a str, String> {
    let length = take_u32(rest)? as usize;
    std::str::from_utf8(take(rest, length)?).map_err(|_| "a string is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
