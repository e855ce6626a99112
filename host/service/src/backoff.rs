//! How long to wait before something that ended or failed is tried again. Pure: time and randomness come in.
//!
//! One rule for every connection and for the module's faults, between two wishes: a venue that drops useful connections
//! must not cost a minute of trading, and a venue that flaps must not be asked every second (some ban that).
//!
//! - What lasted [`LASTING`] starts again at the shortest wait.
//! - What ended sooner, but brought something of use, resets the doubling: the wait is the shortest one, then twice and
//!   at most [`USEFUL_WAIT_MAX_FACTOR`] times that while such short lives follow each other.
//! - What ended without use doubles the wait, up to the longest one.
//!
//! Each wait is taken from half to all of its length at random, so that what ended together does not return together.

use std::time::Duration;

/// What lasted this long is in order: what follows has nothing to do with earlier failures.
pub const LASTING: Duration = Duration::from_secs(30);
/// The longest wait after short but useful lives, in shortest waits.
pub const USEFUL_WAIT_MAX_FACTOR: u32 = 8;

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It lasted [`LASTING`] at least.
    Lasted,
    /// Sooner, but it brought something of use (an event, an answer).
    Useful,
    /// Sooner, and without any use; or it never started.
    Useless,
}

impl Ended {
    /// How something ended that lived for `life`.
    pub fn after(life: Duration, useful: bool) -> Self {
        match () {
            () if life >= LASTING => Self::Lasted,
            () if useful => Self::Useful,
            () => Self::Useless,
        }
    }
}

/// Waits between attempts at one thing.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    /// Ends without use since the last useful one.
    useless: u32,
    /// Short but useful lives in a row.
    short: u32,
}

impl Backoff {
    /// Waits from `min` to `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), useless: 0, short: 0 }
    }

    /// The next wait; `fraction`, from 0 to 1, is the jitter.
    pub fn next(&mut self, ended: Ended, fraction: f64) -> Duration {
        let (doublings, max) = match ended {
            Ended::Lasted => {
                (self.useless, self.short) = (0, 0);
                (0, self.max)
            }
            Ended::Useful => {
                self.useless = 0;
                self.short = self.short.saturating_add(1);
                (self.short - 1, self.max.min(self.min.saturating_mul(USEFUL_WAIT_MAX_FACTOR)))
            }
            Ended::Useless => {
                self.useless = self.useless.saturating_add(1);
                (self.useless - 1, self.max)
            }
        };
        let wait = self.min.saturating_mul(2u32.saturating_pow(doublings)).min(max);
        wait.mul_f64(0.5 + fraction.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Ended::{Lasted, Useful, Useless};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waits(ends: &[Ended]) -> Vec<u64> {
        let mut backoff = Backoff::new(SECOND, 60 * SECOND);
        ends.iter().map(|ended| backoff.next(*ended, 1.0).as_secs()).collect()
    }

    #[test]
    fn follows_its_table() {
        for (ends, expected) in [
            // Flapping without any event: as slow as configured.
            (&[Useless; 8][..], &[1, 2, 4, 8, 16, 32, 60, 60][..]),
            // A relay that drops often, but answers on each connection: never long away.
            (&[Useful; 6], &[1, 2, 4, 8, 8, 8]),
            // One useful connection forgives all refusals before it.
            (&[Useless, Useless, Useless, Useful, Useless], &[1, 2, 4, 1, 1]),
            // Refusals between short useful lives do not hide that these follow each other.
            (&[Useful, Useful, Useless, Useful], &[1, 2, 1, 4]),
            (&[Useful, Useful, Useful, Lasted, Useful], &[1, 2, 4, 1, 1]),
            (&[Useless, Useless, Lasted, Useless], &[1, 2, 1, 1]),
        ] {
            assert_eq!(waits(ends), expected, "{ends:?}");
        }
    }

    #[test]
    fn never_reconnects_more_often_than_a_venue_bears() {
        // A venue that bans about 150 connections in 10 minutes: the shortest jitter, and lives of no length.
        for ended in [Useful, Useless] {
            let mut backoff = Backoff::new(SECOND, 60 * SECOND);
            let (mut passed, mut connects) = (Duration::ZERO, 0);
            while passed < 600 * SECOND {
                passed += backoff.next(ended, 0.0);
                connects += 1;
            }
            assert!(connects <= 153, "{connects} after {ended:?}");
        }
    }

    #[test]
    fn stays_in_its_bounds_and_jitters() {
        let mut backoff = Backoff::new(SECOND, 5 * SECOND);
        for _ in 0..100 {
            let wait = backoff.next(Useless, 0.0);
            assert!(wait >= SECOND / 2 && wait <= 5 * SECOND / 2, "{wait:?}");
        }
        assert_eq!(backoff.next(Useless, 1.0), 5 * SECOND);
        // A longest wait below the shortest one is the shortest one.
        assert_eq!(Backoff::new(SECOND, Duration::ZERO).next(Useless, 1.0), SECOND);
    }

    #[test]
    fn sorts_ends_by_life_and_use() {
        assert_eq!(Ended::after(LASTING, false), Lasted);
        assert_eq!(Ended::after(SECOND, true), Useful);
        assert_eq!(Ended::after(SECOND, false), Useless);
    }
}
