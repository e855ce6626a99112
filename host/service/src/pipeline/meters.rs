//! What a pipeline counts.

use std::time::Duration;

use unrip_core::Timestamp;

use crate::metrics::{CounterBy, Histogram, Registry};

/// Upper bounds of the batch times in seconds: from a warm batch of one to a broker that is away.
const BATCH_SECONDS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0];
/// Upper bounds of a record's age in seconds: from fresh to a day that is read again.
const AGE_SECONDS: [f64; 10] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0, 600.0, 86_400.0];

pub(super) struct Meters {
    consumed: CounterBy,
    dead: CounterBy,
    retries: CounterBy,
    lost: CounterBy,
    batch: Histogram,
    age: Histogram,
}

impl Meters {
    pub(super) fn new(metrics: &Registry) -> Self {
        Self {
            consumed: metrics.counter_by("unrip_records_consumed_total", "Records read and finished.", "topic"),
            dead: metrics.counter_by("unrip_dead_letters_total", "Dead letters, by reason.", "reason"),
            retries: metrics.counter_by("unrip_record_retries_total", "Waits that a module asked for.", "reason"),
            lost: metrics.counter_by("unrip_records_lost_total", "Records deleted before they were read.", "topic"),
            batch: metrics.histogram("unrip_batch_seconds", "From a batch's arrival to its last ack.", BATCH_SECONDS),
            age: metrics.histogram(
                "unrip_record_age_seconds",
                "From the frame's arrival at the host to its record being finished.",
                AGE_SECONDS,
            ),
        }
    }

    pub(super) fn consumed(&self, topic: &str) {
        self.consumed.inc(topic);
    }

    pub(super) fn dead(&self, reason: &str) {
        self.dead.inc(reason);
    }

    pub(super) fn retry(&self, reason: &str) {
        self.retries.inc(reason);
    }

    pub(super) fn lost(&self, topic: &str, records: u64) {
        self.lost.add(topic, records);
    }

    pub(super) fn batch(&self, took: Duration) {
        self.batch.observe(took.as_secs_f64());
    }

    pub(super) fn age(&self, observed_at: Timestamp, now: Timestamp) {
        self.age.observe((now.millis() - observed_at.millis()).max(0) as f64 / 1_000.0);
    }
}
