//! Configuration: a TOML file and `UNRIP_*` variables over it; what is not known is an error that names key and cure.

mod error;
mod links;
mod load;
mod overlay;
mod sections;
mod typed;

pub use error::ConfigError;
pub use load::{Env, environment, load, parse, service_links};
pub use sections::{
    AnyVenue, ConfigPath, CredentialSlot, CredentialSlots, Endpoint, EndpointHeader, Endpoints, ModuleSection,
    ServiceSection,
};

#[cfg(test)]
mod tests;
