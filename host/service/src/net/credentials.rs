//! Credentials: files named by slots. Their content goes into requests and nowhere else, least of all into a log.
//!
//! One rule for every role and transport: the configuration's own headers may use every configured slot, a module's
//! headers and digests only those that it was granted; where both set a header, the configuration's counts.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue as WireValue};

use super::{Header, HeaderValue};
use crate::config::CredentialSlots;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Longest credential in bytes: far above any token.
const CREDENTIAL_BYTES_MAX: u64 = 64 * 1_024;

/// The slots of the configuration, and which of them a module was granted.
#[derive(Clone, Default)]
pub struct Credentials {
    slots: CredentialSlots,
    granted: BTreeSet<String>,
}

/// A credential or header that cannot be used. No variant ever holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The slot is not configured or not granted.
    #[error(
        "credential slot `{0}` is not configured or not granted; add [credentials.{0}] and module.grants.credential"
    )]
    Slot(String),
    /// The file cannot be read, or does not hold a secret in visible ASCII.
    #[error("credential slot `{slot}`: {file} cannot be used: {reason}")]
    File {
        /// The slot.
        slot: String,
        /// Its file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The header's name or the value's characters are not allowed in HTTP.
    #[error("header `{0}` has a name or a value that HTTP does not allow")]
    Header(String),
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.slots.keys()).finish()
    }
}

impl Credentials {
    /// The configured slots, of which a module may use `granted`.
    pub fn new(slots: &CredentialSlots, granted: &[String]) -> Self {
        Self { slots: slots.clone(), granted: granted.iter().cloned().collect() }
    }

    /// The content of a slot that the module was granted, read now: a rotated file counts from the next connect on.
    ///
    /// # Errors
    /// The slot is unknown or not granted, or its file cannot be used.
    pub fn read(&self, slot: &str) -> Result<String, CredentialError> {
        if !self.granted.contains(slot) {
            return Err(CredentialError::Slot(slot.to_owned()));
        }
        self.read_any(slot)
    }

    fn read_any(&self, slot: &str) -> Result<String, CredentialError> {
        let file = &self.slots.get(slot).ok_or_else(|| CredentialError::Slot(slot.to_owned()))?.file;
        let failed =
            |reason: String| CredentialError::File { slot: slot.to_owned(), file: file.display().to_string(), reason };
        let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
        if length > CREDENTIAL_BYTES_MAX {
            return Err(failed(format!("{length} bytes are more than {CREDENTIAL_BYTES_MAX}")));
        }
        let bytes = std::fs::read(file).map_err(|error| failed(error.to_string()))?;
        secret(&bytes).map_err(failed)
    }

    /// The headers of a request or handshake with their values filled in, marked as sensitive where a slot is in them.
    ///
    /// # Errors
    /// A slot cannot be read, or a header is not valid HTTP.
    pub fn fill(&self, configured: &[Header], of_module: &[Header]) -> Result<HeaderMap, CredentialError> {
        let mut filled = HeaderMap::new();
        fill(&mut filled, of_module, |slot| self.read(slot))?;
        // Last, so that no module changes what the operator sends.
        fill(&mut filled, configured, |slot| self.read_any(slot))?;
        Ok(filled)
    }
}

fn fill(
    filled: &mut HeaderMap,
    headers: &[Header],
    read: impl Fn(&str) -> Result<String, CredentialError>,
) -> Result<(), CredentialError> {
    for header in headers {
        let (text, secret) = match &header.value {
            HeaderValue::Plain(text) => (text.clone(), false),
            HeaderValue::Credential(slot) => (read(slot)?, true),
            HeaderValue::Bearer(slot) => (format!("Bearer {}", read(slot)?), true),
            HeaderValue::Basic((user, password)) => {
                (format!("Basic {}", STANDARD.encode(format!("{}:{}", read(user)?, read(password)?))), true)
            }
        };
        let invalid = || CredentialError::Header(header.name.clone());
        let name = HeaderName::try_from(header.name.as_str()).map_err(|_| invalid())?;
        let mut value = WireValue::try_from(text).map_err(|_| invalid())?;
        value.set_sensitive(secret);
        filled.insert(name, value);
    }
    Ok(())
}

