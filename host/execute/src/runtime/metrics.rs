//! What the executor counts.

use unrip_service::metrics::{Counter, CounterBy, Gauge, Registry};

/// What the executor counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(super) results: CounterBy,
    pub(super) skips: CounterBy,
    pub(super) statuses: CounterBy,
    pub(super) chatter: CounterBy,
    pub(super) fenced: Counter,
    pub(super) open: Gauge,
    pub(super) in_doubt: Gauge,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            results: registry.counter_by("unrip_results", "Outcomes in the journal", "status"),
            skips: registry.counter_by("unrip_commands_skipped", "Command records passed over", "reason"),
            statuses: registry.counter_by("unrip_trade_statuses", "Facts that end nothing", "state"),
            chatter: registry.counter_by("unrip_venue_chatter", "Venue messages about no command", "kind"),
            fenced: registry.counter("unrip_fenced", "Times that a newer executor took a partition over"),
            open: registry.gauge("unrip_commands_open", "Commands in hand"),
            in_doubt: registry.gauge("unrip_commands_in_doubt", "Commands whose outcome is unknown"),
        }
    }
}
