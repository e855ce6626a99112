//! From `[module]` to a running instance: load, verify, check, configure; and the seat that callers ask.

mod checks;
mod faults;
mod seat;

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
