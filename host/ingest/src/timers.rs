//! The timers that a module asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Timers that a module may have at once; it names them itself and has no use for more.
const TIMERS_MAX: usize = 256;

/// The shortest timer in milliseconds: a module that sets its timer again each time it fires must not spin.
const AFTER_MS_MIN: u32 = 10;

/// Named one-shot timers; the same name again replaces the first.
#[derive(Default)]
pub(crate) struct Timers {
    due: BTreeMap<String, Instant>,
}

impl Timers {
    /// Sets a timer, of [`AFTER_MS_MIN`] at least; the error says that there are too many.
    pub(crate) fn set(&mut self, name: String, after_ms: u32) -> Result<(), String> {
        if self.due.len() >= TIMERS_MAX && !self.due.contains_key(&name) {
            return Err(format!("more than {TIMERS_MAX} timers"));
        }
        self.due.insert(name, Instant::now() + Duration::from_millis(after_ms.max(AFTER_MS_MIN).into()));
        Ok(())
    }

    /// Forgets all of them: the module that set them is gone.
    pub(crate) fn clear(&mut self) {
        self.due.clear();
    }

    /// Waits for the next timer; for ever if there is none. Cancelled, it loses none.
    pub(crate) async fn next(&mut self) -> String {
        let next = self.due.iter().min_by_key(|(_, at)| **at).map(|(name, at)| (name.clone(), *at));
        let Some((name, at)) = next else { return std::future::pending().await };
        tokio::time::sleep_until(at).await;
        self.due.remove(&name);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn fires_in_order_once_and_replaces_by_name() {
        let mut timers = Timers::default();
        timers.set("late".into(), 60_000).unwrap();
        timers.set("second".into(), 30).unwrap();
        timers.set("late".into(), 15).unwrap();
        assert_eq!(timers.next().await, "late");
        assert_eq!(timers.next().await, "second");
        assert!(timers.due.is_empty());
    }

    #[tokio::test]
    async fn holds_a_bounded_number() {
        let mut timers = Timers::default();
        for n in 0..TIMERS_MAX {
            timers.set(n.to_string(), 60_000).unwrap();
        }
        assert!(timers.set("one more".into(), 1).is_err());
        assert!(timers.set("0".into(), 1).is_ok());
    }

    #[tokio::test]
    async fn a_timer_of_no_time_waits_a_little() {
        let mut timers = Timers::default();
        let before = Instant::now();
        timers.set("now".into(), 0).unwrap();
        assert_eq!(timers.next().await, "now");
        assert!(before.elapsed() >= Duration::from_millis(AFTER_MS_MIN.into()));
    }
}
