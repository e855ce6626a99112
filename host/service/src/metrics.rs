//! Counters and gauges in Prometheus' text form, named `unrip_<noun>_<unit>_total`.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry as Inner;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

/// Values of one label that are kept apart; what comes later counts as `other`, so that a module cannot grow the page.
const LABEL_VALUES_MAX: usize = 64;
/// Longest label value in bytes.
const LABEL_BYTES_MAX: usize = 64;

/// The metrics of one service. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
}

/// Counters of one name, told apart by the value of one label.
#[derive(Clone, Debug)]
pub struct CounterBy {
    label: &'static str,
    family: Family<Vec<(&'static str, String)>, Counter<u64, AtomicU64>>,
    seen: Arc<Mutex<std::collections::BTreeSet<String>>>,
}

impl Registry {
    /// No metrics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter; `name` as it stands on the page, `unrip_…_total`.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        // The library adds `_total` itself.
        self.with(|inner| inner.register(stem(name), help, counter.clone()));
        counter
    }

    /// Counters by one label.
    pub fn counter_by(&self, name: &str, help: &str, label: &'static str) -> CounterBy {
        let family = Family::default();
        self.with(|inner| inner.register(stem(name), help, family.clone()));
        CounterBy { label, family, seen: Arc::default() }
    }

    /// Counters by two labels.
    pub fn counter_by_two(&self, name: &str, help: &str, labels: [&'static str; 2]) -> CounterByTwo {
        let family = Family::default();
        self.with(|inner| inner.register(stem(name), help, family.clone()));
        let [first, second] = labels.map(|label| CounterBy { label, family: Family::default(), seen: Arc::default() });
        CounterByTwo { family, first, second }
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Gauge {
        let gauge = Gauge::default();
        self.with(|inner| inner.register(name, help, gauge.clone()));
        gauge
    }

    /// A histogram with these upper bounds.
    pub fn histogram(&self, name: &str, help: &str, bounds: impl IntoIterator<Item = f64>) -> Histogram {
        let histogram = Histogram::new(bounds);
        self.with(|inner| inner.register(name, help, histogram.clone()));
        histogram
    }

    /// The page that `/metrics` shows.
    pub fn render(&self) -> String {
        let mut page = String::new();
        // Writing into a string cannot fail.
        let _ = self.with(|inner| encode(&mut page, inner));
        page
    }

    fn with<T>(&self, f: impl FnOnce(&mut Inner) -> T) -> T {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CounterBy {
    /// Counts one.
    pub fn inc(&self, value: &str) {
        self.add(value, 1);
    }

    /// Counts `n`.
    pub fn add(&self, value: &str, n: u64) {
        self.family.get_or_create(&vec![(self.label, self.bounded(value))]).inc_by(n);
    }

    /// The count of one label value; 0 if it never came.
    pub fn get(&self, value: &str) -> u64 {
        self.family.get(&vec![(self.label, value.to_owned())]).map_or(0, |counter| counter.get())
    }

    fn bounded(&self, value: &str) -> String {
        let clean: String = value.chars().filter(|c| c.is_ascii_graphic()).take(LABEL_BYTES_MAX).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(&clean) {
            return clean;
        }
        if seen.len() >= LABEL_VALUES_MAX {
            return "other".to_owned();
        }
        seen.insert(clean.clone());
        clean
    }
}

/// Counters of one name, told apart by the values of two labels.
#[derive(Clone, Debug)]
pub struct CounterByTwo {
    family: Family<Vec<(&'static str, String)>, Counter<u64, AtomicU64>>,
    // Only their labels and bounds are used.
    first: CounterBy,
    second: CounterBy,
}

impl CounterByTwo {
    /// Counts one.
    pub fn inc(&self, first: &str, second: &str) {
        let labels =
            vec![(self.first.label, self.first.bounded(first)), (self.second.label, self.second.bounded(second))];
        self.family.get_or_create(&labels).inc();
    }
}

fn stem(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_each_counter_under_the_name_that_was_given() {
        let registry = Registry::new();
        registry.counter("unrip_frames_total", "Frames.").inc();
        let by = registry.counter_by("unrip_dead_letters_total", "Dead letters.", "reason");
        by.inc("bad_json");
        registry.counter_by_two("unrip_decisions_total", "Decisions.", ["decision", "reason"]).inc("decline", "odd");
        let page = registry.render();
        assert!(page.contains("unrip_decisions_total{decision=\"decline\",reason=\"odd\"} 1\n"), "{page}");
        assert!(page.contains("\nunrip_frames_total 1\n"), "{page}");
        assert!(page.contains("unrip_dead_letters_total{reason=\"bad_json\"} 1\n"), "{page}");
    }

    #[test]
    fn bounds_the_values_of_a_label() {
        let by = Registry::new().counter_by("unrip_chatter_total", "Chatter.", "kind");
        for n in 0..1_000 {
            by.inc(&format!("kind{n}"));
        }
        assert_eq!(by.get("kind0"), 1);
        assert_eq!(by.get("other"), 1_000 - LABEL_VALUES_MAX as u64);
    }
}
