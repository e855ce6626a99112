//! Checks the system's promises on the live stream: commands, journal and results are read from their beginning, and
//! whatever contradicts `RECORDS.md` is a violation in `/report`.
//!
//! It deliberately does not know the executor's code: its reading of the rules is a second, independent one. It writes
//! nothing to the bus.

mod config;
mod follow;
mod gauges;
pub mod ledger;
pub mod report;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use unrip_service::{Context, RunError};

pub use config::{AuditSection, Config};
pub use report::{Report, Violation};

/// Questions for the report that wait; more get the last one made.
const ASKS_WAITING_MAX: usize = 8;
/// How long a question waits for a fresh report before it gets the last one made.
const ASK_WAIT: Duration = Duration::from_secs(4);

/// Runs the service until it is stopped. `/report` on the admin port gives the [`Report`] as of then.
///
/// # Errors
/// The configuration cannot be used, or the topics are not as the topic step makes them.
pub async fn run(config: Config, context: Context) -> Result<(), RunError> {
    let (last, seen) = watch::channel(Report::default());
    let (ask, asks) = mpsc::channel(ASKS_WAITING_MAX);
    context.pages.add("/report", move || {
        let (ask, seen) = (ask.clone(), seen.clone());
        async move {
            let fresh = tokio::time::timeout(ASK_WAIT, fresh_report(&ask)).await.ok().flatten();
            let report = fresh.unwrap_or_else(|| Report { complete: false, ..seen.borrow().clone() });
            serde_json::to_string(&report).unwrap_or_default()
        }
    });
    let options = |partitions| ledger::Options {
        partitions,
        grace_ms: config.audit.grace_ms,
        history_commands_max: config.audit.history_commands_max,
    };
    let timeout = config.service.start_timeout_ms;
    if let Some(follower) = follow::Follower::start(&config.bus, timeout, options, &context, last).await? {
        follower.run(asks).await;
    }
    Ok(())
}

async fn fresh_report(ask: &mpsc::Sender<follow::Ask>) -> Option<Report> {
    let (tell, told) = oneshot::channel();
    ask.send(tell).await.ok()?;
    told.await.ok()
}
