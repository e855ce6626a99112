//! A loaded module: compiled, described, not yet instantiated for work.

use std::fmt;
use std::sync::Arc;

use wasmtime::component::InstancePre;

use crate::host::Host;

pub use crate::v0_1::bindings::shared::exports::unrip::types::lifecycle::{Capability, Description};

/// Which of our worlds a module is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum World {
    /// Says what to send to a venue and what its frames are.
    Ingestor,
    /// Raw records to canonical events.
    Normalizer,
    /// Canonical events to commands.
    Reactor,
    /// Commands to bytes, and answers read.
    Executor,
}

impl World {
    /// Every world.
    pub const ALL: [Self; 4] = [Self::Ingestor, Self::Normalizer, Self::Reactor, Self::Executor];

    /// Its name in WIT: `normalizer` of `unrip:normalizer`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingestor => "ingestor",
            Self::Normalizer => "normalizer",
            Self::Reactor => "reactor",
            Self::Executor => "executor",
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A module that was read, checked, compiled and described.
#[derive(Clone)]
pub struct Module {
    pub(crate) inner: Arc<Loaded>,
}

pub(crate) struct Loaded {
    pub(crate) path: String,
    pub(crate) digest: String,
    pub(crate) world: World,
    pub(crate) description: Description,
    pub(crate) pre: InstancePre<Host>,
}

impl Module {
    /// `sha256:` and the hex digest of the component's bytes.
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// The file that it was read from, for people.
    pub fn path(&self) -> &str {
        &self.inner.path
    }

    /// What it says of itself.
    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// Which world it is of.
    pub fn world(&self) -> World {
        self.inner.world
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("path", &self.inner.path)
            .field("digest", &self.inner.digest)
            .finish_non_exhaustive()
    }
}
