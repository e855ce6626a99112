//! What the executor counts.

use unrip_service::metrics::{Counter, CounterBy, Gauge, Histogram, Registry};

use unrip_protocol::fold::Fact;
use unrip_protocol::partition::Partition;

/// Bounds of the latencies: from half a millisecond to five seconds, each 15 % above the last.
const LATENCY_BOUNDS: (f64, f64, i32) = (0.000_5, 1.15, 66);

/// What the executor counts.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) results: CounterBy,
    pub(crate) skips: CounterBy,
    pub(crate) statuses: CounterBy,
    pub(crate) chatter: CounterBy,
    pub(crate) fenced: Counter,
    pub(crate) stale_effects: Counter,
    /// From asking for a claim's append to its fold on disk.
    claims: Histogram,
    /// From asking for a fence's append to the partition being active.
    fences: Histogram,
    /// From reading a command to its bytes being handed to a socket.
    pub(crate) handed: Histogram,
    open: Gauge,
    in_doubt: Gauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let latency = |name: &str, help: &str| {
            let (first, factor, count) = LATENCY_BOUNDS;
            registry.histogram(name, help, (0..count).map(|n| first * factor.powi(n)))
        };
        Self {
            claims: latency("unrip_claim_latency_seconds", "From asking for a claim's append to its fold on disk"),
            fences: latency("unrip_fence_latency_seconds", "From asking for a fence's append to an active partition"),
            handed: latency("unrip_dispatch_latency_seconds", "From reading a command to handing over its bytes"),
            results: registry.counter_by("unrip_results_total", "Outcomes in the journal", "status"),
            skips: registry.counter_by("unrip_commands_skipped_total", "Command records passed over", "reason"),
            statuses: registry.counter_by("unrip_trade_statuses_total", "Facts that end nothing", "state"),
            chatter: registry.counter_by("unrip_venue_chatter_total", "Venue messages about no command", "kind"),
            fenced: registry.counter("unrip_fenced_total", "Times that a newer executor took a partition over"),
            stale_effects: registry
                .counter("unrip_stale_effects_total", "Effects whose partition, command or record was gone"),
            open: registry.gauge("unrip_commands_open", "Commands in hand"),
            in_doubt: registry.gauge("unrip_commands_in_doubt", "Commands whose outcome is unknown"),
        }
    }

    /// Counts what is in hand.
    pub(crate) fn measure<'a>(&self, partitions: impl Iterator<Item = &'a Partition> + Clone) {
        self.open.set(partitions.clone().map(|core| core.open_count() as i64).sum());
        self.in_doubt.set(partitions.map(|core| core.doubt_count() as i64).sum());
    }

    /// An own record came back from the log.
    pub(crate) fn came_back(&self, fact: &Fact, seconds: f64) {
        match fact {
            Fact::Claim { .. } => self.claims.observe(seconds),
            Fact::Fence => self.fences.observe(seconds),
            _ => {}
        }
    }
}
