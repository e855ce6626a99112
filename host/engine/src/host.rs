//! What a module can reach of the host: memory up to a limit, and one log line at a time.

use std::sync::Arc;
use std::time::Instant;

use unrip_core::text::cut;
use wasmtime::ResourceLimiter;

use crate::Limits;
use crate::log_budget::LogBudget;
use crate::v0_1::bindings::shared::unrip::{host::log, types};

/// Bytes of a log line; the rest is cut.
const LOG_LINE_BYTES_MAX: usize = 1024;
/// Core instances, tables and memories of one component. They are fixed by its bytes; adapters and interpreters bring a dozen.
const PARTS_MAX: usize = 256;
/// Bytes of host memory that one table element takes.
const TABLE_ELEMENT_BYTES: u64 = 16;

/// The data of a store: one instance's share of the host.
pub(crate) struct Host {
    log: Arc<LogBudget>,
    memory_bytes_max: u64,
    memory_bytes: u64,
    memory_refused: bool,
}

impl Host {
    pub(crate) fn new(log: Arc<LogBudget>, limits: &Limits) -> Self {
        Self { log, memory_bytes_max: limits.memory_bytes_max, memory_bytes: 0, memory_refused: false }
    }

    /// A call starts: its log lines and refusals are its own.
    pub(crate) fn begin(&mut self) {
        self.log.start_call();
        self.memory_refused = false;
    }

    /// A call ended.
    pub(crate) fn end(&self) {
        self.log.report(Instant::now());
    }

    /// Whether this call was refused memory, and has not been granted any since: otherwise it got over it.
    pub(crate) fn memory_refused(&self) -> bool {
        self.memory_refused
    }

    /// One sum for all memories and tables of the instance: a limit on each alone would be none.
    fn grow(&mut self, current: u64, desired: u64) -> bool {
        let more = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        let granted = more <= self.memory_bytes_max;
        // What is granted and not got (the system has no more) stays counted: wasmtime also reports growth that failed
        // before this was asked, and taking that back would let a module exceed its limit.
        if granted {
            self.memory_bytes = more;
        }
        self.memory_refused = !granted;
        granted
    }
}

impl ResourceLimiter for Host {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current as u64, desired as u64))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| (elements as u64).saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }

    fn instances(&self) -> usize {
        PARTS_MAX
    }

    fn tables(&self) -> usize {
        PARTS_MAX
    }

    fn memories(&self) -> usize {
        PARTS_MAX
    }
}

impl types::common::Host for Host {}
impl types::canonical::Host for Host {}
impl types::command::Host for Host {}

impl log::Host for Host {
    fn log(&mut self, level: log::Level, message: String) {
        if !self.log.take(Instant::now()) {
            return;
        }
        let module = self.log.module();
        let line = cut(&message, LOG_LINE_BYTES_MAX);
        let cut_bytes = message.len().saturating_sub(line.len());
        match level {
            log::Level::Debug => tracing::debug!(target: "module", module, cut_bytes, "{line}"),
            log::Level::Info => tracing::info!(target: "module", module, cut_bytes, "{line}"),
            log::Level::Warn => tracing::warn!(target: "module", module, cut_bytes, "{line}"),
            log::Level::Error => tracing::error!(target: "module", module, cut_bytes, "{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(memory_bytes_max: u64) -> Host {
        Host::new(Arc::new(LogBudget::new("a-venue/normalize")), &Limits { memory_bytes_max, ..Limits::default() })
    }

    #[test]
    fn all_memories_and_tables_share_one_limit() {
        let mut host = host(300_000);
        assert!(host.memory_growing(0, 131_072, None).unwrap());
        assert!(host.memory_growing(0, 131_072, None).unwrap());
        assert!(!host.memory_growing(131_072, 196_608, None).unwrap());
        assert!(host.memory_refused());
        assert!(host.table_growing(0, 1_000, None).unwrap());
        assert!(!host.table_growing(1_000, 10_000, None).unwrap());
    }

    #[test]
    fn a_refusal_counts_for_its_own_call_only_and_until_memory_is_granted() {
        let mut host = host(65_536);
        assert!(!host.memory_growing(0, 131_072, None).unwrap());
        host.begin();
        assert!(!host.memory_refused());
        assert!(!host.memory_growing(0, 131_072, None).unwrap());
        assert!(host.memory_growing(0, 65_536, None).unwrap());
        assert!(!host.memory_refused(), "it got over the refusal");
    }
}
