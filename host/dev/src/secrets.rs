//! Secrets of a development run: made where they are missing, readable by the owner only, never printed.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ed25519_dalek::SigningKey;

use unrip_operate::error::Error;

/// The content of a credential file; a fresh random token where there is none.
///
/// # Errors
/// The file cannot be read or written.
pub(super) fn token(file: &Path) -> Result<String, Error> {
    existing_or(file, || Ok(hex::encode(random()?)))
}

/// The public key, `ed25519:<base58>`, of a key file; a fresh key where there is none.
///
/// # Errors
/// The file cannot be read or written, or holds no key.
pub(super) fn public_key(file: &Path) -> Result<String, Error> {
    let text = existing_or(file, || Ok(format!("ed25519:{}", bs58::encode(random()?).into_string())))?;
    let seed = seed(&text).ok_or_else(|| Error::Usage(format!("{}: not a key this can read", file.display())))?;
    let public = SigningKey::from_bytes(&seed).verifying_key();
    Ok(format!("ed25519:{}", bs58::encode(public.as_bytes()).into_string()))
}

/// `ed25519:` and base58 of seed or key pair, or the seed in hex.
fn seed(text: &str) -> Option<[u8; 32]> {
    let bytes = match text.strip_prefix("ed25519:") {
        Some(base58) => bs58::decode(base58).into_vec().ok()?,
        None => hex::decode(text).ok()?,
    };
    bytes.get(..32)?.try_into().ok()
}

fn existing_or(file: &Path, make: impl FnOnce() -> Result<String, Error>) -> Result<String, Error> {
    if file.exists() {
        let text = std::fs::read_to_string(file).map_err(Error::file(format!("cannot read {}", file.display())))?;
        return Ok(text.trim().to_owned());
    }
    let text = make()?;
    write(file, &text).map_err(Error::file(format!("cannot write {}", file.display())))?;
    Ok(text)
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(file, "{text}")
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Error::Software(format!("no randomness: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn makes_secrets_once_and_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let (key, slot) = (dir.path().join("secrets/key"), dir.path().join("secrets/token"));
        assert_eq!(public_key(&key).unwrap(), public_key(&key).unwrap());
        assert_eq!(token(&slot).unwrap(), token(&slot).unwrap());
        for file in [key, slot] {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn takes_keys_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        // RFC 8032, test 1.
        std::fs::write(&file, "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60\n").unwrap();
        assert_eq!(public_key(&file).unwrap(), "ed25519:FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z");
        std::fs::write(&file, "nonsense").unwrap();
        assert!(public_key(&file).is_err());
    }
}
