//! NEP-413 and versioned nonces, written from the specification and apart from the product's own code: the separate check.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::refusal::Refusal;

/// 2^31 + 413, the tag that keeps a signed message from ever being a transaction.
const TAG: u32 = 2_147_484_061;

const NONCE_MAGIC: [u8; 4] = [0x56, 0x28, 0xf6, 0xc6];

/// The `signed_data` of an answer, decoded; nothing in it is verified yet.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) message: String,
    pub(super) nonce: [u8; 32],
    pub(super) nonce_text: String,
    pub(super) recipient: String,
    pub(super) callback_url: Option<String>,
    pub(super) public_key: [u8; 32],
    pub(super) public_key_text: String,
    pub(super) signature: [u8; 64],
}

impl Signed {
    pub(super) fn parse(signed_data: &Value) -> Result<Self, Refusal> {
        if text(signed_data, "standard")? != "nep413" {
            return Err(Refusal::params("JSON: unsupported standard"));
        }
        let payload = signed_data.get("payload").ok_or_else(|| Refusal::params("JSON: missing field `payload`"))?;
        let callback_url = match payload.get("callbackUrl") {
            None | Some(Value::Null) => None,
            Some(Value::String(url)) => Some(url.clone()),
            Some(_) => return Err(Refusal::params("JSON: callbackUrl is no string")),
        };
        let nonce_text = text(payload, "nonce")?.to_owned();
        let nonce = STANDARD.decode(&nonce_text).ok().and_then(|bytes| bytes.try_into().ok());
        let public_key_text = text(signed_data, "public_key")?.to_owned();
        Ok(Self {
            message: text(payload, "message")?.to_owned(),
            nonce: nonce.ok_or_else(|| Refusal::params("JSON: nonce is not base64 of 32 bytes"))?,
            nonce_text,
            recipient: text(payload, "recipient")?.to_owned(),
            callback_url,
            public_key: parse_key(&public_key_text).ok_or_else(|| Refusal::params("JSON: invalid public_key"))?,
            public_key_text,
            signature: prefixed_base58(text(signed_data, "signature")?)
                .ok_or_else(|| Refusal::params("JSON: invalid signature encoding"))?,
        })
    }

    /// SHA-256 of the Borsh pre-image: what is signed, and in base58 the quote hash.
    pub(super) fn hash(&self) -> [u8; 32] {
        let mut image = Vec::with_capacity(self.message.len().saturating_add(128));
        image.extend_from_slice(&TAG.to_le_bytes());
        put_string(&mut image, &self.message);
        image.extend_from_slice(&self.nonce);
        put_string(&mut image, &self.recipient);
        match &self.callback_url {
            None => image.push(0),
            Some(url) => {
                image.push(1);
                put_string(&mut image, url);
            }
        }
        Sha256::digest(&image).into()
    }

    pub(super) fn quote_hash(&self) -> String {
        bs58::encode(self.hash()).into_string()
    }

    /// The same hash as hex.
    pub(super) fn digest(&self) -> String {
        hex::encode(self.hash())
    }

    /// Whether the signature is the public key's over this very message, nonce and recipient.
    pub(super) fn signature_is_valid(&self) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        VerifyingKey::from_bytes(&self.public_key).is_ok_and(|key| key.verify_strict(&self.hash(), &signature).is_ok())
    }
}

/// What a versioned nonce says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VersionedNonce {
    pub(super) salt: [u8; 4],
    pub(super) deadline_ns: i64,
}

impl VersionedNonce {
    /// Magic, version 0, salt, deadline in nanoseconds (little endian), 15 free bytes.
    pub(super) fn parse(nonce: &[u8; 32]) -> Option<Self> {
        let rest = nonce.strip_prefix(&NONCE_MAGIC)?;
        let (0, rest) = rest.split_first().map(|(version, rest)| (*version, rest))? else { return None };
        let (salt, rest) = rest.split_first_chunk::<4>()?;
        let (deadline, _) = rest.split_first_chunk::<8>()?;
        Some(Self { salt: *salt, deadline_ns: i64::from_le_bytes(*deadline) })
    }
}

/// `ed25519:` and base58 of 32 bytes.
pub(super) fn parse_key(text: &str) -> Option<[u8; 32]> {
    prefixed_base58(text)
}

fn prefixed_base58<const N: usize>(text: &str) -> Option<[u8; N]> {
    // Base58 takes quadratic time: no longer text than the bytes can need.
    let digits = text.strip_prefix("ed25519:").filter(|digits| digits.len() <= N.saturating_mul(2))?;
    bs58::decode(digits).into_vec().ok()?.try_into().ok()
}

fn put_string(image: &mut Vec<u8>, text: &str) {
    image.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    image.extend_from_slice(text.as_bytes());
}

fn text<'a>(object: &'a Value, field: &str) -> Result<&'a str, Refusal> {
    object.get(field).and_then(Value::as_str).ok_or_else(|| Refusal::params(format!("JSON: missing field `{field}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published payloads with the verdict of a separate program; see test_data/README.md for where they are from.
    const VECTORS: &str = include_str!("../test_data/nep413_vectors.jsonl");

    #[test]
    fn published_payloads_verify_or_fail_as_known_and_hash_to_the_known_hash() {
        let mut seen = [0, 0];
        for line in VECTORS.lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let signed =
                Signed::parse(&vector["payload"]).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", vector["id"]));
            assert_eq!(signed.quote_hash(), vector["hash_b58"], "{}", vector["id"]);
            assert_eq!(signed.signature_is_valid(), vector["valid"].as_bool().unwrap(), "{}", vector["id"]);
            seen[usize::from(signed.signature_is_valid())] += 1;
        }
        assert!(seen[0] >= 1 && seen[1] >= 10, "{seen:?}");
    }

    #[test]
    fn a_changed_byte_anywhere_breaks_the_signature() {
        let vector: Value = serde_json::from_str(VECTORS.lines().nth(1).unwrap()).unwrap();
        let good = Signed::parse(&vector["payload"]).unwrap();
        assert!(good.signature_is_valid());
        let spoilt: [fn(&mut Signed); 6] = [
            |signed| signed.message.push(' '),
            |signed| signed.nonce[31] ^= 1,
            |signed| signed.recipient.push('x'),
            |signed| signed.callback_url = Some(String::new()),
            |signed| signed.signature[0] ^= 1,
            |signed| signed.public_key[0] ^= 1,
        ];
        for spoil in spoilt {
            let mut bad = good.clone();
            spoil(&mut bad);
            assert!(!bad.signature_is_valid());
        }
    }

    #[test]
    fn a_versioned_nonce_gives_salt_and_deadline_and_a_legacy_one_nothing() {
        let nonce: [u8; 32] = hex::decode("5628f6c600252812b300367290575ba41f027015ec13dc11864973138fe6812f")
            .unwrap()
            .try_into()
            .unwrap();
        let parsed = VersionedNonce::parse(&nonce).unwrap();
        assert_eq!(parsed, VersionedNonce { salt: [0x25, 0x28, 0x12, 0xb3], deadline_ns: 2_280_047_743_000_000_000 });
        assert_eq!(VersionedNonce::parse(&[7; 32]), None);
        let mut next_version = nonce;
        next_version[4] = 1;
        assert_eq!(VersionedNonce::parse(&next_version), None);
    }
}
