//! One instance of a module, made anew after each failure.

use std::sync::Arc;

use unrip_core::{ModuleRef, content};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::batch::Outcome;
use crate::error::LoadError;
use crate::fault::{Fatal, Fault, FaultCounts, FaultKind, Rejection};
use crate::host::Host;
use crate::module::{Module, World};
use crate::v0_1::bindings::shared::Shared;
use crate::{Engine, Grants, Limits, classify};

/// Milliseconds for making an instance, `describe` and `configure`: once per instance, and interpreters start slowly.
pub(crate) const LIFECYCLE_MS_MAX: u64 = 5_000;

/// How the exports of a world are found in an instance.
pub(crate) type Bind<B> = fn(&mut Store<Host>, &Instance) -> wasmtime::Result<B>;

/// An instance and its exports. Any failure ends it.
pub(crate) struct Live<B> {
    store: Store<Host>,
    exports: B,
    instance: Instance,
}

impl<B> Live<B> {
    pub(crate) fn new(
        engine: &Engine,
        pre: &InstancePre<Host>,
        name: Arc<str>,
        limits: &Limits,
        bind: impl FnOnce(&mut Store<Host>, &Instance) -> wasmtime::Result<B>,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(engine.wasmtime(), Host::new(name, limits));
        store.limiter(|host| host);
        // Counts what the host copies out of the instance in one go: a result, or a log line.
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes_max).unwrap_or(usize::MAX));
        store.set_epoch_deadline(Engine::ticks(LIFECYCLE_MS_MAX));
        let made = pre.instantiate(&mut store).and_then(|instance| Ok((bind(&mut store, &instance)?, instance)));
        match made {
            Ok((exports, instance)) => Ok(Self { store, exports, instance }),
            Err(error) => {
                let found = classify::of_call(&error, store.data());
                let kind = if found.kind == FaultKind::Invalid { FaultKind::Rebuild } else { found.kind };
                let text =
                    if kind == FaultKind::Rebuild { classify::bounded(&format!("{error:#}")) } else { found.text };
                Err(Fault::new(kind, text))
            }
        }
    }

    /// Calls an export. After an error the instance must not be used again.
    pub(crate) fn call<R>(
        &mut self,
        millis: u64,
        export: impl FnOnce(&B, &mut Store<Host>) -> wasmtime::Result<R>,
    ) -> Result<R, Fault> {
        self.store.set_epoch_deadline(Engine::ticks(millis));
        self.store.data_mut().begin();
        let result = export(&self.exports, &mut self.store);
        self.store.data().end();
        result.map_err(|error| classify::of_call(&error, self.store.data()))
    }

    /// The error inside is the module's own.
    fn configure(&mut self, config: &str) -> Result<Result<(), String>, Fault> {
        self.store.set_epoch_deadline(Engine::ticks(LIFECYCLE_MS_MAX));
        self.store.data_mut().begin();
        let result = Shared::new(&mut self.store, &self.instance)
            .and_then(|shared| shared.unrip_types_lifecycle().call_configure(&mut self.store, config));
        self.store.data().end();
        result.map_err(|error| classify::of_call(&error, self.store.data()))
    }
}

/// A worker's place for an instance: there is one whenever it is needed.
pub(crate) struct Slot<B> {
    engine: Engine,
    module: Module,
    limits: Limits,
    grants: Grants,
    config: String,
    bind: Bind<B>,
    module_ref: Arc<ModuleRef>,
    faults: FaultCounts,
    live: Option<Live<B>>,
}

impl<B> Slot<B> {
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
        let path = module.inner.path.clone();
        if module.world() != world {
            return Err(LoadError::WrongWorld { path, found: module.world(), expected: world });
        }
        if !config.is_object() {
            return Err(LoadError::Configuration { path, reason: "it must be a table of keys and values".to_owned() });
        }
        check_limits(limits, engine)?;
        grants.check_declared(module)?;
        let unreadable =
            |error: &dyn std::fmt::Display| LoadError::Configuration { path: path.clone(), reason: error.to_string() };
        let canonical = content::canonical(config).map_err(|error| unreadable(&error))?;
        let config_digest = content::config_digest(config).map_err(|error| unreadable(&error))?;
        let description = module.description();
        let module_ref = Arc::new(ModuleRef {
            name: description.name.clone(),
            version: description.version.clone(),
            digest: module.digest().to_owned(),
            wit: description.wit.clone(),
            config_digest: format!("sha256:{config_digest}"),
        });
        let (engine, module) = (engine.clone(), module.clone());
        let (limits, grants) = (limits.clone(), grants.clone());
        let faults = FaultCounts::default();
        let mut slot = Self { engine, module, limits, grants, config: canonical, bind, module_ref, faults, live: None };
        slot.live = Some(slot.make()?);
        Ok(slot)
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
            self.live = Some(self.make().map_err(|error| Fault::new(FaultKind::Rebuild, error.to_string()))?);
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
    pub(crate) fn failed(&self, call: &'static str, fault: Fault) -> LoadError {
        LoadError::Failed { path: self.module.inner.path.clone(), call, fault }
    }

    pub(crate) fn misdescribed(&self, reason: String) -> LoadError {
        LoadError::Description { path: self.module.inner.path.clone(), reason }
    }

    fn make(&self) -> Result<Live<B>, LoadError> {
        let name = self.module_ref.name.as_str().into();
        let mut live = Live::new(&self.engine, &self.module.inner.pre, name, &self.limits, self.bind)
            .map_err(|fault| self.failed("instantiate", fault))?;
        let configured = live.configure(&self.config).map_err(|fault| self.failed("configure", fault))?;
        let path = &self.module.inner.path;
        configured
            .map(|()| live)
            .map_err(|reason| LoadError::Configuration { path: path.clone(), reason: classify::bounded(&reason) })
    }
}

fn check_limits(limits: &Limits, engine: &Engine) -> Result<(), LoadError> {
    limits.check()?;
    let engines = engine.config().limits.stack_bytes_max;
    if limits.stack_bytes_max == engines {
        return Ok(());
    }
    let reason = format!(
        "is {}, but the engine was made with {engines}: one stack limit serves a process",
        limits.stack_bytes_max
    );
    Err(LoadError::Limits { key: "module.limits.stack_bytes_max".to_owned(), reason })
}
