//! What can go wrong, said so that the reader knows the file, what is wrong with it, and the cure.

use std::fmt;

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
        "module {path} is a core WebAssembly module, not a component: wrap it with wit-component (`unrip component`, `cargo component build` or `wasm-tools component new`)"
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

/// How a call of a module failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// It trapped: a panic, a division by zero, memory out of bounds.
    Trap,
    /// It ran longer than `call_ms_max`.
    Time,
    /// It wanted more than `memory_bytes_max`.
    Memory,
    /// It recursed deeper than `stack_bytes_max`.
    Stack,
    /// It returned more than `output_bytes_max`, or something that makes no sense (an amount that is none).
    Output,
    /// It returned another number of results than there were inputs.
    Count,
    /// It asked for an endpoint, credential or signing scheme that it was not granted.
    NotGranted,
    /// The instance could not be made anew.
    Rebuild,
}

impl FaultKind {
    /// As a `reason_code` and metric label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Trap => "module_trap",
            Self::Time => "module_time",
            Self::Memory => "module_memory",
            Self::Stack => "module_stack",
            Self::Output => "module_output",
            Self::Count => "module_count",
            Self::NotGranted => "module_not_granted",
            Self::Rebuild => "module_rebuild",
        }
    }
}

/// A failed call: the instance is gone and the next call has a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure.
    pub kind: FaultKind,
    /// For people: what happened, with the first frames of a trap.
    pub text: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.text)
    }
}

impl std::error::Error for Fault {}

/// Why one input gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The module refuses it: to the dead letters.
    Reject {
        /// snake_case, at most 64 characters.
        code: String,
        /// For people.
        text: String,
    },
    /// Hold the partition and try again after so many milliseconds.
    RetryAfter {
        /// Milliseconds.
        ms: u32,
        /// snake_case, at most 64 characters.
        code: String,
        /// For people.
        text: String,
    },
    /// The module cannot go on at all: the service stops.
    Fatal {
        /// snake_case, at most 64 characters.
        code: String,
        /// For people.
        text: String,
    },
    /// The module failed twice on this input alone: to the dead letters.
    Fault(Fault),
}

/// The module cannot be called any more: the service stops.
#[derive(Debug, thiserror::Error)]
#[error("module {name} cannot go on: {fault}")]
pub struct Fatal {
    /// The module.
    pub name: String,
    /// Why.
    pub fault: Fault,
}
