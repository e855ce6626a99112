//! Keys and signatures. The only room that reaches a private key, behind one trait, ready to be its own process.
//!
//! A signer accepts only bytes that are well-formed for its scheme and act for its account: a module that prepares
//! anything else gets no signature.

mod key;
mod nep413;

use std::path::PathBuf;

use std::sync::Arc;

pub use key::load_seed;
pub use nep413::Nep413Signer;

/// A signature and the key that made it, raw bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub public_key: Vec<u8>,
    pub signature: Vec<u8>,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The bytes are not what the scheme signs, or act for another account. Nothing was signed.
    #[error("{scheme}: refused to sign: {reason}")]
    Refused {
        scheme: &'static str,
        /// What is wrong with the bytes.
        reason: String,
    },
    /// The key file cannot be used.
    #[error("{path}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The keys of this executor. Cheap to clone.
#[derive(Clone, Default)]
pub struct Signers {
    signers: Arc<[Arc<dyn Signer>]>,
}

impl std::fmt::Debug for Signers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.signers.iter().map(|signer| signer.key_id())).finish()
    }
}

impl Signers {
    /// All keys.
    pub fn new(signers: Vec<Arc<dyn Signer>>) -> Self {
        Self { signers: signers.into() }
    }

    /// The key that signs by this scheme for this account.
    pub fn find(&self, scheme: &str, account: &str) -> Option<Arc<dyn Signer>> {
        self.signers.iter().find(|signer| signer.scheme() == scheme && signer.account() == account).cloned()
    }
}

/// Signs for one account by one scheme.
pub trait Signer: Send + Sync {
    /// The key's name in the configuration.
    fn key_id(&self) -> &str;
    /// The scheme, e.g. `nep413`.
    fn scheme(&self) -> &'static str;
    /// The account that it signs for.
    fn account(&self) -> &str;
    /// Signs the unsigned bytes, or refuses. The same bytes give the same signature.
    fn sign(&self, unsigned: &[u8]) -> Result<Signed, SignError>;
}
