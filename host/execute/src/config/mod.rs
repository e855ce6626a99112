//! The executor's configuration file.

mod demands;
mod limits;
mod ranges;
mod signer;

use std::collections::BTreeMap;

use serde::Deserialize;
use unrip_bus::BusConfig;
use unrip_core::VenueId;
use unrip_engine::executor::Executor;
use unrip_service::config::{ConfigPath, CredentialSlots, Endpoints, ModuleSection, ServiceSection};
use unrip_service::module::{self, Expectations, Network};
use unrip_service::{RoleConfig, RunError};

pub use demands::Demands;
pub use limits::{AssetSection, InventoryPolicy, LimitsSection};
pub use signer::SignerSection;

use crate::points::FailPoint;
use crate::store::{Keeping, StoreOptions};
use unrip_protocol::intake::Bounds;
use unrip_protocol::partition::Timing;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has.
    pub service: ServiceSection,
    pub bus: BusConfig,
    /// The executor component.
    pub module: ModuleSection,
    /// Named endpoints of the venue.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// Named credentials.
    #[serde(default)]
    pub credentials: CredentialSlots,
    /// The executor itself.
    pub execute: ExecuteSection,
    /// Keys by their names.
    #[serde(default)]
    pub signer: BTreeMap<String, SignerSection>,
}

/// `[execute]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecuteSection {
    /// Stable over restarts, another one for each executor.
    pub executor_id: String,
    /// Folder of the durable state; one per executor, on a local disk.
    pub state_dir: ConfigPath,
    /// Largest size of the state in bytes, in whole 64 KiB.
    #[serde(default = "default_map_bytes")]
    pub map_bytes: usize,
    /// How long the state remembers a command that has ended, in milliseconds; afterwards the command is stale.
    #[serde(default = "default_state_retention_ms")]
    pub state_retention_ms: i64,
    /// Silence after which the broker gives the partitions to others, in milliseconds.
    #[serde(default = "default_session_timeout_ms")]
    pub session_timeout_ms: u64,
    /// How long a drain waits for answers, in milliseconds.
    #[serde(default = "default_drain_timeout_ms")]
    pub drain_timeout_ms: u64,
    /// A command without an answer is in doubt after this, in milliseconds.
    #[serde(default = "default_answer_timeout_ms")]
    pub answer_timeout_ms: i64,
    /// Commands in hand per partition; more are not read.
    #[serde(default = "default_commands_open_max")]
    pub commands_open_max: usize,
    /// How far two clocks may differ, in milliseconds.
    #[serde(default = "default_clock_skew_ms_max")]
    pub clock_skew_ms_max: i64,
    /// Furthest that a deadline may lie after the cause's time, in milliseconds.
    #[serde(default = "default_deadline_ms_max")]
    pub deadline_ms_max: i64,
    /// Furthest that `dispatch_by` may lie after the cause's time, in milliseconds.
    #[serde(default = "default_dispatch_window_ms_max")]
    pub dispatch_window_ms_max: i64,
    /// How results are published.
    #[serde(default)]
    pub publish: Publish,
    /// What may be promised.
    #[serde(default)]
    pub limits: LimitsSection,
    /// Whether what only a development broker lacks is refused.
    #[serde(default)]
    pub production: bool,
    /// Where a test ends or stops this process: `NAME:HIT:ACT`. Refused in production.
    pub fail_point: Option<FailPoint>,
}

/// How results are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Publish {
    /// In transactions where the broker has them, plain otherwise (refused in production).
    #[default]
    Auto,
    /// In transactions only.
    Transactional,
    /// Plain, after reading back what is there: a crash may leave a repeat.
    Plain,
}

impl ExecuteSection {
    /// The bounds that commands must keep.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            deadline_ms_max: self.deadline_ms_max,
            dispatch_window_ms_max: self.dispatch_window_ms_max,
            clock_skew_ms_max: self.clock_skew_ms_max,
        }
    }

    /// What topics and broker must fulfil.
    pub fn demands(&self) -> Demands {
        let (deadline_ms_max, clock_skew_ms_max) = (self.deadline_ms_max, self.clock_skew_ms_max);
        Demands { production: self.production, deadline_ms_max, clock_skew_ms_max }
    }

    /// How the state is opened.
    pub fn store_options(&self) -> StoreOptions {
        StoreOptions {
            dir: self.state_dir.to_path_buf(),
            map_bytes: self.map_bytes,
            keeping: Keeping { history_ms: self.state_retention_ms, clock_skew_ms_max: self.clock_skew_ms_max },
        }
    }

    /// The protocol's time limits.
    pub fn timing(&self) -> Timing {
        Timing { answer_timeout_ms: self.answer_timeout_ms, ..Timing::default() }
    }
}

impl Config {
    /// What the module must say of itself.
    pub(crate) fn expected(&self) -> Expectations {
        Expectations { venue: self.service.venue.clone(), streams: None }
    }

    /// What the module's grants may name.
    pub(crate) fn network(&self) -> Network<'_> {
        Network { endpoints: &self.endpoints, credentials: &self.credentials }
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
        ranges::check(&self.execute)?;
        self.module.check_grants(Some(self.network()))?;
        if self.execute.production && self.execute.publish == Publish::Plain {
            return Err("execute.publish = \"plain\" may repeat a result after a crash; not in production".to_owned());
        }
        if self.execute.production && self.execute.fail_point.is_some() {
            return Err("execute.fail_point ends this process on purpose; not in production: remove it".to_owned());
        }
        let memory = self.execute.deadline_ms_max + 2 * self.execute.clock_skew_ms_max;
        if self.execute.state_retention_ms < memory {
            return Err(format!(
                "execute.state_retention_ms is less than {memory}: an open command could be forgotten"
            ));
        }
        if self.execute.executor_id.is_empty() {
            return Err("execute.executor_id is empty; give each executor its own".to_owned());
        }
        Ok(())
    }

    fn check_module(&self) -> Result<(), RunError> {
        module::check::<Executor>(&self.module, &self.expected(), Some(self.network())).map(drop)
    }
}

fn default_state_retention_ms() -> i64 {
    Keeping::default().history_ms
}
fn default_map_bytes() -> usize {
    4 * 1_024 * 1_024 * 1_024
}
fn default_session_timeout_ms() -> u64 {
    6_000
}
fn default_drain_timeout_ms() -> u64 {
    10_000
}
fn default_answer_timeout_ms() -> i64 {
    Timing::default().answer_timeout_ms
}
fn default_commands_open_max() -> usize {
    1_000
}
fn default_clock_skew_ms_max() -> i64 {
    Bounds::default().clock_skew_ms_max
}
fn default_deadline_ms_max() -> i64 {
    Bounds::default().deadline_ms_max
}
fn default_dispatch_window_ms_max() -> i64 {
    Bounds::default().dispatch_window_ms_max
}

#[cfg(test)]
mod tests;
