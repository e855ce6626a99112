//! Why a service ended by itself.

use crate::config::ConfigError;
use crate::{admin, exit};

/// Why a service ended by itself; each kind has its exit code.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot be used (64).
    #[error("configuration: {0}")]
    Config(String),
    /// Something outside is not there (69).
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A bug in unrip (70).
    #[error("internal: {0}")]
    Software(String),
    /// Durable state cannot be read or written (74).
    #[error("state: {0}")]
    State(String),
    /// The module cannot be used (78).
    #[error("module: {0}")]
    Module(String),
}

impl RunError {
    /// The process's exit code for this error.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => exit::CONFIG,
            Self::Unavailable(_) => exit::UNAVAILABLE,
            Self::Software(_) => exit::SOFTWARE,
            Self::State(_) => exit::STATE,
            Self::Module(_) => exit::MODULE,
        }
    }
}

impl From<ConfigError> for RunError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<admin::AdminError> for RunError {
    fn from(error: admin::AdminError) -> Self {
        Self::Config(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_error_its_exit_code() {
        let code = |error: RunError| error.exit_code();
        assert_eq!(code(RunError::Config(String::new())), 64);
        assert_eq!(code(RunError::Unavailable(String::new())), 69);
        assert_eq!(code(RunError::Software(String::new())), 70);
        assert_eq!(code(RunError::State(String::new())), 74);
        assert_eq!(code(RunError::Module(String::new())), 78);
    }
}
