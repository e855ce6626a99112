//! What a module can reach of the host: one log line at a time.

use wasmtime::StoreLimits;

use crate::v0_1::bindings::shared::unrip::host::log;

/// Log lines per call; more are counted, not written.
pub(crate) const LOG_LINES_MAX: u32 = 64;
/// Bytes of a log line; the rest is cut.
pub(crate) const LOG_LINE_BYTES_MAX: usize = 1024;

/// The data of a store.
pub(crate) struct Host {
    pub(crate) limits: StoreLimits,
    pub(crate) module: std::sync::Arc<str>,
    pub(crate) lines: u32,
}

impl log::Host for Host {
    fn log(&mut self, _level: log::Level, _message: String) {}
}
