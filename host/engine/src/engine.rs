//! The engine: wasmtime's settings, one linker, one clock and the cache of compiled modules.

use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker};

use crate::cache::Cache;
use crate::clock::{Clock, Ticking};
use crate::error::EngineError;
use crate::host::Host;
use crate::v0_1::bindings::shared::Shared;
use crate::{EngineConfig, LoadError, Module, load};

/// Frames of a trap's backtrace that are collected.
const BACKTRACE_FRAMES: std::num::NonZeroUsize = match std::num::NonZeroUsize::new(8) {
    Some(frames) => frames,
    None => std::num::NonZeroUsize::MIN,
};

/// Compiles and runs modules; one per process.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<Host>,
    cache: Option<Cache>,
    clock: Clock,
    config: EngineConfig,
}

impl Engine {
    /// Starts the engine and its clock, which ends with the engine.
    pub fn new(config: EngineConfig) -> Result<Self, EngineError> {
        config.limits.check()?;
        let failed = |error: wasmtime::Error| EngineError::Start(format!("{error:#}"));
        let wasmtime = wasmtime::Engine::new(&settings(&config)).map_err(failed)?;
        let mut linker = Linker::new(&wasmtime);
        Shared::add_to_linker::<Host, HasSelf<Host>>(&mut linker, |host| host).map_err(failed)?;
        let ticked = wasmtime.clone();
        let clock = Clock::start(move || ticked.increment_epoch())
            .map_err(|error| EngineError::Start(format!("cannot start the clock's thread: {error}")))?;
        let cache = config.cache_dir.as_deref().and_then(|dir| Cache::open(dir, &wasmtime));
        Ok(Self { inner: Arc::new(Inner { wasmtime, linker, cache, clock, config }) })
    }

    /// Reads, checks, compiles and describes the component at `path`.
    ///
    /// `digest` is what the operator approved: SHA-256 in hex, with or without `sha256:`.
    pub fn load(&self, path: &Path, digest: Option<&str>) -> Result<Module, LoadError> {
        load::load(self, path, digest)
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<Host> {
        &self.inner.linker
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.inner.cache.as_ref()
    }

    pub(crate) fn config(&self) -> &EngineConfig {
        &self.inner.config
    }

    /// To be held during a call whose deadline is set after it was taken.
    pub(crate) fn ticking(&self) -> Ticking<'_> {
        self.inner.clock.ticking()
    }
}

/// What is not said here is wasmtime's default; 4 GiB of address space (not of memory) per linear memory spare bounds checks.
fn settings(config: &EngineConfig) -> wasmtime::Config {
    let mut settings = wasmtime::Config::new();
    settings
        .epoch_interruption(true)
        .wasm_component_model(true)
        .concurrency_support(false)
        // The same bytes on the same input give the same output: two kinds of NaN or a relaxed lane would break that.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .wasm_memory64(false)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        .max_wasm_stack(usize::try_from(config.limits.stack_bytes_max).unwrap_or(usize::MAX));
    settings
}
