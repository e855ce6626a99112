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
    /// A signer for `account` whose messages go to `recipient` only.
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
        Ok(Signed {
            public_key: self.key.verifying_key().to_bytes().to_vec(),
            signature: signature.to_bytes().to_vec(),
        })
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
