//! Raw records to canonical events.

use unrip_core::{ModuleRef, Timestamp};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::batch::{self, Outcome};
use crate::host::Host;
use crate::limits::check_entries;
use crate::v0_1::bindings::normalizer as bindings;
use crate::v0_1::{self, bindings::normalizer::exports::unrip::normalizer::normalizer as wit};
use crate::worker::Worker;
use crate::{Capability, Engine, Fatal, Fault, Grants, Limits, LoadError, LoadErrorKind, Module, Rejection, World};

pub use unrip_core::event::canonical::CanonicalEvent;

/// A raw record as the module sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawInput {
    /// The venue's stream.
    pub stream: String,
    /// The record's key.
    pub key: String,
    /// The connection it came by.
    pub connection_id: String,
    /// Its number in the connection.
    pub frame_seq: u64,
    /// State starts again here.
    pub reset: bool,
    /// When it reached the host.
    pub observed_at: Timestamp,
    /// The venue's bytes, exactly.
    pub raw: Vec<u8>,
}

/// A normalizer's instance; one per worker.
#[derive(Debug)]
pub struct Normalizer {
    pub(crate) worker: Worker<bindings::Module>,
}

impl Normalizer {
    /// Instantiates and configures `module`.
    pub fn new(
        engine: &Engine,
        module: &Module,
        limits: &Limits,
        grants: &Grants,
        config: &serde_json::Value,
    ) -> Result<Self, LoadError> {
        // Of a module of another world the world is the news.
        let is_ours = module.world() == World::Normalizer;
        if is_ours && module.description().capabilities.contains(&Capability::State) {
            let reason =
                "a normalizer with memory must be rebuilt by rereading its stream, which this host does not do yet";
            let kind = LoadErrorKind::NotServed { capability: "state".to_owned(), reason: reason.to_owned() };
            return Err(kind.of(module.path()));
        }
        let bind = |store: &mut Store<Host>, instance: &Instance| bindings::Module::new(store, instance);
        Ok(Self { worker: Worker::new(World::Normalizer, bind, engine, module, limits, grants, config)? })
    }

    /// The code and configuration that make this worker's records.
    pub fn module_ref(&self) -> &ModuleRef {
        self.worker.module_ref()
    }

    /// One result per record, in order. A record on which the module fails twice alone is a [`Rejection::Fault`].
    ///
    /// Where results are large there are fewer than records, and at least one: the caller writes what there is and calls
    /// again with the rest, so that no batch outgrows the host's memory.
    pub fn normalize(&mut self, records: &[RawInput]) -> Result<Vec<Result<Vec<CanonicalEvent>, Rejection>>, Fatal> {
        let size = batch::size(self.worker.limits().call_ms_max);
        let worker = &mut self.worker;
        batch::run(records, size, |records| call(worker, records)).map_err(|fault| self.worker.fatal(fault))
    }
}

fn call(
    worker: &mut Worker<bindings::Module>,
    records: &[RawInput],
) -> Result<Vec<Outcome<Vec<CanonicalEvent>>>, Fault> {
    let given: Vec<_> = records.iter().map(record_out).collect();
    let results = worker
        .call(records.len(), |module, store| module.unrip_normalizer_normalizer().call_normalize(store, &given))?;
    batch::check_count(results.len(), records.len()).inspect_err(|fault| worker.discard(fault))?;
    let max = worker.limits().events_per_record_max;
    let outcomes: Vec<_> = results.into_iter().map(|result| outcome_in(result, max)).collect();
    worker.note_faults(&outcomes);
    if batch::has_fatal(&outcomes) {
        worker.renew();
    }
    Ok(outcomes)
}

fn record_out(record: &RawInput) -> wit::RawRecord {
    wit::RawRecord {
        stream: record.stream.clone(),
        key: record.key.clone(),
        connection_id: record.connection_id.clone(),
        frame_seq: record.frame_seq,
        reset: record.reset,
        observed_at: v0_1::time_out(record.observed_at),
        raw: record.raw.clone(),
    }
}

fn outcome_in(result: Result<Vec<wit::Event>, wit::Rejection>, max: usize) -> Outcome<Vec<CanonicalEvent>> {
    let events = result.map_err(v0_1::rejection_in)?;
    check_entries("events for one record", events.len(), "module.limits.events_per_record_max", max)
        .map_err(Rejection::Fault)?;
    events.into_iter().map(v0_1::event::event_in).collect::<Result<_, _>>().map_err(Rejection::Fault)
}
