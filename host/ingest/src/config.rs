//! The configuration of `unrip-ingest`.

use serde::Deserialize;
use unrip_bus::BusConfig;
use unrip_core::VenueId;
use unrip_core::topic::MESSAGE_BYTES_MAX;
use unrip_engine::ingestor::Ingestor;
use unrip_service::config::{CredentialSlots, Endpoints, ModuleSection, ServiceSection};
use unrip_service::module::{self, Expectations, Network};
use unrip_service::{RoleConfig, RunError};

/// The largest `frame_bytes_max`: in base64 and with its envelope it still fits a record.
const FRAME_BYTES_LIMIT: usize = MESSAGE_BYTES_MAX as usize / 2;

/// The largest `connections_max`: each connection may hold a message of 16 MiB.
const CONNECTIONS_LIMIT: usize = 256;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestConfig {
    /// What every service has.
    pub service: ServiceSection,
    pub bus: BusConfig,
    /// The component.
    pub module: ModuleSection,
    /// Where the host may connect to.
    #[serde(default)]
    pub endpoints: Endpoints,
    /// Secrets that the host puts into requests.
    #[serde(default)]
    pub credentials: CredentialSlots,
    /// What only this role has.
    pub ingest: IngestSection,
}

/// `[ingest]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestSection {
    /// The streams whose topics were made; a module that emits another one is at fault.
    pub streams: Vec<String>,
    /// A longer frame becomes a dead letter with its beginning, length and hash.
    #[serde(default = "frame_bytes_max")]
    pub frame_bytes_max: usize,
    /// Websockets that the module may keep at once; asking for more is its fault.
    #[serde(default = "connections_max")]
    pub connections_max: usize,
    /// How long to wait at the end for the broker to acknowledge what was read.
    #[serde(default = "flush_timeout_ms")]
    pub flush_timeout_ms: u64,
    /// When faults of the module follow each other, the connection that brought them is closed for this long; it doubles
    /// with each further one.
    #[serde(default = "fault_wait_ms_min")]
    pub fault_wait_ms_min: u64,
    /// The longest such wait.
    #[serde(default = "fault_wait_ms_max")]
    pub fault_wait_ms_max: u64,
}

fn frame_bytes_max() -> usize {
    524_288
}

fn connections_max() -> usize {
    16
}

fn flush_timeout_ms() -> u64 {
    20_000
}

fn fault_wait_ms_min() -> u64 {
    1_000
}

fn fault_wait_ms_max() -> u64 {
    60_000
}

impl IngestConfig {
    /// What the module must say of itself.
    pub(crate) fn expected(&self) -> Expectations {
        let streams = Some(("ingest.streams", self.ingest.streams.clone()));
        Expectations { venue: self.service.venue.clone(), streams }
    }

    pub(crate) fn network(&self) -> Network<'_> {
        Network { endpoints: &self.endpoints, credentials: &self.credentials }
    }
}

impl RoleConfig for IngestConfig {
    type Venue = VenueId;

    fn service(&self) -> &ServiceSection {
        &self.service
    }

    fn bus(&self) -> &BusConfig {
        &self.bus
    }

    fn check(&self) -> Result<(), String> {
        let ingest = &self.ingest;
        if ingest.streams.is_empty() {
            return Err("`ingest.streams` is empty; name at least one stream of the venue".to_owned());
        }
        if ingest.frame_bytes_max == 0 || ingest.frame_bytes_max > FRAME_BYTES_LIMIT {
            return Err(format!("`ingest.frame_bytes_max` must be between 1 and {FRAME_BYTES_LIMIT}"));
        }
        if ingest.connections_max == 0 || ingest.connections_max > CONNECTIONS_LIMIT {
            return Err(format!("`ingest.connections_max` must be between 1 and {CONNECTIONS_LIMIT}"));
        }
        self.module.check_grants(Some(self.network()))
    }

    fn check_module(&self) -> Result<(), RunError> {
        module::check::<Ingestor>(&self.module, &self.expected(), Some(self.network())).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const GOOD: &str = "
        [service]
        venue = \"a-venue\"
        [bus]
        brokers = \"127.0.0.1:9092\"
        [module]
        path = \"a.wasm\"
        [module.grants]
        websocket = [\"ws\"]
        [endpoints.ws]
        url = \"ws://127.0.0.1:1\"
        [ingest]
        streams = [\"quote\"]
    ";

    fn check(text: &str) -> Result<(), String> {
        let config: IngestConfig = unrip_service::config::parse("ingest.toml", text, Path::new("/"), &[])
            .map_err(|error| error.to_string())?;
        config.check()
    }

    #[test]
    fn names_what_does_not_fit() {
        assert_eq!(check(GOOD), Ok(()));
        for (from, to, expected) in [
            ("[\"quote\"]", "[]", "`ingest.streams` is empty"),
            ("[\"quote\"]", "[\"quote\"]\nframe_bytes_max = 0", "between 1 and"),
            ("[\"quote\"]", "[\"quote\"]\nconnections_max = 0", "`ingest.connections_max` must be"),
            ("[\"quote\"]", "[\"quote\"]\nframe_bytes_maxx = 1", "`ingest.frame_bytes_maxx`: unknown field"),
            ("websocket = [\"ws\"]", "websocket = [\"wss\"]", "[endpoints.wss]"),
            ("websocket = [\"ws\"]", "credential = [\"token\"]", "[credentials.token]"),
        ] {
            let error = check(&GOOD.replace(from, to)).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
