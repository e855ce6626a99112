//! Counters and gauges in Prometheus' text form, named `unrip_<noun>_<unit>_total`.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry as Inner;

pub use prometheus_client::metrics::counter::Counter;
pub use prometheus_client::metrics::gauge::Gauge;
pub use prometheus_client::metrics::histogram::Histogram;

/// Values of one label that are kept apart; later ones count as `other`, so that a module cannot grow the page.
const LABEL_VALUES_MAX: usize = 64;
/// Longest label value in bytes.
const LABEL_BYTES_MAX: usize = 64;

/// The metrics of one service. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    inner: Arc<Mutex<Inner>>,
}

/// Metrics of one name, distinguished by the values of `N` labels.
#[derive(Clone, Debug)]
pub struct By<const N: usize, M> {
    family: Family<Vec<(&'static str, String)>, M>,
    labels: Labels<N>,
}

/// Counters of one name, distinguished by the value of one label.
pub type CounterBy = By<1, Counter<u64, AtomicU64>>;
/// Counters of one name, distinguished by the values of two labels.
pub type CounterByTwo = By<2, Counter<u64, AtomicU64>>;
/// Gauges of one name, distinguished by the values of two labels.
pub type GaugeByTwo = By<2, Gauge>;

/// The names of labels, and the values of each that were seen: a bounded number.
#[derive(Clone, Debug)]
struct Labels<const N: usize> {
    names: [&'static str; N],
    seen: Arc<Mutex<[BTreeSet<String>; N]>>,
}

impl Registry {
    /// No metrics yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter; `name` as the page shows it, with its `_total`.
    pub fn counter(&self, name: &str, help: &str) -> Counter {
        let counter = Counter::default();
        // The library adds `_total` itself.
        self.with(|inner| inner.register(stem(name), help, counter.clone()));
        counter
    }

    /// Counters by one label.
    pub fn counter_by(&self, name: &str, help: &str, label: &'static str) -> CounterBy {
        self.by(stem(name), help, [label])
    }

    /// Counters by two labels.
    pub fn counter_by_two(&self, name: &str, help: &str, labels: [&'static str; 2]) -> CounterByTwo {
        self.by(stem(name), help, labels)
    }

    /// Gauges by two labels.
    pub fn gauge_by_two(&self, name: &str, help: &str, labels: [&'static str; 2]) -> GaugeByTwo {
        self.by(name, help, labels)
    }

    fn by<const N: usize, M>(&self, name: &str, help: &str, names: [&'static str; N]) -> By<N, M>
    where
        M: EncodeMetric + TypedMetric + Clone + Default + Debug + Send + Sync + 'static,
    {
        let family = Family::default();
        self.with(|inner| inner.register(name, help, family.clone()));
        let seen = Arc::new(Mutex::new(std::array::from_fn(|_| BTreeSet::new())));
        By { family, labels: Labels { names, seen } }
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

impl<const N: usize> Labels<N> {
    fn of(&self, values: [&str; N]) -> Vec<(&'static str, String)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let bounded = seen.iter_mut().zip(values).map(|(seen, value)| bounded(seen, value));
        self.names.into_iter().zip(bounded).collect()
    }
}

fn bounded(seen: &mut BTreeSet<String>, value: &str) -> String {
    let clean: String = value.chars().filter(char::is_ascii_graphic).take(LABEL_BYTES_MAX).collect();
    if seen.contains(&clean) {
        return clean;
    }
    if seen.len() >= LABEL_VALUES_MAX {
        return "other".to_owned();
    }
    seen.insert(clean.clone());
    clean
}

impl CounterBy {
    /// Counts one.
    pub fn inc(&self, value: &str) {
        self.add(value, 1);
    }

    /// Counts `n`.
    pub fn add(&self, value: &str, n: u64) {
        self.family.get_or_create(&self.labels.of([value])).inc_by(n);
    }

    /// The count of one label value; 0 if it never came.
    pub fn get(&self, value: &str) -> u64 {
        let [name] = self.labels.names;
        self.family.get(&vec![(name, value.to_owned())]).map_or(0, |counter| counter.get())
    }
}

impl CounterByTwo {
    /// Counts one.
    pub fn inc(&self, first: &str, second: &str) {
        self.family.get_or_create(&self.labels.of([first, second])).inc();
    }
}

impl GaugeByTwo {
    /// Sets the gauge of these values.
    pub fn set(&self, first: &str, second: &str, value: i64) {
        self.family.get_or_create(&self.labels.of([first, second])).set(value);
    }

    /// Takes the gauge of these values off the page.
    pub fn remove(&self, first: &str, second: &str) {
        self.family.remove(&self.labels.of([first, second]));
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
