//! Why a module is refused, said so that the reader knows the file, what is wrong with it, and the cure.

use crate::fault::Fault;
use crate::module::World;

/// Why a module cannot be used. Nothing of it runs.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine itself could not be made.
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    /// The file could not be read.
    #[error("cannot read module {path}: {reason}; check module.path")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Larger than any module should be.
    #[error("module {path} has {bytes} bytes, more than {max}: not a module that this host would load")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Other bytes than the operator approved.
    #[error(
        "module {path} has digest {found}, but module.digest says {expected}: put the approved file there or approve this digest"
    )]
    Digest {
        /// The file.
        path: String,
        /// Of the file's bytes.
        found: String,
        /// In the configuration.
        expected: String,
    },
    /// Not WebAssembly at all.
    #[error("module {path} is not WebAssembly: {reason}; module.path must name a component (.wasm, binary)")]
    NotWasm {
        /// The file.
        path: String,
        /// What it is instead.
        reason: String,
    },
    /// WebAssembly, but not a component.
    #[error(
        "module {path} is a core WebAssembly module, not a component: wrap it with `cargo component build`, `wasm-tools component new` or the wit-component library"
    )]
    CoreModule {
        /// The file.
        path: String,
    },
    /// A component that does not validate or compile.
    #[error("module {path} is damaged or uses what this host does not run: {reason}")]
    Invalid {
        /// The file.
        path: String,
        /// What the compiler said.
        reason: String,
    },
    /// It does not export any world of ours, or a line that this host does not serve.
    #[error("module {path} does not export {expected}; it exports {found}: build it against wit/ of this host")]
    NoWorld {
        /// The file.
        path: String,
        /// The interfaces that would do.
        expected: String,
        /// What it exports.
        found: String,
    },
    /// One of our worlds, but not the one this service runs.
    #[error("module {path} is of world `{found}`, this service runs `{expected}`: check module.path")]
    WrongWorld {
        /// The file.
        path: String,
        /// The module's.
        found: World,
        /// The service's.
        expected: World,
    },
    /// It wants something that does not exist for modules.
    #[error("module {path} imports {imports}, which no module is granted: {cure}")]
    Import {
        /// The file.
        path: String,
        /// The imports.
        imports: String,
        /// What to do.
        cure: String,
    },
    /// Its exports or imports have other types than the WIT line says.
    #[error("module {path} does not fit the WIT line that it claims: {reason}")]
    Shape {
        /// The file.
        path: String,
        /// What differs.
        reason: String,
    },
    /// It says that it needs something that the operator did not grant.
    #[error("module {path} needs {capability}, which is not granted: add it to {key}, if it may have it")]
    NotGranted {
        /// The file.
        path: String,
        /// What it needs.
        capability: String,
        /// Where to grant it.
        key: String,
    },
    /// It needs something that this host cannot give yet.
    #[error("module {path} needs {capability}: {reason}")]
    NotServed {
        /// The file.
        path: String,
        /// What it needs.
        capability: String,
        /// Why not.
        reason: String,
    },
    /// What it says of itself cannot be used.
    #[error("module {path} describes itself wrongly: {reason}")]
    Description {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// It refused its configuration.
    #[error("module {path} refuses its configuration (module.config): {reason}")]
    Configuration {
        /// The file.
        path: String,
        /// In the module's words.
        reason: String,
    },
    /// It failed while it was described or configured.
    #[error("module {path} failed in `{call}`: {fault}")]
    Failed {
        /// The file.
        path: String,
        /// Which export.
        call: &'static str,
        /// How.
        fault: Fault,
    },
    /// A limit of the configuration makes no sense.
    #[error("{key} {reason}")]
    Limits {
        /// Which.
        key: String,
        /// Why.
        reason: String,
    },
}
