//! What every service shares: configuration, logs, metrics, health, shutdown, clock, ids, connections to venues.
//!
//! This room knows no role and no venue. It does not decide what a record means, it does not know rdkafka or wasmtime
//! (`bus` and `engine` do), and it holds no signing key.

#![warn(missing_docs)]

pub mod admin;
pub mod backoff;
mod bus_watch;
pub mod clock;
pub mod config;
pub mod dead_letter;
pub mod exit;
pub mod health;
pub mod ids;
pub mod metrics;
pub mod module;
pub mod net;
pub mod outbox;
pub mod pipeline;
pub mod repeats;
pub mod run;
pub mod shutdown;
pub mod telemetry;

pub use bus_watch::BusWatch;
pub use clock::{Clock, SystemClock};
pub use health::{Condition, Health};
pub use ids::Ids;
pub use run::{Context, RoleConfig, RunError};
