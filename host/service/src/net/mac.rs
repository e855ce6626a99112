//! Keyed digests over requests (HMAC, RFC 2104), for venues that authenticate so.

use sha2::{Digest, Sha256, Sha512};

/// HMAC-SHA-256.
pub(super) fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::<Sha256, 64>(key, message)
}

/// HMAC-SHA-512.
pub(super) fn hmac_sha512(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::<Sha512, 128>(key, message)
}

fn hmac<D: Digest, const BLOCK: usize>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let short = if key.len() > BLOCK { D::digest(key).to_vec() } else { key.to_vec() };
    let padded = |mask: u8| {
        let mut block = [mask; BLOCK];
        for (byte, key) in block.iter_mut().zip(&short) {
            *byte ^= key;
        }
        block
    };
    let inner = D::new().chain_update(padded(0x36)).chain_update(message).finalize();
    D::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test cases 2 and 6 of RFC 4231: a short key, and one longer than a block.
    #[test]
    fn agrees_with_rfc_4231() {
        let check = |key: &[u8], message: &[u8], sha256: &str, sha512: &str| {
            assert_eq!(hex::encode(hmac_sha256(key, message)), sha256);
            assert!(hex::encode(hmac_sha512(key, message)).starts_with(sha512));
        };
        check(
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd",
        );
        check(
            &[0xaa; 131],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352",
        );
    }
}
