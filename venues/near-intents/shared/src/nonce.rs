//! The verifier contract's versioned nonce: `5628f6c6 ‖ 00 ‖ salt[4] ‖ deadline i64 LE nanoseconds ‖ 15 bytes`.

use sha2::{Digest, Sha256};

const MAGIC: [u8; 4] = [0x56, 0x28, 0xf6, 0xc6];
const VERSION: u8 = 0;

/// The contract's current salt.
pub type Salt = [u8; 4];

/// The nonce of a command: the same command and salt give the same nonce, so an answer can take effect only once.
pub fn versioned(salt: Salt, deadline_ns: i64, tail: [u8; 15]) -> [u8; 32] {
    let mut nonce = [0; 32];
    let parts = MAGIC.iter().chain(&[VERSION]).copied().chain(salt).chain(deadline_ns.to_le_bytes()).chain(tail);
    for (to, from) in nonce.iter_mut().zip(parts) {
        *to = from;
    }
    nonce
}

/// Until when the contract takes a nonce, in nanoseconds since the epoch; none if it is not versioned.
pub fn expiry_ns(nonce: &[u8; 32]) -> Option<u64> {
    let (head, rest) = nonce.split_first_chunk::<5>()?;
    if head.split_last() != Some((&VERSION, &MAGIC)) {
        return None;
    }
    let (deadline, _) = rest.get(4..)?.split_first_chunk::<8>()?;
    u64::try_from(i64::from_le_bytes(*deadline)).ok()
}

/// The first 15 bytes of SHA-256 of the idempotency key.
pub fn tail(idempotency_key: &str) -> [u8; 15] {
    let mut tail = [0; 15];
    for (to, from) in tail.iter_mut().zip(Sha256::digest(idempotency_key)) {
        *to = from;
    }
    tail
}

/// Reads a salt as the contract writes it: eight hex digits.
pub fn parse_salt(text: &str) -> Option<Salt> {
    let mut salt = [0; 4];
    hex::decode_to_slice(text, &mut salt).ok().map(|()| salt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn the_contract_s_layout() {
        let mut random = [0; 15];
        hex::decode_to_slice("027015ec13dc11864973138fe6812f", &mut random).unwrap();
        let nonce = versioned(parse_salt("252812b3").unwrap(), 2_280_047_743 * 1_000_000_000, random);
        assert_eq!(hex::encode(nonce), "5628f6c600252812b300367290575ba41f027015ec13dc11864973138fe6812f");
        assert_eq!(STANDARD.encode(nonce), "Vij2xgAlKBKzADZykFdbpB8CcBXsE9wRhklzE4/mgS8=");
    }

    #[test]
    fn a_nonce_says_until_when_it_is_taken() {
        let nonce = |deadline| versioned([1; 4], deadline, [2; 15]);
        assert_eq!(expiry_ns(&nonce(1_795_341_665_123_000_000)), Some(1_795_341_665_123_000_000));
        assert_eq!(expiry_ns(&nonce(-1)), None);
        assert_eq!(expiry_ns(&[0; 32]), None);
        let mut other = nonce(1);
        other[4] = 1;
        assert_eq!(expiry_ns(&other), None);
    }

    #[test]
    fn the_tail_of_the_records() {
        let key = "near-intents/solver.near/00000000-0000-0000-0000-0000000000aa";
        assert_eq!(hex::encode(tail(key)), "5031e01c11dea5ccd7de9f80e8dfea");
    }

    #[test]
    fn a_salt_is_eight_hex_digits() {
        for text in ["", "252812b", "252812b3ff", "252812bg", "0x252812"] {
            assert_eq!(parse_salt(text), None, "{text}");
        }
    }
}
