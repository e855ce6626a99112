//! Canonical records to commands: `norm.<kind>` → `cmd.execute_trade`, by a strategy.
//!
//! It does not know why a strategy decides as it does, how a command is executed, or any venue's name. It does check
//! that no command asks for more time than an executor relies on.

mod bounds;
mod config;
mod stage;
mod tally;
#[cfg(test)]
mod tests;

use unrip_core::topic;
use unrip_engine::reactor::Reactor;
use unrip_service::module::Seat;
use unrip_service::pipeline::{self, Setup};
use unrip_service::{Context, RunError};

pub use bounds::CommandBounds;
pub use config::{Config, ReactSection};
use stage::{React, Writer};
pub use tally::Tally;

/// Runs the service until it is stopped.
///
/// # Errors
/// The module cannot be loaded or cannot continue, the configuration cannot be used, or no broker in time.
pub async fn run(config: Config, context: Context) -> Result<(), RunError> {
    let seat = Seat::<Reactor>::start(&config.module, config.expected(), None, &context).await?;
    let path = config.module.path.to_path_buf();
    let strategy = seat.ask(move |reactor| config::strategy(&path, reactor)).await?.value?;
    tracing::info!(strategy, "strategy ready");
    let venue = &config.service.venue;
    let tally = Tally::new(&context.metrics);
    let lines = tokio::spawn(tally.clone().log_until(context.shutdown.clone()));
    let setup = Setup {
        group: topic::strategy_group(venue, &strategy),
        topics: config.react.events.iter().map(|event| topic::norm(event)).collect(),
        outputs: vec![topic::EXECUTE_TRADE.to_owned()],
        venue: venue.clone(),
        bus: config.bus,
        options: config.pipeline,
        start_timeout_ms: config.service.start_timeout_ms,
    };
    let writer = Writer {
        venue: venue.clone(),
        strategy,
        bounds: config.react.bounds(),
        tally,
        clock: context.clock.clone(),
        ids: context.ids.clone(),
    };
    let ended = pipeline::run(setup, React::new(seat, writer), &context).await;
    // Ends by itself at shutdown, with a last line; otherwise there is nothing more to count.
    if context.shutdown.is_cancelled() {
        let _ = lines.await;
    }
    ended
}
