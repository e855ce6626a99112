//! The time that counts, and whether the clock behind it can be trusted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use unrip_core::Timestamp;
use unrip_service::clock::Clock;

use crate::journal::unconfirmed::Moment;
use unrip_protocol::clock::ClockSense;

/// The clock, held against the broker's append times.
pub(crate) struct Time {
    clock: Arc<dyn Clock>,
    sense: ClockSense,
    newest_append: Timestamp,
    /// The process's start, to count from.
    started_at: Instant,
}

impl Time {
    pub(crate) fn new(clock: Arc<dyn Clock>, clock_skew_ms_max: i64) -> Self {
        let (sense, newest_append) = (ClockSense::new(clock_skew_ms_max), Timestamp::default());
        Self { clock, sense, newest_append, started_at: Instant::now() }
    }

    /// Never earlier than the newest append that was read.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().max(self.newest_append)
    }

    /// By the own clock alone: what append times are compared with.
    pub(crate) fn moment(&self) -> Moment {
        Moment::now(self.clock.now())
    }

    /// Since the start of the process.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started_at.elapsed()
    }

    /// By how many milliseconds the clock stepped since the last call, if it did.
    pub(crate) fn stepped(&mut self) -> Option<i64> {
        let counter = i64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.sense.tick(self.clock.now(), counter)
    }

    /// A record came back from the log; an own one also says whether the clocks agree.
    pub(crate) fn appended(&mut self, written: Option<Moment>, appended_at: Timestamp) {
        if let Some(written) = written {
            self.sense.measured(written.at, appended_at, self.clock.now());
        }
        self.newest_append = self.newest_append.max(appended_at);
    }

    /// The newest append time of the journal that was read.
    pub(crate) fn newest_append(&self) -> Timestamp {
        self.newest_append
    }

    /// Why the clock is in doubt.
    pub(crate) fn doubt(&self) -> Option<&str> {
        self.sense.doubt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(Timestamp);

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            self.0
        }
    }

    #[test]
    fn time_never_runs_behind_the_journal_and_only_own_records_measure_the_clock() {
        let mut time = Time::new(Arc::new(Fixed(Timestamp::from_millis(1_000_000))), 2_000);
        let written = time.moment();
        time.appended(None, Timestamp::from_millis(1_900_000));
        assert_eq!((time.now(), time.doubt()), (Timestamp::from_millis(1_900_000), None));
        time.appended(Some(written), Timestamp::from_millis(1_500_000));
        assert!(time.doubt().is_some_and(|doubt| doubt.contains("behind")));
        assert_eq!(time.now(), Timestamp::from_millis(1_900_000), "an older append takes nothing back");
        time.appended(Some(written), Timestamp::from_millis(1_001_000));
        assert_eq!(time.doubt(), None);
    }
}