/// The secret in a file: visible ASCII (spaces within it are allowed). A byte order mark at the beginning and white space
/// around it are what editors leave, and are cut; anything else would be sent and refused by the venue without a hint.
/// The error names position and kind of what is wrong, never the value.
fn secret(bytes: &[u8]) -> Result<String, String> {
    let start = bytes.len() - bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).len();
    let rest = bytes.get(start..).unwrap_or_default();
    let start = start + rest.len() - rest.trim_ascii_start().len();
    let rest = rest.trim_ascii();
    if rest.is_empty() {
        return Err("it is empty".to_owned());
    }
    let Some(at) = rest.iter().position(|byte| !(b' '..=b'~').contains(byte)) else {
        return Ok(rest.iter().map(|byte| char::from(*byte)).collect());
    };
    let what = match rest.get(at..).unwrap_or_default() {
        [b'\r', ..] => "a carriage return",
        [b'\n', ..] => "a line break",
        [0xef, 0xbb, 0xbf, ..] => "a byte order mark",
        [0xe2, 0x80, 0x8b..=0x8f, ..] | [0xe2, 0x81, 0xa0, ..] => "an invisible character (zero-width)",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "the mark of a UTF-16 file",
        [byte, ..] if byte.is_ascii() => "a control character",
        _ => "a character outside ASCII",
    };
    let position = start + at;
    Err(format!(
        "byte {position} is {what}; write the secret again as one line of visible ASCII, without a byte order mark"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigPath, CredentialSlot};

    fn credentials(dir: &std::path::Path, granted: &[&str]) -> Credentials {
        let slot = |name: &str| (name.to_owned(), CredentialSlot { file: ConfigPath::new(dir.join(name)) });
        let slots = ["user", "token", "empty", "absent", "lines"].map(slot).into_iter().collect();
        Credentials::new(&slots, &granted.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn header(value: HeaderValue) -> Vec<Header> {
        vec![Header { name: "authorization".into(), value }]
    }

    #[test]
    fn fills_headers_and_never_shows_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [("user", "me"), ("token", " s3cret\n"), ("empty", "\n"), ("lines", "a\nb")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let slots = credentials(dir.path(), &["user", "token", "empty", "absent", "lines"]);
        for (value, expected) in [
            (HeaderValue::Bearer("token".into()), "Bearer s3cret"),
            (HeaderValue::Credential("token".into()), "s3cret"),
            (HeaderValue::Basic(("user".into(), "token".into())), "Basic bWU6czNjcmV0"),
        ] {
            let filled = slots.fill(&[], &header(value)).unwrap();
            assert_eq!(filled["authorization"].to_str().unwrap(), expected);
            assert!(!format!("{filled:?}{slots:?}").contains("s3cret"));
        }
        for (slot, reason) in [
            ("empty", "it is empty"),
            ("absent", "absent cannot be used"),
            ("other", "not configured"),
            ("lines", "byte 1 is a line break"),
        ] {
            let error = slots.fill(&[], &header(HeaderValue::Bearer(slot.into()))).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn knows_no_slot_that_was_not_granted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "x").unwrap();
        assert!(matches!(credentials(dir.path(), &["user"]).read("token"), Err(CredentialError::Slot(_))));
    }

    #[test]
    fn cuts_what_editors_leave_and_refuses_what_cannot_be_seen() {
        for text in ["tok-1", "\u{feff}tok-1", "\u{feff}tok-1\r\n", "  tok-1\r\n\r\n", "\ttok-1 "] {
            assert_eq!(secret(text.as_bytes()).as_deref(), Ok("tok-1"), "{text:?}");
        }
        assert_eq!(secret(b"two words\n").as_deref(), Ok("two words"));
        for (bytes, expected) in [
            ("tok\u{200b}-1".as_bytes(), "byte 3 is an invisible character"),
            ("\u{200b}tok-1".as_bytes(), "byte 0 is an invisible character"),
            ("\u{feff}\u{feff}tok-1".as_bytes(), "byte 3 is a byte order mark"),
            (b"tok\r-1", "byte 3 is a carriage return"),
            (b" tok\x00-1", "byte 4 is a control character"),
            ("t\u{f6}k-1".as_bytes(), "byte 1 is a character outside ASCII"),
            (b"\xff\xfet\x00o\x00k\x00", "byte 0 is the mark of a UTF-16 file"),
            (b"\xef\xbb\xbf \n", "it is empty"),
        ] {
            let error = secret(bytes).unwrap_err();
            assert!(error.contains(expected) && !error.contains("tok"), "{error}");
        }
    }

    #[test]
    fn names_the_file_of_a_secret_that_cannot_be_used() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "s3cret\u{200b}").unwrap();
        let error = credentials(dir.path(), &["token"]).read("token").unwrap_err().to_string();
        let file = dir.path().join("token").display().to_string();
        assert!(error.contains(&file) && error.contains("byte 6") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn lets_the_configuration_use_every_slot_and_have_the_last_word() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "of-the-operator").unwrap();
        let slots = credentials(dir.path(), &[]);
        let configured = header(HeaderValue::Credential("token".into()));
        let filled = slots.fill(&configured, &header(HeaderValue::Plain("of-the-module".into()))).unwrap();
        assert_eq!(filled["authorization"], "of-the-operator");
        assert!(matches!(slots.fill(&[], &configured), Err(CredentialError::Slot(_))));
    }
}
