//! What a module may use and what it is granted.

use std::path::PathBuf;

use serde::Deserialize;

use crate::error::EngineError;
use crate::fault::{Fault, FaultKind};

/// Smallest and largest wasm stack in bytes: less cannot run a parser, more does not fit a thread of 2 MiB.
const STACK_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=1024 * 1024;

/// What a limit on the entries of an answer can be set to.
const ENTRIES: std::ops::RangeInclusive<u64> = 1..=65_536;

/// `[module.limits]`: how much one call of a module may use. What exceeds a limit is a fault of the module: the record in
/// hand becomes a dead letter whose reason is the fault's kind, and the records beside it are unharmed (`wit/README.md`, "Limits").
#[derive(Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Linear memory of one instance, in bytes. Interpreted languages (JavaScript, Python) need more than the default.
    pub memory_bytes_max: u64,
    /// Wall time per record, or per call where there are no records, in milliseconds.
    pub call_ms_max: u64,
    /// Wasm stack in bytes; one for all modules of an [`crate::Engine`].
    pub stack_bytes_max: u64,
    /// Bytes that one call may hand to the host: results, and each log line.
    pub output_bytes_max: u64,
    /// Canonical events that a normalizer may make of one raw record. A venue that sends whole lists in one frame needs
    /// as many as a list has entries.
    pub events_per_record_max: usize,
    /// Commands and declines that a strategy may answer one event with.
    pub commands_per_event_max: usize,
    /// Effects that an ingestor may ask for on one event: sends, requests, timers, connections.
    pub effects_per_event_max: usize,
    /// Raw records that an ingestor may make of one frame or response; each holds the whole frame.
    pub records_per_frame_max: usize,
    /// Entries of a list that an executor answers: statements, standing questions, messages on open, reserves.
    pub entries_per_answer_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 * 1024 * 1024,
            // Calls take microseconds; the slack is for busy machines, where time passes without the module running.
            call_ms_max: 500,
            stack_bytes_max: 512 * 1024,
            output_bytes_max: 8 * 1024 * 1024,
            // An entry of a few bytes becomes a record of a thousand: bytes alone would not bound what the host makes of them.
            events_per_record_max: 1_000,
            commands_per_event_max: 16,
            effects_per_event_max: 64,
            records_per_frame_max: 64,
            entries_per_answer_max: 1_000,
        }
    }
}

impl Limits {
    /// Refuses limits under which nothing could run or the host itself would suffer.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let any = 1..=u64::MAX;
        let entries = |count: usize| count as u64;
        for (key, value, range) in [
            ("stack_bytes_max", self.stack_bytes_max, &STACK_BYTES),
            ("memory_bytes_max", self.memory_bytes_max, &any),
            ("call_ms_max", self.call_ms_max, &any),
            ("output_bytes_max", self.output_bytes_max, &any),
            ("events_per_record_max", entries(self.events_per_record_max), &ENTRIES),
            ("commands_per_event_max", entries(self.commands_per_event_max), &ENTRIES),
            ("effects_per_event_max", entries(self.effects_per_event_max), &ENTRIES),
            ("records_per_frame_max", entries(self.records_per_frame_max), &ENTRIES),
            ("entries_per_answer_max", entries(self.entries_per_answer_max), &ENTRIES),
        ] {
            if !range.contains(&value) {
                let (key, least, most) = (format!("module.limits.{key}"), range.start(), range.end());
                return Err(EngineError::Limits {
                    key,
                    reason: format!("is {value}, must be between {least} and {most}"),
                });
            }
        }
        Ok(())
    }
}

/// The fault of an answer with more entries than `limit` allows. Checked before anything is made of them.
pub(crate) fn check_entries(what: &str, count: usize, limit: &str, max: usize) -> Result<(), Fault> {
    if count <= max {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Excess, format!("returned {count} {what}, {limit} is {max}")))
}

/// What the operator lets a module use, by name. What is not here does not exist for the module.
#[derive(Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Endpoints that it may open websockets to.
    pub websocket: Vec<String>,
    /// Endpoints that it may send HTTP requests to.
    pub http: Vec<String>,
    /// Credential slots whose content the host may put into its requests.
    pub credential: Vec<String>,
    /// Schemes that the host may sign with for it.
    pub signing: Vec<String>,
    /// Whether it may keep state.
    pub state: bool,
}

/// How the engine works, once per process.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// Where compiled modules are kept; without it each start compiles again.
    pub cache_dir: Option<PathBuf>,
    /// What a module may use while it is loaded and asked for its description; its stack is the engine's.
    pub limits: Limits,
}
