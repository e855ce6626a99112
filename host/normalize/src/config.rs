//! The configuration of `unrip-normalize`.

use serde::Deserialize;
use unrip_bus::BusConfig;
use unrip_core::VenueId;
use unrip_core::event::canonical::CanonicalEvent;
use unrip_engine::normalizer::Normalizer;
use unrip_service::config::{ModuleSection, ServiceSection};
use unrip_service::module::{self, Expectations};
use unrip_service::pipeline::PipelineSection;
use unrip_service::{RoleConfig, RunError};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub service: ServiceSection,
    pub bus: BusConfig,
    /// The venue's normalizer.
    pub module: ModuleSection,
    /// What is normalized.
    pub normalize: NormalizeSection,
    /// Bounds of the loop.
    #[serde(default)]
    pub pipeline: PipelineSection,
}

/// `[normalize]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormalizeSection {
    /// The venue's streams: topics `raw.<venue>.<stream>`.
    pub streams: Vec<String>,
    /// The kinds of event whose topics `norm.<event>` were made. A record that means another kind is a dead letter.
    pub events: Vec<String>,
}

impl Config {
    /// What the module must say of itself.
    pub(crate) fn expected(&self) -> Expectations {
        let streams = Some(("normalize.streams", self.normalize.streams.clone()));
        Expectations { venue: self.service.venue.clone(), streams }
    }
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
        if self.normalize.streams.is_empty() {
            return Err("normalize.streams is empty; name at least one stream of the venue".to_owned());
        }
        let kinds = CanonicalEvent::EVENT_TYPES;
        if self.normalize.events.is_empty() {
            return Err(format!("normalize.events is empty; name at least one of {}", kinds.join(", ")));
        }
        if let Some(event) = self.normalize.events.iter().find(|event| !kinds.contains(&event.as_str())) {
            return Err(format!("normalize.events: `{event}` is not one of {}", kinds.join(", ")));
        }
        self.pipeline.check()
    }

    fn check_module(&self) -> Result<(), RunError> {
        module::check::<Normalizer>(&self.module, &self.expected(), None).map(drop)
    }
}
