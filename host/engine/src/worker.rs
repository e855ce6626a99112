//! One instance of a module, made again after each failure.

use std::fmt;
use std::sync::Arc;

use unrip_core::{ModuleRef, content};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::batch::Outcome;
use crate::clock::Clock;
use crate::error::{EngineError, LoadErrorKind};
use crate::fault::{Fatal, Fault, FaultCounts, FaultKind, Rejection};
use crate::host::Host;
use crate::log_budget::LogBudget;
use crate::module::{Module, World};
use crate::v0_1::bindings::shared::Shared;
use crate::{Engine, Grants, Limits, LoadError, classify};

/// Milliseconds for making an instance, `describe` and `configure`: once per instance, and interpreters start slowly.
pub(crate) const LIFECYCLE_MS_MAX: u64 = 5_000;

/// How the exports of a world are found in an instance.
pub(crate) type Bind<B> = fn(&mut Store<Host>, &Instance) -> wasmtime::Result<B>;

/// An instance and its exports. Any failure ends it.
pub(crate) struct Live<B> {
    engine: Engine,
    store: Store<Host>,
    exports: B,
    instance: Instance,
}

impl<B> Live<B> {
    pub(crate) fn new(
        engine: &Engine,
        pre: &InstancePre<Host>,
        log: Arc<LogBudget>,
        limits: &Limits,
        bind: impl FnOnce(&mut Store<Host>, &Instance) -> wasmtime::Result<B>,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(engine.wasmtime(), Host::new(log, limits));
        store.limiter(|host| host);
        // Counts what the host copies out of the instance in one go: a result, or a log line.
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes_max).unwrap_or(usize::MAX));
        let _ticking = engine.ticking();
        store.set_epoch_deadline(Clock::ticks(LIFECYCLE_MS_MAX));
        let made = pre.instantiate(&mut store).and_then(|instance| Ok((bind(&mut store, &instance)?, instance)));
        match made {
            Ok((exports, instance)) => Ok(Self { engine: engine.clone(), store, exports, instance }),
            Err(error) => Err(classify::of_instantiation(&error, store.data())),
        }
    }

    /// Calls an export. After an error the instance must not be used again.
    pub(crate) fn call<R>(
        &mut self,
        millis: u64,
        export: impl FnOnce(&B, &mut Store<Host>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        let exports = &self.exports;
        bounded(&self.engine, &mut self.store, millis, |store| export(exports, store))
    }

    /// The error inside is the module's own.
    fn configure(&mut self, config: &str) -> Result<Result<(), String>, Fault> {
        let instance = &self.instance;
        bounded(&self.engine, &mut self.store, LIFECYCLE_MS_MAX, |store| {
            Shared::new(&mut *store, instance)?.unrip_types_lifecycle().call_configure(store, config)
        })
    }
}

/// Runs a call within its time, its log lines counted.
fn bounded<R>(
    engine: &Engine,
    store: &mut Store<Host>,
    millis: u64,
    call: impl FnOnce(&mut Store<Host>) -> wasmtime::Result<R>,
) -> Result<R, Fault> {
    let _ticking = engine.ticking();
    store.set_epoch_deadline(Clock::ticks(millis));
    store.data_mut().begin();
    let result = call(store);
    store.data_mut().end();
    result.map_err(|error| classify::of_call(&error, store.data()))
}

/// A module at work: it has an instance whenever one is needed.
pub(crate) struct Worker<B> {
    engine: Engine,
    module: Module,
    limits: Limits,
    grants: Grants,
    config: String,
    bind: Bind<B>,
    module_ref: Arc<ModuleRef>,
    log: Arc<LogBudget>,
    faults: FaultCounts,
    live: Option<Live<B>>,
}

impl<B> Worker<B> {
    /// Checks world, grants and configuration, and makes the first instance.
    pub(crate) fn new(
        world: World,
        bind: Bind<B>,
        engine: &Engine,
        module: &Module,
        limits: &Limits,
        grants: &Grants,
        config: &serde_json::Value,
    ) -> Result<Self, LoadError> {
        let refused = |kind: LoadErrorKind| kind.of(module.path());
        if module.world() != world {
            return Err(refused(LoadErrorKind::WrongWorld { found: module.world(), expected: world }));
        }
        check_limits(limits, engine).map_err(|error| refused(error.into()))?;
        grants.check_declared(module).map_err(refused)?;
        let (canonical, config_digest) = canonical(config).map_err(refused)?;
        let description = module.description();
        let module_ref = Arc::new(ModuleRef {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: module.digest().to_owned(),
            wit: description.wit.clone(),
            config_digest: format!("sha256:{config_digest}"),
        });
        let mut worker = Self {
            engine: engine.clone(),
            module: module.clone(),
            limits: limits.clone(),
            grants: grants.clone(),
            config: canonical,
            bind,
            log: Arc::new(LogBudget::new(&module_ref.name)),
            module_ref,
            faults: FaultCounts::default(),
            live: None,
        };
        worker.live = Some(worker.make().map_err(refused)?);
        Ok(worker)
    }

