//! From `[module]` to a running instance: load, verify, check, configure; and the seat that callers ask.

mod checks;
mod faults;
mod seat;

use unrip_engine::executor::Executor;
use unrip_engine::ingestor::Ingestor;
use unrip_engine::normalizer::Normalizer;
use unrip_engine::reactor::Reactor;
use unrip_engine::{Engine, EngineConfig, EngineError, Instance, LoadError, Module};

pub use checks::{Expectations, Network};
pub use seat::{Answer, Gone, Seat};

use crate::config::ModuleSection;
use crate::run::RunError;

/// Reads, verifies and compiles the module of the configuration. Takes seconds without a cache: not for the runtime's
/// threads.
fn compile(section: &ModuleSection) -> Result<(Engine, Module, serde_json::Value), RunError> {
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
    Ok((engine, module, config))
}

/// Loads, verifies and checks the module of the configuration as a start does, and makes an instance of it; for
/// `--check-config`. Takes seconds without a cache.
///
/// # Errors
/// As of [`Seat::start`].
pub fn check<I: Instance>(
    section: &ModuleSection,
    expected: &Expectations,
    network: Option<Network<'_>>,
) -> Result<I, RunError> {
    section.check_grants(network).map_err(RunError::Config)?;
    instance(section, expected)
}

/// The configured instance of a module that fits this service.
fn instance<I: Instance>(section: &ModuleSection, expected: &Expectations) -> Result<I, RunError> {
    let (engine, module, config) = compile(section)?;
    // Of a module of another world the world is the news.
    if module.world() == I::WORLD {
        expected.check(&module)?;
    }
    Ok(I::make(&engine, &module, &section.limits, &section.grants, &config)?)
}

/// A compiled module and what its instances are made with, for a caller that runs it on threads of its own.
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
    let (engine, module, config) = compile(section)?;
    Ok(Loaded { engine, module, section: section.clone(), config })
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
        self.instance()
    }

    /// An instance of the normalizer world.
    ///
    /// # Errors
    /// Another world, a missing grant, a configuration that the module refuses.
    pub fn normalizer(&self) -> Result<Normalizer, RunError> {
        self.instance()
    }

    /// An instance of the reactor world.
    ///
    /// # Errors
    /// Another world, a missing grant, a configuration that the module refuses.
    pub fn reactor(&self) -> Result<Reactor, RunError> {
        self.instance()
    }

    /// An instance of the executor world.
    ///
    /// # Errors
    /// Another world, a missing grant, a configuration that the module refuses.
    pub fn executor(&self) -> Result<Executor, RunError> {
        self.instance()
    }

    fn instance<I: Instance>(&self) -> Result<I, RunError> {
        let section = &self.section;
        Ok(I::make(&self.engine, &self.module, &section.limits, &section.grants, &self.config)?)
    }
}

impl From<LoadError> for RunError {
    fn from(error: LoadError) -> Self {
        Self::Module(error.to_string())
    }
}

impl From<EngineError> for RunError {
    fn from(error: EngineError) -> Self {
        Self::Module(error.to_string())
    }
}
