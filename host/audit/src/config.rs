//! The configuration of `unrip-audit`.

use serde::Deserialize;
use unrip_bus::BusConfig;
use unrip_service::RoleConfig;
use unrip_service::config::{AnyVenue, ServiceSection};

use crate::ledger::{GRACE_MS, HISTORY_COMMANDS_MAX};

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What every service has. The audit reads all venues, whatever `venue` says.
    pub service: ServiceSection<AnyVenue>,
    pub bus: BusConfig,
    /// Bounds.
    #[serde(default)]
    pub audit: AuditSection,
}

/// `[audit]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditSection {
    /// How long after its deadline a command may be without a result before it is overdue.
    pub grace_ms: i64,
    /// Commands that are remembered after they ended; about 1 KiB each.
    pub history_commands_max: usize,
}

impl Default for AuditSection {
    fn default() -> Self {
        Self { grace_ms: GRACE_MS, history_commands_max: HISTORY_COMMANDS_MAX }
    }
}

impl RoleConfig for Config {
    type Venue = AnyVenue;

    fn service(&self) -> &ServiceSection<AnyVenue> {
        &self.service
    }

    fn bus(&self) -> &BusConfig {
        &self.bus
    }

    fn check(&self) -> Result<(), String> {
        if !(0..=3_600_000).contains(&self.audit.grace_ms) {
            return Err(format!("audit.grace_ms is {}, must be between 0 and 3600000", self.audit.grace_ms));
        }
        if self.audit.history_commands_max == 0 {
            return Err("audit.history_commands_max is 0; remember at least one command".to_owned());
        }
        Ok(())
    }
}
