//! Numbers of `[execute]` that would only fail, or do harm without a word, once the executor runs.

use unrip_protocol::decision::CLOCK_SKEW_MS_LIMIT;

use super::ExecuteSection;

/// LMDB maps whole pages; this is a multiple of every page size, so a file that is good here is good everywhere.
pub(super) const MAP_BYTES_STEP: usize = 64 * 1_024;
/// Smallest and largest state in bytes: an empty fold needs some pages, and no processor addresses more.
const MAP_BYTES: (usize, usize) = (1 << 20, 1 << 44);
/// Longest time of any setting, in milliseconds: sums of them must not overflow. 100 years.
const TIME_MS_MAX: i64 = 100 * 365 * 86_400_000;
/// Longest session of a group and longest drain, in milliseconds: the client takes no more.
const SESSION_MS_MAX: u64 = 3_600_000;
/// Commands in hand per partition at most: each keeps its record and action in memory.
const COMMANDS_OPEN_MAX: usize = 1_000_000;

/// Names the first setting that is out of its range, with the cure.
pub(super) fn check(section: &ExecuteSection) -> Result<(), String> {
    map_bytes(section.map_bytes)?;
    let limits = &section.limits;
    for (key, ms, min, max) in [
        ("clock_skew_ms_max", section.clock_skew_ms_max, 1, CLOCK_SKEW_MS_LIMIT),
        ("deadline_ms_max", section.deadline_ms_max, 1, TIME_MS_MAX),
        ("dispatch_window_ms_max", section.dispatch_window_ms_max, 1, TIME_MS_MAX),
        ("answer_timeout_ms", section.answer_timeout_ms, 1, TIME_MS_MAX),
        ("state_retention_ms", section.state_retention_ms, 1, TIME_MS_MAX),
        // A window without length counts nothing, and a balance is never younger than now.
        ("limits.window_ms", limits.window_ms.into(), 1, TIME_MS_MAX),
        ("limits.balance_age_ms_max", limits.balance_age_ms_max.into(), 1, TIME_MS_MAX),
    ] {
        within(key, ms, min, max)?;
    }
    within("session_timeout_ms", section.session_timeout_ms, 1, SESSION_MS_MAX)?;
    within("drain_timeout_ms", section.drain_timeout_ms, 1, SESSION_MS_MAX)?;
    within("commands_open_max", section.commands_open_max, 1, COMMANDS_OPEN_MAX)
}

fn map_bytes(bytes: usize) -> Result<(), String> {
    let (min, max) = MAP_BYTES;
    within("map_bytes", bytes, min, max)?;
    match bytes % MAP_BYTES_STEP {
        0 => Ok(()),
        rest => {
            let (below, above) = (bytes - rest, bytes - rest + MAP_BYTES_STEP);
            Err(format!("execute.map_bytes = {bytes} is not a multiple of {MAP_BYTES_STEP}; write {below} or {above}"))
        }
    }
}

fn within<T: PartialOrd + std::fmt::Display>(key: &str, value: T, min: T, max: T) -> Result<(), String> {
    match value >= min && value <= max {
        true => Ok(()),
        false => Err(format!("execute.{key} = {value} is out of range; write {min} to {max}")),
    }
}
