//! Canonical records to commands: `norm.<kind>` → `cmd.execute_trade`, by a strategy.
//!
//! It does not know why a strategy decides as it does, how a command is executed, or any venue's name. It does check
//! that no command asks for more time than an executor relies on.

mod bounds;
mod config;
mod tally;
mod transform;

use unrip_core::topic;
use unrip_service::pipeline::{self, Setup};
use unrip_service::{Context, RunError, module};

pub use bounds::{Bounds, DEADLINE_MS_MAX, DISPATCH_WINDOW_MS_MAX};
pub use config::{Config, ReactSection};
pub use tally::Tally;
pub use transform::{Decide, React};

/// Runs the service until it is stopped.
///
/// # Errors
/// The module cannot be loaded or cannot go on, the configuration cannot be used, or no broker in time.
pub async fn run(config: Config, context: Context) -> Result<(), RunError> {
    let loaded = context.health.condition("module", "being compiled");
    let section = config.module.clone();
    let instance = tokio::task::spawn_blocking(move || module::load(&section)?.reactor());
    let instance = instance.await.map_err(|error| RunError::Software(format!("loading the module: {error}")))??;
    tracing::info!(strategy = instance.strategy(), "strategy ready");
    loaded.met();
    let venue = &config.service.venue;
    let tally = Tally::new(&context.metrics);
    let lines = tokio::spawn(tally.clone().log_until(context.shutdown.clone()));
    let (clock, ids) = (context.clock.clone(), context.ids.clone());
    let transform = React::new(instance, venue, config.react.bounds(), tally, clock, ids);
    let setup = Setup {
        group: topic::group(context.role, venue),
        topics: config.react.events.iter().map(|event| topic::norm(event)).collect(),
        venue: venue.clone(),
        bus: config.bus,
        options: config.pipeline,
        start_timeout_ms: config.service.start_timeout_ms,
    };
    let ended = pipeline::run(setup, Box::new(transform), &context).await;
    // Ends by itself at shutdown, with a last line; otherwise there is nothing more to count.
    if context.shutdown.is_cancelled() {
        let _ = lines.await;
    }
    ended
}
