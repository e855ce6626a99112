//! Secrets of a development run: made where they are missing, readable by the owner only, never printed.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use serde::Serialize;

use crate::config::{SignerKey, credential_files, signer_keys};
use unrip_operate::error::Error;
use unrip_operate::venue::Venue;

/// The secrets of a venue, as its fake needs them.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// By the name of the credential.
    pub credentials: BTreeMap<String, String>,
    /// The accounts that are signed for.
    pub accounts: Vec<Account>,
    /// One line for each file, for people: where it is and what is in it, never the secret.
    pub files: Vec<String>,
}

/// An account and the public key of its signer.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    account: String,
    scheme: String,
    public_key: String,
}

/// The secrets that a venue's description names; those that are missing under `dir` are made.
///
/// # Errors
/// A secret cannot be read or written, or a key of its scheme cannot be made here.
pub(crate) fn of_venue(venue: &Venue, dir: &Path) -> Result<Secrets, Error> {
    let mut secrets = Secrets::default();
    for (name, file) in credential_files(venue) {
        let file = dir.join(file);
        let is_new = !file.exists();
        secrets.credentials.insert(name.clone(), token(&file)?);
        secrets.files.push(format!("{} ({}): the credential `{name}`, one line of text", file.display(), age(is_new)));
    }
    for SignerKey { account, scheme, file } in signer_keys(venue) {
        let file = dir.join(file);
        let is_new = !file.exists();
        let public_key = public_key(&scheme, &file)?;
        secrets.files.push(format!(
            "{} ({}): the {scheme} key of {account}, `ed25519:<base58>` or 64 hex digits; public key {public_key}",
            file.display(),
            age(is_new)
        ));
        secrets.accounts.push(Account { account, scheme, public_key });
    }
    Ok(secrets)
}

fn age(is_new: bool) -> &'static str {
    if is_new { "made now" } else { "found" }
}

/// The content of a credential file; a fresh random token where there is none.
///
/// # Errors
/// The file cannot be read or written.
fn token(file: &Path) -> Result<String, Error> {
    existing_or(file, || Ok(hex::encode(random()?)))
}

/// The public key of a key file, in the text form of its scheme; a fresh key where there is none.
///
/// # Errors
/// The file cannot be read or written, holds no key, or the scheme is not known here.
fn public_key(scheme: &str, file: &Path) -> Result<String, Error> {
    if scheme != "nep413" {
        return Err(Error::Usage(format!("{}: there is no key maker for the scheme `{scheme}`", file.display())));
    }
    let text = existing_or(file, || Ok(format!("ed25519:{}", bs58::encode(random()?).into_string())))?;
    let seed = seed(&text).ok_or_else(|| {
        Error::Usage(format!("{}: not a key: write `ed25519:<base58>` or 64 hex digits", file.display()))
    })?;
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

/// Writes a file that holds secrets, over what an earlier run left there.
pub(super) fn write_again(file: &Path, text: &str) -> std::io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write(file, text)
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
        assert_eq!(public_key("nep413", &key).unwrap(), public_key("nep413", &key).unwrap());
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
        assert_eq!(public_key("nep413", &file).unwrap(), "ed25519:FVen3X669xLzsi6N2V91DoiyzHzg1uAgqiT8jZ9nS96Z");
        std::fs::write(&file, "nonsense").unwrap();
        assert!(public_key("nep413", &file).is_err());
        assert!(public_key("eip712", &file).unwrap_err().to_string().contains("eip712"));
    }
}
