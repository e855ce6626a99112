//! What a pipeline counts.

use std::time::Duration;

use crate::metrics::{Counter, CounterBy, Histogram, Registry};

/// Upper bounds of the batch times in seconds: from a warm batch of one to a broker that is away.
const BATCH_SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];

pub(super) struct Meters {
    consumed: CounterBy,
    produced: CounterBy,
    dead: CounterBy,
    retries: CounterBy,
    failures: Counter,
    batch: Histogram,
}

impl Meters {
    pub(super) fn new(metrics: &Registry) -> Self {
        Self {
            consumed: metrics.counter_by("unrip_records_consumed_total", "Records read and finished.", "topic"),
            produced: metrics.counter_by("unrip_records_produced_total", "Records acknowledged.", "topic"),
            dead: metrics.counter_by("unrip_dead_letters_total", "Records that could not be processed.", "reason"),
            retries: metrics.counter_by("unrip_record_retries_total", "Waits that a module asked for.", "reason"),
            failures: metrics.counter("unrip_produce_failures_total", "Records that had to be written again."),
            batch: metrics.histogram("unrip_batch_seconds", "From a batch's arrival to its last ack.", BATCH_SECONDS),
        }
    }

    pub(super) fn consumed(&self, topic: &str) {
        self.consumed.inc(topic);
    }

    pub(super) fn produced(&self, topic: &str) {
        self.produced.inc(topic);
    }

    pub(super) fn dead(&self, reason: &str) {
        self.dead.inc(reason);
    }

    pub(super) fn retry(&self, reason: &str) {
        self.retries.inc(reason);
    }

    pub(super) fn failed(&self, records: usize) {
        self.failures.inc_by(records as u64);
    }

    pub(super) fn batch(&self, took: Duration) {
        self.batch.observe(took.as_secs_f64());
    }
}
