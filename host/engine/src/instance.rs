//! What the four kinds of instances share.

use std::sync::Arc;

use unrip_core::ModuleRef;

use crate::error::LoadError;
use crate::fault::FaultCounts;
use crate::{Engine, Grants, Limits, Module, World};

/// What the four kinds of instances have in common, so that one seat serves them all.
pub trait Instance: sealed::Sealed + Sized + Send + 'static {
    /// The world that its module must be of.
    const WORLD: World;

    /// Checks world, limits and grants, instantiates `module` and configures it.
    fn make(
        engine: &Engine,
        module: &Module,
        limits: &Limits,
        grants: &Grants,
        config: &serde_json::Value,
    ) -> Result<Self, LoadError>;

    /// The code and configuration behind every answer of this instance.
    fn made_by(&self) -> &Arc<ModuleRef>;

    /// The faults since this was last asked; each of them cost an instance. Nothing else reports a fault that a second
    /// attempt made up for.
    fn take_faults(&mut self) -> FaultCounts;
}

mod sealed {
    /// Instances are of our worlds, and of no others.
    pub trait Sealed {}
}

macro_rules! instance {
    ($type:ty, $world:expr) => {
        impl sealed::Sealed for $type {}

        impl Instance for $type {
            const WORLD: World = $world;

            fn make(
                engine: &Engine,
                module: &Module,
                limits: &Limits,
                grants: &Grants,
                config: &serde_json::Value,
            ) -> Result<Self, LoadError> {
                Self::new(engine, module, limits, grants, config)
            }

            fn made_by(&self) -> &Arc<ModuleRef> {
                self.worker.module_ref()
            }

            fn take_faults(&mut self) -> FaultCounts {
                self.worker.take_faults()
            }
        }
    };
}

instance!(crate::ingestor::Ingestor, World::Ingestor);
instance!(crate::normalizer::Normalizer, World::Normalizer);
instance!(crate::reactor::Reactor, World::Reactor);
instance!(crate::executor::Executor, World::Executor);
