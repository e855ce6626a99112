//! From `[module]` to an instance: load, verify, check grants, configure.

use unrip_engine::executor::Executor;
use unrip_engine::ingestor::Ingestor;
use unrip_engine::normalizer::Normalizer;
use unrip_engine::reactor::Reactor;
use unrip_engine::{Engine, EngineConfig, LoadError, Module};

use crate::config::ModuleSection;
use crate::run::RunError;

/// A compiled module and what its instances are made with. Cheap to clone; compiling and instantiating take time:
/// call these on a thread that may block.
#[derive(Clone)]
pub struct Loaded {
    engine: Engine,
    module: Module,
    section: ModuleSection,
    config: serde_json::Value,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").finish_non_exhaustive()
    }
}

/// Reads, verifies and compiles the module of the configuration.
///
/// # Errors
/// See [`LoadError`]; the service exits 78.
pub fn load(section: &ModuleSection) -> Result<Loaded, RunError> {
    let config = section.config_json().map_err(|error| RunError::Config(format!("module.config: {error}")))?;
    let cache_dir = section.cache_dir.as_ref().map(|dir| dir.to_path_buf());
    let engine = Engine::new(EngineConfig { cache_dir, limits: section.limits.clone() })?;
    let module = engine.load(&section.path, section.digest.as_deref())?;
    let description = module.description();
    tracing::info!(
        module = description.name,
        version = description.version,
        wit = description.wit,
        digest = module.digest(),
        "module loaded"
    );
    Ok(Loaded { engine, module, section: section.clone(), config })
}

impl From<LoadError> for RunError {
    fn from(error: LoadError) -> Self {
        Self::Module(error.to_string())
    }
}

impl Loaded {
    /// The compiled module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// An instance of the ingestor world.
    ///
    /// # Errors
    /// Another world, a missing grant, a configuration that the module refuses.
    pub fn ingestor(&self) -> Result<Ingestor, RunError> {
        let section = &self.section;
        Ok(Ingestor::new(&self.engine, &self.module, &section.limits, &section.grants, &self.config)?)
    }

    /// An instance of the normalizer world.
    ///
    /// # Errors
    /// Another world, a missing grant, a configuration that the module refuses.
    pub fn normalizer(&self) -> Result<Normalizer, RunError> {
        let section = &self.section;
        Ok(Normalizer::new(&self.engine, &self.module, &section.limits, &section.grants, &self.config)?)
    }

    /// An instance of the reactor world.
    ///
    /// # Errors
    /// Another world, a missing grant, a configuration that the module refuses.
    pub fn reactor(&self) -> Result<Reactor, RunError> {
        let section = &self.section;
        Ok(Reactor::new(&self.engine, &self.module, &section.limits, &section.grants, &self.config)?)
    }

    /// An instance of the executor world.
    ///
    /// # Errors
    /// Another world, a missing grant, a configuration that the module refuses.
    pub fn executor(&self) -> Result<Executor, RunError> {
        let section = &self.section;
        Ok(Executor::new(&self.engine, &self.module, &section.limits, &section.grants, &self.config)?)
    }
}
