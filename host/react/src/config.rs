//! The configuration of `unrip-react`.

use std::path::Path;

use serde::Deserialize;
use unrip_bus::BusConfig;
use unrip_core::VenueId;
use unrip_core::event::canonical::CanonicalEvent;
use unrip_core::event::command::{DEADLINE_MS_MAX, DISPATCH_WINDOW_MS_MAX};
use unrip_engine::reactor::Reactor;
use unrip_engine::{LoadError, LoadErrorKind};
use unrip_service::config::{ModuleSection, ServiceSection};
use unrip_service::module::{self, Expectations};
use unrip_service::pipeline::PipelineSection;
use unrip_service::{RoleConfig, RunError};

use crate::bounds::CommandBounds;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub service: ServiceSection,
    pub bus: BusConfig,
    /// The strategy.
    pub module: ModuleSection,
    /// What it reads and may decide.
    pub react: ReactSection,
    /// Bounds of the loop.
    #[serde(default)]
    pub pipeline: PipelineSection,
}

/// `[react]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReactSection {
    /// The event types that cause commands: topics `norm.<event>`.
    pub events: Vec<String>,
    /// The longest from observation to dispatch that a command may ask for; at most 60 000.
    #[serde(default = "dispatch_window")]
    pub dispatch_window_ms_max: i64,
    /// The longest from observation to the signed expiry that a command may ask for; at most 610 000.
    #[serde(default = "deadline")]
    pub deadline_ms_max: i64,
}

fn dispatch_window() -> i64 {
    DISPATCH_WINDOW_MS_MAX
}

fn deadline() -> i64 {
    DEADLINE_MS_MAX
}

impl ReactSection {
    /// What commands may ask for.
    pub fn bounds(&self) -> CommandBounds {
        CommandBounds { dispatch_window_ms_max: self.dispatch_window_ms_max, deadline_ms_max: self.deadline_ms_max }
    }
}

impl Config {
    /// What the module must say of itself.
    pub(crate) fn expected(&self) -> Expectations {
        let events = Some(("react.events", self.react.events.clone()));
        Expectations { venue: self.service.venue.clone(), streams: events }
    }
}

/// The strategy's name. A strategy with memory is refused: it would forget it at each restart, and keep what it learned from
/// a partition that another member has by now.
pub(crate) fn strategy(path: &Path, reactor: &Reactor) -> Result<String, RunError> {
    if !reactor.is_stateful() {
        return Ok(reactor.strategy().to_owned());
    }
    let reason = "a strategy with memory must be rebuilt by rereading its stream, which this host does not do yet";
    let kind = LoadErrorKind::NotServed { capability: "state".to_owned(), reason: reason.to_owned() };
    Err(LoadError { path: path.display().to_string(), kind }.into())
}

impl RoleConfig for Config {
    type Venue = VenueId;

    fn service(&self) -> &ServiceSection {
        &self.service
    }

    fn bus(&self) -> &BusConfig {
        &self.bus
    }

    fn check(&self) -> Result<(), String> {
        let kinds = CanonicalEvent::EVENT_TYPES;
        if self.react.events.is_empty() {
            return Err(format!("react.events is empty; name at least one of {}", kinds.join(", ")));
        }
        if let Some(event) = self.react.events.iter().find(|event| !kinds.contains(&event.as_str())) {
            return Err(format!("react.events: `{event}` is not one of {}", kinds.join(", ")));
        }
        for (key, value, high) in [
            ("dispatch_window_ms_max", self.react.dispatch_window_ms_max, DISPATCH_WINDOW_MS_MAX),
            ("deadline_ms_max", self.react.deadline_ms_max, DEADLINE_MS_MAX),
        ] {
            if !(1..=high).contains(&value) {
                return Err(format!("react.{key} is {value}, must be between 1 and {high}"));
            }
        }
        self.pipeline.check()
    }

    fn check_module(&self) -> Result<(), RunError> {
        let reactor = module::check::<Reactor>(&self.module, &self.expected(), None)?;
        strategy(&self.module.path, &reactor).map(drop)
    }
}
