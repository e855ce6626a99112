//! What wasmtime's errors mean.

use unrip_core::text::cut;
use wasmtime::{Trap, WasmBacktrace};

use crate::fault::{Fault, FaultKind};
use crate::host::Host;

/// Bytes of a fault's text.
const TEXT_BYTES_MAX: usize = 2048;
/// Frames of a trap that the text names.
const FRAMES_MAX: usize = 5;
/// How wasmtime says that a result was larger than allowed: its error type is private.
const OUTPUT_TEXT: &str = "fuel allocated for hostcalls has been exhausted";

/// The fault that a failed call was.
pub(crate) fn of_call(error: &wasmtime::Error, host: &Host) -> Fault {
    let cause = error.root_cause().to_string();
    let (kind, what) = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => (FaultKind::Time, "ran longer than module.limits.call_ms_max".to_owned()),
        Some(Trap::StackOverflow) => {
            (FaultKind::Stack, "recursed deeper than module.limits.stack_bytes_max".to_owned())
        }
        // How a guest ends that was refused memory: it aborts, or it uses the address that it did not get.
        Some(Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds) if host.memory_refused() => no_memory(&cause),
        Some(_) => (FaultKind::Trap, cause),
        None if cause.contains(OUTPUT_TEXT) => {
            (FaultKind::Output, "returned or logged more than module.limits.output_bytes_max".to_owned())
        }
        // No trap: what it returned is not of its type (a string that is not UTF-8, a pointer outside its memory).
        None => (FaultKind::Invalid, cause),
    };
    Fault::new(kind, bounded(&format!("{what}{}", frames(error))))
}

/// Why an instance could not be made: as of a call, or its exports do not fit.
pub(crate) fn of_instantiation(error: &wasmtime::Error, host: &Host) -> Fault {
    if error.downcast_ref::<Trap>().is_some() {
        return of_call(error, host);
    }
    if host.memory_refused() {
        let (kind, what) = no_memory(&error.root_cause().to_string());
        return Fault::new(kind, bounded(&what));
    }
    Fault::new(FaultKind::Rebuild, bounded(&format!("{error:#}")))
}

fn no_memory(cause: &str) -> (FaultKind, String) {
    (FaultKind::Memory, format!("was refused more memory than module.limits.memory_bytes_max: {cause}"))
}

/// A text that fits a log line or a dead letter.
pub(crate) fn bounded(text: &str) -> String {
    cut(text, TEXT_BYTES_MAX).to_owned()
}

/// The innermost frames: where it was.
fn frames(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else { return String::new() };
    // The first line is a heading; a frame reads `0: 0x12 - module!function`.
    let trace = trace.to_string();
    let names: Vec<&str> =
        trace.lines().skip(1).take(FRAMES_MAX).filter_map(|line| line.split(" - ").last()).map(str::trim).collect();
    if names.is_empty() { String::new() } else { format!("; in {}", names.join(" < ")) }
}
