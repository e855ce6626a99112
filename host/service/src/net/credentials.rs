//! Credentials: files named by slots. Their content goes into requests and nowhere else, least of all into a log.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue as WireValue};

use super::{Header, HeaderValue};
use crate::config::CredentialSlots;

/// Longest credential in bytes: far above any token.
const CREDENTIAL_BYTES_MAX: u64 = 64 * 1_024;

/// The slots of the configuration that a module was granted. Cheap to clone.
#[derive(Clone, Default)]
pub struct Credentials {
    slots: CredentialSlots,
}

/// A credential or header that cannot be used. No variant ever holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The slot is not configured or not granted.
    #[error(
        "credential slot `{0}` is not configured or not granted; add [credentials.{0}] and module.grants.credential"
    )]
    Slot(String),
    /// The file cannot be read.
    #[error("credential slot `{slot}`: {file} cannot be read: {reason}")]
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
    /// The configured slots, of which only `granted` exist.
    pub fn new(slots: &CredentialSlots, granted: &[String]) -> Self {
        let slots = slots.iter().filter(|(name, _)| granted.contains(name));
        Self { slots: slots.map(|(name, slot)| (name.clone(), slot.clone())).collect() }
    }

    /// All configured slots, for what the configuration itself asks for.
    pub fn all(slots: &CredentialSlots) -> Self {
        Self { slots: slots.clone() }
    }

    /// The content of a slot, read now: a rotated file counts from the next connect on.
    ///
    /// # Errors
    /// The slot is unknown, or its file cannot be read.
    pub fn read(&self, slot: &str) -> Result<String, CredentialError> {
        let file = &self.slots.get(slot).ok_or_else(|| CredentialError::Slot(slot.to_owned()))?.file;
        let failed =
            |reason: String| CredentialError::File { slot: slot.to_owned(), file: file.display().to_string(), reason };
        let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
        if length > CREDENTIAL_BYTES_MAX {
            return Err(failed(format!("{length} bytes are more than {CREDENTIAL_BYTES_MAX}")));
        }
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        match text.trim() {
            "" => Err(failed("it is empty".to_owned())),
            secret => Ok(secret.to_owned()),
        }
    }

    /// The headers with their values filled in, marked as sensitive where a slot is in them.
    ///
    /// # Errors
    /// A slot cannot be read, or a header is not valid HTTP.
    pub fn fill(&self, headers: &[Header]) -> Result<HeaderMap, CredentialError> {
        let mut filled = HeaderMap::new();
        for header in headers {
            let (text, secret) = match &header.value {
                HeaderValue::Plain(text) => (text.clone(), false),
                HeaderValue::Credential(slot) => (self.read(slot)?, true),
                HeaderValue::Bearer(slot) => (format!("Bearer {}", self.read(slot)?), true),
                HeaderValue::Basic((user, password)) => {
                    let pair = format!("{}:{}", self.read(user)?, self.read(password)?);
                    (format!("Basic {}", STANDARD.encode(pair)), true)
                }
            };
            let invalid = || CredentialError::Header(header.name.clone());
            let name = HeaderName::try_from(header.name.as_str()).map_err(|_| invalid())?;
            let mut value = WireValue::try_from(text).map_err(|_| invalid())?;
            value.set_sensitive(secret);
            filled.insert(name, value);
        }
        Ok(filled)
    }
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
            let filled = slots.fill(&header(value)).unwrap();
            assert_eq!(filled["authorization"].to_str().unwrap(), expected);
            assert!(!format!("{filled:?}{slots:?}").contains("s3cret"));
        }
        for (slot, reason) in [
            ("empty", "it is empty"),
            ("absent", "absent cannot be read"),
            ("other", "not configured"),
            ("lines", "HTTP does not allow"),
        ] {
            let error = slots.fill(&header(HeaderValue::Bearer(slot.into()))).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn knows_no_slot_that_was_not_granted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "x").unwrap();
        assert!(matches!(credentials(dir.path(), &["user"]).read("token"), Err(CredentialError::Slot(_))));
    }
}
