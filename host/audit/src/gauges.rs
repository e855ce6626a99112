//! The report as metrics.

use unrip_service::metrics::{Gauge, Registry};

use crate::report::Report;

type Value = fn(&Report) -> u64;

/// Name, help and value of each.
const GAUGES: [(&str, &str, Value); 10] = [
    ("unrip_audit_commands", "Commands accepted.", |report| report.commands),
    ("unrip_audit_results", "Commands with their result.", Report::results_total),
    ("unrip_audit_claims", "Claims that count.", |report| report.claims),
    ("unrip_audit_open", "Commands without a result whose time is not over.", |report| report.open),
    ("unrip_audit_in_doubt", "Commands in doubt.", |report| report.in_doubt),
    (
        "unrip_audit_in_doubt_oldest_seconds",
        "How long the oldest command in doubt is so; a doubt that lasts needs a person (unrip resolve).",
        |report| report.in_doubt_oldest_ms / 1_000,
    ),
    ("unrip_audit_overdue", "Commands that should have ended.", |report| report.overdue),
    (
        "unrip_audit_unjudged",
        "Commands without a result whose end may have been deleted before it was read.",
        |report| report.unjudged,
    ),
    ("unrip_audit_repeats", "Results written again with the same id and content.", |report| report.repeats),
    ("unrip_audit_violations", "Broken promises.", |report| report.violations_total),
];

pub(crate) struct Gauges(Vec<(Gauge, Value)>);

impl Gauges {
    pub(crate) fn new(metrics: &Registry) -> Self {
        Self(GAUGES.iter().map(|(name, help, value)| (metrics.gauge(name, help), *value)).collect())
    }

    pub(crate) fn set(&self, report: &Report) {
        for (gauge, value) in &self.0 {
            gauge.set(i64::try_from(value(report)).unwrap_or(i64::MAX));
        }
    }
}
