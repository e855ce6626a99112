//! Why a module is refused, so that the reader knows the file, what is wrong with it, and the cure.

use crate::fault::Fault;
use crate::module::World;

/// Why an engine cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// WebAssembly cannot run on this machine as it should.
    #[error("the WebAssembly engine cannot start: {0}")]
    Start(String),
    /// A limit of the configuration under which nothing could run, or the host would suffer.
    #[error("{key} {reason}")]
    #[allow(missing_docs, reason = "named by their fields")]
    Limits { key: String, reason: String },
}

/// Why a module cannot be used. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
#[error("module {path} {kind}")]
pub struct LoadError {
    /// The module's file.
    pub path: String,
    /// What is wrong with it.
    pub kind: LoadErrorKind,
}

/// What is wrong with a module; the text continues a sentence that begins with its file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are named for what they hold, and the texts show them")]
pub enum LoadErrorKind {
    /// The file could not be read.
    #[error("cannot be read: {reason}; check module.path")]
    Read { reason: String },
    /// Larger than any module should be.
    #[error("has {bytes} bytes, more than {max}: not a module that this host would load")]
    TooLarge { bytes: u64, max: u64 },
    /// Other bytes than the operator approved.
    #[error(
        "has digest {found}, but module.digest says {expected}: put the approved file there or approve this digest"
    )]
    Digest { found: String, expected: String },
    /// Not WebAssembly at all.
    #[error("is not WebAssembly: {reason}; module.path must name a component (.wasm, binary)")]
    NotWasm { reason: String },
    /// WebAssembly, but not a component.
    #[error(
        "is a core WebAssembly module, not a component: wrap it with `cargo component build`, `wasm-tools component new` or the wit-component library"
    )]
    CoreModule,
    /// A component that does not validate or compile.
    #[error("is damaged or uses what this host does not run: {reason}")]
    Invalid { reason: String },
    /// It does not export any world of ours, or a line that this host does not serve.
    #[error("does not export {expected}; it exports {found}: build it against wit/ of this host")]
    NoWorld { expected: String, found: String },
    /// One of our worlds, but not the one this service runs.
    #[error("is of world `{found}`, this service runs `{expected}`: check module.path")]
    WrongWorld { found: World, expected: World },
    /// It wants something that does not exist for modules.
    #[error("imports {imports}, which no module is granted: {cure}")]
    Import { imports: String, cure: String },
    /// Its exports or imports have other types than the WIT line says.
    #[error("does not fit the WIT line that it claims: {reason}")]
    Shape { reason: String },
    /// It says that it needs something that the operator did not grant.
    #[error("needs {capability}, which is not granted: add it to {key}, if it may have it")]
    NotGranted { capability: String, key: String },
    /// It needs something that this host cannot give yet.
    #[error("needs {capability}: {reason}")]
    NotServed { capability: String, reason: String },
    /// What it says of itself cannot be used.
    #[error("describes itself wrongly: {reason}")]
    Description { reason: String },
    /// It refused its configuration.
    #[error("refuses its configuration (module.config): {reason}")]
    Configuration { reason: String },
    /// It failed while it was described or configured.
    #[error("failed in `{call}`: {fault}")]
    Failed { call: &'static str, fault: Fault },
    /// Its limits do not fit the engine.
    #[error("cannot run: {0}")]
    Limits(#[from] EngineError),
}

impl LoadErrorKind {
    /// The error of the module in this file.
    pub(crate) fn of(self, path: &str) -> LoadError {
        LoadError { path: path.to_owned(), kind: self }
    }
}
