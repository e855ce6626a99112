//! Reading a key file: `ed25519:<base58>` of 32 or 64 bytes, or 64 hex digits of the seed.

use std::path::Path;

use super::SignError;

/// Largest key file that is read, in bytes.
const KEY_FILE_BYTES_MAX: u64 = 4_096;

/// The 32-byte seed of an Ed25519 key from a file. The file's content never appears in an error.
pub fn load_seed(path: &Path) -> Result<[u8; 32], SignError> {
    let fail = |reason: String| SignError::Key { path: path.to_owned(), reason };
    let length = std::fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if length > KEY_FILE_BYTES_MAX {
        return Err(fail("too long for a key file".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    seed(text.trim())
        .ok_or_else(|| fail("not a key: expected `ed25519:` and base58 of 32 or 64 bytes, or 64 hex digits".to_owned()))
}

fn seed(text: &str) -> Option<[u8; 32]> {
    let bytes = match text.strip_prefix("ed25519:") {
        Some(base58) => bs58::decode(base58).into_vec().ok()?,
        None => hex::decode(text).ok()?,
    };
    // 64 bytes are the seed and the public key behind it, which must belong together.
    let (seed, public) = bytes.split_at_checked(32)?;
    let seed: [u8; 32] = seed.try_into().ok()?;
    let derived = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
    (public.is_empty() || public == derived.as_bytes()).then_some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED_HEX: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

    #[test]
    fn reads_hex_and_base58_and_refuses_the_rest() {
        let bytes: [u8; 32] = hex::decode(SEED_HEX).unwrap().try_into().unwrap();
        let public = ed25519_dalek::SigningKey::from_bytes(&bytes).verifying_key().to_bytes();
        let pair = [&bytes[..], &public[..]].concat();
        let wrong_pair = [&bytes[..], &[0; 32][..]].concat();
        let base58 = |bytes: &[u8]| format!("ed25519:{}", bs58::encode(bytes).into_string());
        for text in [SEED_HEX.to_owned(), base58(&bytes), base58(&pair)] {
            assert_eq!(seed(&text), Some(bytes), "{text}");
        }
        for text in ["", "ed25519:", "ed25519:0OIl", &base58(&wrong_pair), &base58(&bytes[..31]), "zz"] {
            assert_eq!(seed(text), None, "{text}");
        }
    }
}
