//! How many log lines a module may write: per call, and per second over all its instances.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Log lines of one call; more are counted, not written.
const LINES_PER_CALL_MAX: u32 = 64;
/// Log lines of one second, however many calls and instances it has.
const LINES_PER_SECOND_MAX: u32 = 128;
/// Between two reports of lines that were not written.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// One module's log lines. It outlives instances: a module that traps after each flood gets no more than another.
pub(crate) struct LogBudget {
    module: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    in_call: u32,
    in_second: u32,
    second_started_at: Option<Instant>,
    /// Lines that were not written and that no report has counted.
    unwritten: u64,
    reported_at: Option<Instant>,
}

impl LogBudget {
    pub(crate) fn new(module: &str) -> Self {
        Self { module: module.to_owned(), state: Mutex::default() }
    }

    pub(crate) fn module(&self) -> &str {
        &self.module
    }

    /// A call starts: it has its own lines.
    pub(crate) fn start_call(&self) {
        self.with(|state| state.in_call = 0);
    }

    /// Whether the next line is written.
    pub(crate) fn take(&self, now: Instant) -> bool {
        self.with(|state| state.take(now))
    }

    /// Reports what was not written, at most once in ten seconds.
    pub(crate) fn report(&self, now: Instant) {
        if let Some(unwritten) = self.with(|state| state.due(now)) {
            self.warn(unwritten);
        }
    }

    fn warn(&self, unwritten: u64) {
        let (per_call_max, per_second_max) = (LINES_PER_CALL_MAX, LINES_PER_SECOND_MAX);
        tracing::warn!(
            module = self.module,
            unwritten,
            per_call_max,
            per_second_max,
            "the module logs too much; some of its lines were not written"
        );
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for LogBudget {
    fn drop(&mut self) {
        let unwritten = self.with(|state| state.unwritten);
        if unwritten > 0 {
            self.warn(unwritten);
        }
    }
}

impl State {
    fn take(&mut self, now: Instant) -> bool {
        let is_over = |started_at| now.duration_since(started_at) >= Duration::from_secs(1);
        if self.second_started_at.is_none_or(is_over) {
            (self.second_started_at, self.in_second) = (Some(now), 0);
        }
        let is_written = self.in_call < LINES_PER_CALL_MAX && self.in_second < LINES_PER_SECOND_MAX;
        if is_written {
            self.in_call += 1;
            self.in_second += 1;
        } else {
            self.unwritten = self.unwritten.saturating_add(1);
        }
        is_written
    }

    fn due(&mut self, now: Instant) -> Option<u64> {
        let is_early = |reported_at| now.duration_since(reported_at) < REPORT_INTERVAL;
        if self.unwritten == 0 || self.reported_at.is_some_and(is_early) {
            return None;
        }
        self.reported_at = Some(now);
        Some(std::mem::take(&mut self.unwritten))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_and_a_second_have_so_many_lines_and_the_rest_is_counted_now_and_then() {
        let (mut state, start) = (State::default(), Instant::now());
        let mut written = 0;
        for _ in 0..1_000 {
            state.in_call = 0;
            written += (0..100).filter(|_| state.take(start)).count();
        }
        assert_eq!(written, 128);
        assert_eq!(state.due(start), Some(100_000 - 128));
        assert_eq!(state.due(start), None);
        // The next second has lines again; a single call does not get all of them.
        let later = start + Duration::from_secs(1);
        state.in_call = 0;
        assert_eq!((0..100).filter(|_| state.take(later)).count(), 64);
        assert_eq!(state.due(later), None, "reported less than ten seconds ago");
        assert_eq!(state.due(start + REPORT_INTERVAL), Some(36));
    }
}
