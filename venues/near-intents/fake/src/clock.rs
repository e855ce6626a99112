//! The venue's own clock: the machine's, ahead or behind by so much, and never going back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// Milliseconds since 1970, never going back even if the machine's clock or the offset does.
#[derive(Debug)]
pub(super) struct WallClock {
    newest: AtomicU64,
    offset_ms: watch::Sender<i64>,
}

impl WallClock {
    pub(super) fn new(offset_ms: i64, newest_ms: u64) -> Self {
        Self { newest: AtomicU64::new(newest_ms), offset_ms: watch::Sender::new(offset_ms) }
    }

    #[allow(clippy::disallowed_methods, reason = "the fake venue is another party with a clock of its own")]
    pub(super) fn now_ms(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let now = u64::try_from(now).unwrap_or(u64::MAX).saturating_add_signed(*self.offset_ms.borrow());
        self.newest.fetch_max(now, Ordering::SeqCst).max(now)
    }

    /// Steps it. Stepped back it stands still until the time has come again.
    pub(super) fn set_offset(&self, offset_ms: i64) {
        self.offset_ms.send_replace(offset_ms);
    }

    /// Changes when the clock is stepped: a sleeping task must look at it again.
    pub(super) fn steps(&self) -> watch::Receiver<i64> {
        self.offset_ms.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ahead_by_its_offset_and_never_goes_back() {
        let clock = WallClock::new(0, 0);
        let before = clock.now_ms();
        clock.set_offset(3_600_000);
        let ahead = clock.now_ms();
        assert!(ahead >= before + 3_600_000);
        clock.set_offset(-3_600_000);
        assert_eq!(clock.now_ms(), ahead);
        assert_eq!(WallClock::new(0, u64::MAX).now_ms(), u64::MAX);
    }
}
