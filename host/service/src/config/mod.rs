//! Configuration: a TOML file and `UNRIP_*` variables over it; what is not known is an error that names key and cure.

mod load;
mod overlay;
mod sections;

pub use load::{ConfigError, Env, load, parse};
pub use sections::{
    ConfigPath, CredentialSlot, CredentialSlots, Endpoint, EndpointHeader, Endpoints, ModuleSection, ServiceSection,
};
