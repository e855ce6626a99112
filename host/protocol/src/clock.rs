//! Whether this process's clock can be trusted: it must not step, and it must agree with the broker's append times.
//!
//! After a step the process starts again. Disagreement closes the gate; the next own journal record that comes
//! back in agreement opens it.

use unrip_core::Timestamp;

/// What is known of the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockSense {
    skew_ms_max: i64,
    last: Option<(Timestamp, i64)>,
    doubt: Option<String>,
}

impl ClockSense {
    /// A clock that is not in doubt yet; clocks may differ by `skew_ms_max`.
    pub fn new(skew_ms_max: i64) -> Self {
        Self { skew_ms_max, last: None, doubt: None }
    }

    /// Why the clock is in doubt.
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// Compares how far the clock went with a monotonic counter, both read now. A step of the clock in milliseconds, if
    /// it made one.
    pub fn tick(&mut self, now: Timestamp, monotonic_ms: i64) -> Option<i64> {
        let last = self.last.replace((now, monotonic_ms));
        let step = last.map(|(before, counter)| now.millis_since(before) - (monotonic_ms - counter))?;
        (step.abs() > self.skew_ms_max).then_some(step)
    }

    /// Compares the append time of an own record with the clock before it was written and after it was read.
    pub fn measured(&mut self, written_at: Timestamp, appended_at: Timestamp, read_at: Timestamp) {
        let (ahead, behind) = (written_at.millis_since(appended_at), appended_at.millis_since(read_at));
        self.doubt = if ahead > self.skew_ms_max {
            Some(format!("the clock is {ahead} ms ahead of the broker's"))
        } else if behind > self.skew_ms_max {
            Some(format!("the clock is {behind} ms behind the broker's"))
        } else {
            None
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis)
    }

    #[test]
    fn a_step_in_either_direction_is_noticed_and_a_pause_is_none() {
        for (wall, counter, stepped) in [(1_000, 1_000, false), (60_000, 60_000, false), (2_100, 100, false)]
            .into_iter()
            .chain([(2_101, 100, true), (-600_000, 20, true), (3_600_000, 20, true)])
        {
            let mut sense = ClockSense::new(2_000);
            assert_eq!(sense.tick(at(0), 0), None);
            assert_eq!(sense.tick(at(wall), counter).is_some(), stepped, "{wall} {counter}");
        }
    }

    #[test]
    fn agreement_with_the_broker_ends_a_doubt_and_disagreement_begins_one() {
        let mut sense = ClockSense::new(2_000);
        sense.measured(at(10_000), at(7_999), at(10_001));
        assert!(sense.doubt().unwrap().contains("2001 ms ahead"));
        sense.measured(at(10_000), at(12_002), at(10_001));
        assert!(sense.doubt().unwrap().contains("2001 ms behind"));
        // Slow brokers append late: that is no disagreement as long as the record is read later still.
        sense.measured(at(10_000), at(40_000), at(41_000));
        assert_eq!(sense.doubt(), None);
    }
}
