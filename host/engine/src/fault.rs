//! How calls fail, and what becomes of an input then.

use std::collections::BTreeMap;
use std::fmt;

/// How a call of a module failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// It trapped: a panic, a division by zero, memory out of bounds.
    Trap,
    /// It ran longer than `call_ms_max`.
    Time,
    /// It wanted more than `memory_bytes_max`.
    Memory,
    /// It recursed deeper than `stack_bytes_max`.
    Stack,
    /// It returned or logged more bytes than `output_bytes_max`.
    Output,
    /// It returned more entries than its limits allow: events, commands, effects, records or headers.
    Excess,
    /// It returned something without meaning: text that is not UTF-8, a malformed amount, an empty id.
    Invalid,
    /// It returned another number of results than there were inputs.
    Count,
    /// It asked for an endpoint, credential or signing scheme that it was not granted.
    NotGranted,
    /// A new instance could not be made.
    Rebuild,
}

impl FaultKind {
    /// As a `reason_code` and metric label.
    pub fn code(self) -> &'static str {
        match self {
            Self::Trap => "module_trap",
            Self::Time => "module_time",
            Self::Memory => "module_memory",
            Self::Stack => "module_stack",
            Self::Output => "module_output",
            Self::Excess => "module_excess",
            Self::Invalid => "module_invalid",
            Self::Count => "module_count",
            Self::NotGranted => "module_not_granted",
            Self::Rebuild => "module_rebuild",
        }
    }
}

/// A failed call. The next call has a new instance, unless only the results for single inputs were unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of failure.
    pub kind: FaultKind,
    /// For people: what happened, with the first frames of a trap.
    pub text: String,
}

impl Fault {
    pub(crate) fn new(kind: FaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.code(), self.text)
    }
}

impl std::error::Error for Fault {}

/// The faults of a worker since they were last taken: how often each kind came, and the first text of each. Its size
/// does not depend on how often a module fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    kinds: BTreeMap<FaultKind, (u64, String)>,
}

impl FaultCounts {
    pub(crate) fn note(&mut self, fault: &Fault) {
        self.kinds.entry(fault.kind).or_insert_with(|| (0, fault.text.clone())).0 += 1;
    }

    /// Kind, how often it came, and the first text.
    pub fn iter(&self) -> impl Iterator<Item = (FaultKind, u64, &str)> {
        self.kinds.iter().map(|(kind, (count, text))| (*kind, *count, text.as_str()))
    }
}

/// Why one input gave nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The module refuses it: to the dead letters.
    Reject {
        /// snake_case, at most 64 characters.
        code: String,
        /// For people.
        text: String,
    },
    /// Hold the partition and try again after so many milliseconds.
    RetryAfter {
        /// Milliseconds.
        ms: u32,
        /// snake_case, at most 64 characters.
        code: String,
        /// For people.
        text: String,
    },
    /// The module cannot continue: the service decides whether it is broken or the input hostile.
    Fatal {
        /// snake_case, at most 64 characters.
        code: String,
        /// For people.
        text: String,
    },
    /// The module failed twice on this input alone, or its result cannot be used: to the dead letters.
    Fault(Fault),
}

/// The module cannot be called any more: the service stops.
#[derive(Debug, thiserror::Error)]
#[error("module {name} cannot continue: {fault}")]
pub struct Fatal {
    /// The module.
    pub name: String,
    /// Why.
    pub fault: Fault,
}