    pub(crate) fn module_ref(&self) -> &Arc<ModuleRef> {
        &self.module_ref
    }

    /// The faults since this was last asked.
    pub(crate) fn take_faults(&mut self) -> FaultCounts {
        std::mem::take(&mut self.faults)
    }

    pub(crate) fn grants(&self) -> &Grants {
        &self.grants
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the next call needs a new instance.
    pub(crate) fn is_gone(&self) -> bool {
        self.live.is_none()
    }

    /// Makes an instance if there is none.
    pub(crate) fn ready(&mut self) -> Result<(), Fault> {
        if self.live.is_none() {
            let failed = |kind: LoadErrorKind| Fault::new(FaultKind::Rebuild, kind.of(self.module.path()).to_string());
            self.live = Some(self.make().map_err(failed)?);
        }
        Ok(())
    }

    /// Calls an export with time for `records` records. A fault ends the instance.
    pub(crate) fn call<R>(
        &mut self,
        records: usize,
        export: impl FnOnce(&B, &mut Store<Host>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.ready()?;
        let millis = self.limits.call_ms_max.saturating_mul(records as u64);
        let Some(live) = &mut self.live else { return Err(Fault::new(FaultKind::Rebuild, "there is no instance")) };
        let result = live.call(millis, export);
        if let Err(fault) = &result {
            self.discard(fault);
        }
        result
    }

    /// Ends the instance; the next call makes a new one.
    pub(crate) fn discard(&mut self, fault: &Fault) {
        self.faults.note(fault);
        self.live = None;
    }

    /// Ends an instance that says that it cannot continue: whether the next one can shows whether the module is broken or
    /// only an input is hostile.
    pub(crate) fn renew(&mut self) {
        self.live = None;
    }

    /// Counts the inputs whose results broke the contract although the call succeeded: the instance stays.
    pub(crate) fn note_faults<O>(&mut self, outcomes: &[Outcome<O>]) {
        for outcome in outcomes {
            if let Err(Rejection::Fault(fault)) = outcome {
                self.faults.note(fault);
            }
        }
    }

    /// The end of a worker whose instance cannot be made any more.
    pub(crate) fn fatal(&self, fault: Fault) -> Fatal {
        Fatal { name: self.module_ref.name.clone(), fault }
    }

    /// An error of load time that names this module.
    pub(crate) fn refused(&self, kind: LoadErrorKind) -> LoadError {
        kind.of(self.module.path())
    }

    fn make(&self) -> Result<Live<B>, LoadErrorKind> {
        let log = Arc::clone(&self.log);
        let mut live = Live::new(&self.engine, &self.module.inner.pre, log, &self.limits, self.bind)
            .map_err(|fault| LoadErrorKind::Failed { call: "instantiate", fault })?;
        match live.configure(&self.config).map_err(|fault| LoadErrorKind::Failed { call: "configure", fault })? {
            Ok(()) => Ok(live),
            Err(reason) => Err(LoadErrorKind::Configuration { reason: classify::bounded(&reason) }),
        }
    }
}

impl<B> fmt::Debug for Worker<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("module", &self.module).finish_non_exhaustive()
    }
}

/// The configuration as the module gets it, and its digest.
fn canonical(config: &serde_json::Value) -> Result<(String, String), LoadErrorKind> {
    let refused = |reason: String| LoadErrorKind::Configuration { reason };
    if !config.is_object() {
        return Err(refused("it must be a table of keys and values".to_owned()));
    }
    let canonical = content::canonical(config).map_err(|error| refused(error.to_string()))?;
    Ok((canonical, content::config_digest(config).map_err(|error| refused(error.to_string()))?))
}

fn check_limits(limits: &Limits, engine: &Engine) -> Result<(), EngineError> {
    limits.check()?;
    let engines = engine.config().limits.stack_bytes_max;
    if limits.stack_bytes_max == engines {
        return Ok(());
    }
    let reason = format!(
        "is {}, but the engine was made with {engines}: one stack limit serves an engine",
        limits.stack_bytes_max
    );
    Err(EngineError::Limits { key: "module.limits.stack_bytes_max".to_owned(), reason })
}
