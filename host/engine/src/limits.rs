//! What a module may use and what it is granted.

use std::path::PathBuf;

use serde::Deserialize;

use crate::error::LoadError;

/// Smallest and largest wasm stack in bytes: less cannot run a parser, more does not fit a thread of 2 MiB.
const STACK_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=1024 * 1024;

/// How much one call of a module may use.
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 64 * 1024 * 1024,
            // Calls take microseconds; the slack is for busy machines, where time passes without the module running.
            call_ms_max: 500,
            stack_bytes_max: 512 * 1024,
            output_bytes_max: 8 * 1024 * 1024,
        }
    }
}

impl Limits {
    /// Refuses limits under which nothing could run or the host itself would suffer.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let wrong = |key: &str, reason: String| Err(LoadError::Limits { key: format!("module.limits.{key}"), reason });
        if !STACK_BYTES.contains(&self.stack_bytes_max) {
            let (least, most) = STACK_BYTES.into_inner();
            return wrong(
                "stack_bytes_max",
                format!("{} is not between {least} and {most} bytes", self.stack_bytes_max),
            );
        }
        for (key, value) in [
            ("memory_bytes_max", self.memory_bytes_max),
            ("call_ms_max", self.call_ms_max),
            ("output_bytes_max", self.output_bytes_max),
        ] {
            if value == 0 {
                return wrong(key, "is 0; nothing could run".to_owned());
            }
        }
        Ok(())
    }
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
    /// Where compiled modules are kept; none compiles anew at each start.
    pub cache_dir: Option<PathBuf>,
    /// What a module may use while it is loaded and asked for its description; its stack is the engine's.
    pub limits: Limits,
}
