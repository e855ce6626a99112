//! What a strategy decided, counted: as metrics and as a line now and then.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use unrip_service::metrics::{CounterBy, CounterByTwo, Registry};

/// Between two lines of counts.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Reasons kept apart in the line; later ones count as `other`, as in the metrics.
const REASONS_MAX: usize = 64;

/// Counts decisions. Cheap to clone.
#[derive(Clone)]
pub struct Tally {
    decisions: CounterByTwo,
    skipped: CounterBy,
    counts: Arc<Mutex<Counts>>,
}

impl std::fmt::Debug for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tally").finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    commands: u64,
    skipped: u64,
    declined: BTreeMap<String, u64>,
}

impl Tally {
    /// Counts into these metrics.
    pub fn new(metrics: &Registry) -> Self {
        let help = "What the strategy decided, and why not.";
        Self {
            decisions: metrics.counter_by_two("unrip_decisions_total", help, ["decision", "reason"]),
            skipped: metrics.counter_by("unrip_records_skipped_total", "Records that are not ours.", "reason"),
            counts: Arc::default(),
        }
    }

    pub fn command(&self) {
        self.decisions.inc("command", "");
        self.with(|counts| counts.commands += 1);
    }

    /// A decline and the strategy's reason.
    pub fn decline(&self, reason: &str) {
        self.decisions.inc("decline", reason);
        self.with(|counts| {
            let room = counts.declined.len() < REASONS_MAX || counts.declined.contains_key(reason);
            *counts.declined.entry(if room { reason } else { "other" }.to_owned()).or_default() += 1;
        });
    }

    /// A command that was not written.
    pub fn out_of_bounds(&self) {
        self.decisions.inc("refused", "command_out_of_bounds");
    }

    /// A record of another venue.
    pub fn skip(&self, reason: &str) {
        self.skipped.inc(reason);
        self.with(|counts| counts.skipped += 1);
    }

    /// Logs the counts now and then, while they change, and at the end.
    pub async fn log_until(self, shutdown: CancellationToken) {
        let mut shown = Counts::default();
        let mut over = false;
        while !over {
            over = shutdown.run_until_cancelled(tokio::time::sleep(LINE_INTERVAL)).await.is_none();
            let counts = self.with(|counts| counts.clone());
            if counts != shown {
                let declined = serde_json::to_string(&counts.declined).unwrap_or_default();
                tracing::info!(commands = counts.commands, skipped = counts.skipped, declined, "decisions so far");
                shown = counts;
            }
        }
    }

    fn with<T>(&self, f: impl FnOnce(&mut Counts) -> T) -> T {
        f(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
