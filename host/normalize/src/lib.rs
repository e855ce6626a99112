//! Raw records to canonical records: `raw.<venue>.<stream>` → `norm.<kind>`, by the venue's normalizer.
//!
//! It does not know what a frame means (the module does), and it does not know strategies, commands or venues' names.

mod config;
mod stage;
#[cfg(test)]
mod tests;

use unrip_core::topic;
use unrip_engine::normalizer::Normalizer;
use unrip_service::module::Seat;
use unrip_service::pipeline::{self, Setup};
use unrip_service::{Context, RunError};

pub use config::{Config, NormalizeSection};
use stage::{Normalize, Writer};

/// Runs the service until it is stopped.
///
/// # Errors
/// The module cannot be loaded or cannot continue, the configuration cannot be used, or no broker in time.
pub async fn run(config: Config, context: Context) -> Result<(), RunError> {
    let seat = Seat::<Normalizer>::start(&config.module, config.expected(), None, &context).await?;
    let venue = &config.service.venue;
    let events = config.normalize.events;
    let outputs = events.iter().map(|event| topic::norm(event)).collect();
    let writer = Writer { venue: venue.clone(), events, clock: context.clock.clone(), ids: context.ids.clone() };
    let setup = Setup {
        group: topic::group(context.role, venue.as_str()),
        topics: config.normalize.streams.iter().map(|stream| topic::raw(venue, stream)).collect(),
        outputs,
        venue: venue.clone(),
        bus: config.bus,
        options: config.pipeline,
        start_timeout_ms: config.service.start_timeout_ms,
    };
    pipeline::run(setup, Normalize::new(seat, writer), &context).await
}
