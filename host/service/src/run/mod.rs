//! The frame around a role: the same `main` for every service.

mod args;
mod context;
mod error;
mod lifecycle;

use std::fmt;

use serde::de::DeserializeOwned;
use unrip_bus::BusConfig;

pub use args::{Extras, Listing, Mode};
pub use context::Context;
pub use error::RunError;
pub use lifecycle::{main, main_with, restart_in_place};

use crate::config::ServiceSection;

/// The configuration of a role.
pub trait RoleConfig: DeserializeOwned {
    /// What `service.venue` may be: one venue, or [`AnyVenue`](crate::config::AnyVenue).
    type Venue: fmt::Display;

    /// The section that every service has.
    fn service(&self) -> &ServiceSection<Self::Venue>;

    /// How the role reaches the bus; its settings are tried on a client before anything starts.
    fn bus(&self) -> &BusConfig;

    /// Whether the values fit together; the error is shown after the file's name.
    ///
    /// # Errors
    /// What does not fit, and the cure.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Whether the module can be used: all that a start checks about it before anything else starts. For `--check-config`.
    ///
    /// # Errors
    /// As of the start.
    fn check_module(&self) -> Result<(), RunError> {
        Ok(())
    }
}
