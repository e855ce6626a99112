//! NEP-413: the exact bytes that a signature covers, built and read back.

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest, Sha256};

/// 2^31 + 413: a NEAR transaction can never begin so.
pub const TAG: u32 = 2_147_484_061;

/// The name of the signing scheme.
pub const SCHEME: &str = "nep413";

/// A message to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The words.
    pub message: String,
    /// Used at most once by an account.
    pub nonce: [u8; 32],
    /// The contract that it is for.
    pub recipient: String,
    /// Where a wallet would go back to; none for us.
    pub callback_url: Option<String>,
}

#[derive(BorshSerialize, BorshDeserialize)]
struct PreImage {
    tag: u32,
    message: String,
    nonce: [u8; 32],
    recipient: String,
    callback_url: Option<String>,
}

/// Bytes that are no NEP-413 pre-image.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// The bytes do not follow the layout, or go on after it.
    #[error("not a NEP-413 pre-image: {0}")]
    Layout(#[from] std::io::Error),
    /// Another message type.
    #[error("not a NEP-413 pre-image: the tag is {0}, not {TAG}")]
    Tag(u32),
}

impl Message {
    /// The Borsh pre-image from tag to callback.
    pub fn pre_image(&self) -> Result<Vec<u8>, std::io::Error> {
        borsh::to_vec(&PreImage {
            tag: TAG,
            message: self.message.clone(),
            nonce: self.nonce,
            recipient: self.recipient.clone(),
            callback_url: self.callback_url.clone(),
        })
    }

    /// Reads a pre-image. Reading and building again gives the same bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let PreImage { tag, message, nonce, recipient, callback_url } = borsh::from_slice(bytes)?;
        if tag != TAG {
            return Err(Malformed::Tag(tag));
        }
        Ok(Self { message, nonce, recipient, callback_url })
    }
}

/// SHA-256 of the pre-image: what is signed, and (in base58) the venue's hash of the quote.
pub fn digest(pre_image: &[u8]) -> [u8; 32] {
    Sha256::digest(pre_image).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_contract_s_own_vector() {
        let message = Message {
            message: "Hello, world!".into(),
            nonce: [0; 32],
            recipient: "intents.near".into(),
            callback_url: None,
        };
        let digest = digest(&message.pre_image().unwrap());
        assert_eq!(hex::encode(digest), "94648d7168d4a58d1eecd11fc2ecad210ef7cb5efce7a22d15a19e1764031f59");
    }

    proptest! {
        #[test]
        fn reads_back_what_it_builds(message: String, nonce: [u8; 32], recipient: String, callback_url: Option<String>) {
            let message = Message { message, nonce, recipient, callback_url };
            prop_assert_eq!(Message::parse(&message.pre_image().unwrap()).unwrap(), message);
        }

        #[test]
        fn builds_what_it_read_and_never_panics(tail in proptest::collection::vec(any::<u8>(), 0..200), tagged: bool) {
            let mut bytes = if tagged { TAG.to_le_bytes().to_vec() } else { vec![] };
            bytes.extend(tail);
            if let Ok(message) = Message::parse(&bytes) {
                prop_assert_eq!(message.pre_image().unwrap(), bytes);
            }
        }
    }
}
