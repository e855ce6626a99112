//! The engine.

use std::path::Path;

use crate::{EngineConfig, LoadError, Module};

/// Compiles and runs modules; one per process.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Starts the engine and its clock.
    pub fn new(config: EngineConfig) -> Result<Self, LoadError> {
        let _ = config;
        Ok(Self {})
    }

    /// Reads, checks, compiles and describes the component at `path`.
    pub fn load(&self, path: &Path, digest: Option<&str>) -> Result<Module, LoadError> {
        let _ = (path, digest);
        Err(LoadError::Engine("not yet".into()))
    }
}
