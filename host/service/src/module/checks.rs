//! Whether a module and its grants fit the service that is to run it; asked once, before anything starts.

use unrip_core::VenueId;
use unrip_core::names::ALL_VENUES;
use unrip_engine::Module;

use crate::config::{CredentialSlots, EndpointHeader, Endpoints, ModuleSection};
use crate::run::RunError;

/// What the module must say of itself.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// `service.venue`.
    pub venue: VenueId,
    /// The key that lists streams or event types, and the list: the module must know each.
    pub streams: Option<(&'static str, Vec<String>)>,
}

/// The places and secrets of a configuration, which grants name. A service that only computes has none.
#[derive(Clone, Copy, Debug)]
pub struct Network<'a> {
    /// `[endpoints]`.
    pub endpoints: &'a Endpoints,
    /// `[credentials]`.
    pub credentials: &'a CredentialSlots,
}

impl ModuleSection {
    /// Whether the grants name only endpoints and credential slots that the configuration has. For a role's
    /// configuration check, so that `--check-config` says it too.
    ///
    /// # Errors
    /// The key, what is missing there, and the cure.
    pub fn check_grants(&self, network: Option<Network<'_>>) -> Result<(), String> {
        let grants = &self.grants;
        let named = [("websocket", &grants.websocket), ("http", &grants.http)];
        for (key, name) in named.into_iter().flat_map(|(key, names)| names.iter().map(move |name| (key, name))) {
            let found = network.map(|network| network.endpoints.contains_key(name));
            granted(key, "endpoint", "endpoints", name, found)?;
        }
        for slot in &grants.credential {
            let found = network.map(|network| network.credentials.contains_key(slot));
            granted("credential", "credential slot", "credentials", slot, found)?;
        }
        network.map_or(Ok(()), check_headers)
    }
}

fn granted(key: &str, what: &str, section: &str, name: &str, found: Option<bool>) -> Result<(), String> {
    match found {
        Some(true) => Ok(()),
        Some(false) => Err(format!(
            "module.grants.{key}: {what} `{name}` is granted and not configured; add [{section}.{name}] or remove the grant"
        )),
        None => Err(format!(
            "module.grants.{key}: `{name}` is granted, but this service connects to nothing; remove the grant"
        )),
    }
}

/// The configuration's own headers name credential slots as well.
fn check_headers(network: Network<'_>) -> Result<(), String> {
    for (endpoint, settings) in network.endpoints {
        for (header, value) in &settings.headers {
            let (EndpointHeader::Credential { credential: slot } | EndpointHeader::Bearer { bearer: slot }) = value
            else {
                continue;
            };
            if !network.credentials.contains_key(slot) {
                return Err(format!(
                    "endpoints.{endpoint}.headers.{header}: credential slot `{slot}` is not configured; \
                     add [credentials.{slot}]"
                ));
            }
        }
    }
    Ok(())
}

impl Expectations {
    /// Whether `module` may run in this service.
    pub(super) fn check(&self, module: &Module) -> Result<(), RunError> {
        let (path, description) = (module.path(), module.description());
        if description.venue != self.venue.as_str() && description.venue != ALL_VENUES {
            return Err(RunError::Module(format!(
                "module.path: {path} ({}) is of venue `{}`, service.venue is `{}`; name a module of this venue",
                description.name, description.venue, self.venue
            )));
        }
        let Some((key, streams)) = &self.streams else { return Ok(()) };
        match streams.iter().find(|stream| !description.streams.contains(stream)) {
            None => Ok(()),
            Some(stream) => Err(RunError::Module(format!(
                "{key}: `{stream}` is not known to {path} ({}), which knows {}; remove it or name another module",
                description.name,
                if description.streams.is_empty() { "none".to_owned() } else { description.streams.join(", ") }
            ))),
        }
    }
}
