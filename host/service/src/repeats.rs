//! Log lines that hostile input could repeat without end: the first of each kind at once, then one in a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two lines of one kind.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Kinds that are kept apart; later ones count as one.
const KINDS_MAX: usize = 64;

/// Decides which of many events of a kind are logged. Metrics count every one of them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Repeats(Arc<Mutex<BTreeMap<String, Kind>>>);

#[derive(Debug)]
struct Kind {
    logged_at: Instant,
    unlogged: u64,
}

impl Repeats {
    /// Whether this event should be logged: then how many of its kind were not, since the last one that was.
    pub fn note(&self, kind: &str, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = if kinds.len() >= KINDS_MAX && !kinds.contains_key(kind) { "other" } else { kind };
        let Some(seen) = kinds.get_mut(kind) else {
            kinds.insert(kind.to_owned(), Kind { logged_at: now, unlogged: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(seen.logged_at) < LINE_INTERVAL {
            seen.unlogged += 1;
            return None;
        }
        seen.logged_at = now;
        Some(std::mem::take(&mut seen.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_the_first_of_a_kind_and_then_one_with_the_count_of_the_rest() {
        let (repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.note("odd", start), Some(0));
        assert!((0..10_000).all(|_| repeats.note("odd", start).is_none()));
        assert_eq!(repeats.note("bad", start), Some(0), "another kind has lines of its own");
        assert_eq!(repeats.note("odd", start + LINE_INTERVAL), Some(10_000));
        assert_eq!(repeats.note("odd", start + LINE_INTERVAL), None);
    }

    #[test]
    fn keeps_a_bounded_number_of_kinds() {
        let (repeats, now) = (Repeats::default(), Instant::now());
        let logged = (0..1_000).filter(|n| repeats.note(&n.to_string(), now).is_some()).count();
        assert_eq!(logged, KINDS_MAX + 1);
    }
}
