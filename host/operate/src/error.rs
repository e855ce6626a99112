//! Why a command ended otherwise than well, and the exit codes that say so.

use unrip_service::exit as service_exit;

/// The exit codes of every command, for its `--help`.
pub const EXIT_CODES: &str = "Exit codes:
  0    all went well (also after Ctrl-C)
  10   dev, chaos: a broken promise was found
  11   dev: a service ended by itself
  64   arguments or configuration are wrong
  65   resolve: refused in the present state; nothing was changed
  69   a broker, a toolchain or a build is not to be had
  70   a bug in unrip
  74   a file cannot be read or written
  75   resolve: the decision is recorded, its result is not published yet
  130  Ctrl-C before everything ran";

/// Everything went well.
pub const OK: u8 = service_exit::OK;
/// `unrip dev`: the audit found a broken promise.
pub const PROMISE_BROKEN: u8 = 10;
/// `unrip dev`: a service ended by itself.
pub const SERVICE_DIED: u8 = 11;
/// Arguments or files are wrong.
pub const USAGE: u8 = service_exit::CONFIG;
/// Refused in the present state; nothing was changed.
pub const REFUSED: u8 = 65;
/// `unrip resolve`: the decision is recorded, and its result is not published yet.
pub const NOT_YET: u8 = 75;
/// Something that is needed is not there: a broker, a toolchain, a build that succeeds.
pub const UNAVAILABLE: u8 = service_exit::UNAVAILABLE;
/// A bug in unrip itself.
pub const SOFTWARE: u8 = service_exit::SOFTWARE;
/// Files cannot be read or written.
pub const STATE: u8 = service_exit::STATE;
/// Ctrl-C before everything ran.
pub const INTERRUPTED: u8 = 130;

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Arguments or files are wrong: mend them.
    #[error("{0}")]
    Usage(String),
    /// Refused in the present state; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// A decision is recorded, and its result is not published yet.
    #[error("{0}")]
    NotYet(String),
    /// Something that is needed is not there.
    #[error("{0}")]
    Unavailable(String),
    /// A file cannot be read or written.
    #[error("{what}: {source}")]
    File {
        /// What was tried, with the file's name.
        what: String,
        /// The reason.
        source: std::io::Error,
    },
    /// The bus refused or is away.
    #[error("{what}: {source}")]
    Bus {
        /// What was tried.
        what: String,
        /// The reason.
        source: unrip_bus::Error,
    },
    /// Ctrl-C came before everything ran.
    #[error("interrupted")]
    Interrupted,
    /// A bug.
    #[error("internal: {0}")]
    Software(String),
}

impl Error {
    /// The exit code that says so.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Refused(_) => REFUSED,
            Self::NotYet(_) => NOT_YET,
            Self::Unavailable(_) | Self::Bus { .. } => UNAVAILABLE,
            Self::File { .. } => STATE,
            Self::Interrupted => INTERRUPTED,
            Self::Software(_) => SOFTWARE,
        }
    }

    /// For `map_err`: a file could not be read or written.
    pub fn file(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::File { what, source }
    }

    /// For `map_err`: the bus refused.
    pub fn bus(what: impl Into<String>) -> impl FnOnce(unrip_bus::Error) -> Self {
        let what = what.into();
        move |source| Self::Bus { what, source }
    }
}
