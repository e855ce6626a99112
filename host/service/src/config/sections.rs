//! The sections that every service's configuration has.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use unrip_core::VenueId;
use unrip_core::names::ALL_VENUES;
use unrip_engine::{Grants, Limits};

thread_local! {
    /// The folder that relative paths belong to, while a file is being read (see [`ConfigPath`]).
    static BASE: RefCell<PathBuf> = RefCell::default();
}

/// A path of the configuration. Where the file says a relative one it is relative to the file's own folder, so that a
/// service can be started from anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigPath(PathBuf);

impl ConfigPath {
    /// A path that is used as it is.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Runs `read` with `base` as the folder of relative paths.
    pub(super) fn relative_to<T>(base: &Path, read: impl FnOnce() -> T) -> T {
        BASE.set(base.to_owned());
        let value = read();
        BASE.set(PathBuf::new());
        value
    }
}

impl<'de> Deserialize<'de> for ConfigPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let path = PathBuf::deserialize(deserializer)?;
        if path.as_os_str().is_empty() {
            return Err(serde::de::Error::custom("a path must not be empty"));
        }
        Ok(Self(BASE.with_borrow(|base| base.join(path))))
    }
}

impl Deref for ConfigPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for ConfigPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

/// `[service]`: what every service has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSection<V = VenueId> {
    /// The venue that the service works for, as its folder is named; see [`AnyVenue`] for a service of all of them.
    pub venue: V,
    /// Where the admin endpoint listens; port 0 takes a free one.
    #[serde(default = "any_local_port")]
    pub admin_listen: SocketAddr,
    /// Where to write the admin endpoint's address, for tools that started the service.
    pub admin_address_file: Option<ConfigPath>,
    /// `error`, `warn`, `info`, `debug`, or a tracing filter.
    #[serde(default = "info")]
    pub log_level: String,
    /// How long to wait for a broker at start before exit code 69. Without it: for ever, not ready meanwhile.
    pub start_timeout_ms: Option<u64>,
}

/// `service.venue` of a service that may be configured for one venue or for all of them (`*`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyVenue {
    /// Every venue.
    All,
    /// This one.
    One(VenueId),
}

impl fmt::Display for AnyVenue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str(ALL_VENUES),
            Self::One(venue) => fmt::Display::fmt(venue, f),
        }
    }
}

impl<'de> Deserialize<'de> for AnyVenue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == ALL_VENUES {
            return Ok(Self::All);
        }
        text.parse().map(Self::One).map_err(serde::de::Error::custom)
    }
}

fn any_local_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn info() -> String {
    "info".to_owned()
}

/// `[module]`: the component that the service runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleSection {
    /// The component's file.
    pub path: ConfigPath,
    /// `sha256:` and hex digits that the file must have.
    pub digest: Option<String>,
    /// Where compiled modules are kept between starts.
    pub cache_dir: Option<ConfigPath>,
    /// Bounds on memory, time, stack, and the size and number of outputs.
    #[serde(default)]
    pub limits: Limits,
    /// What the component may use.
    #[serde(default)]
    pub grants: Grants,
    /// Handed to the component as canonical JSON.
    #[serde(default)]
    pub config: toml::Table,
}

impl ModuleSection {
    /// The component's configuration as JSON.
    ///
    /// # Errors
    /// A number that JSON cannot hold (an infinite float).
    pub fn config_json(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(&self.config)
    }
}

/// `[endpoints.<name>]`: the only places that the host connects to for a module.
pub type Endpoints = BTreeMap<String, Endpoint>;

/// One endpoint.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// `ws://`, `wss://`, `http://` or `https://`.
    #[serde(deserialize_with = "endpoint_url")]
    pub url: String,
    /// Headers that go with every request or handshake, besides the module's own.
    #[serde(default)]
    pub headers: BTreeMap<String, EndpointHeader>,
    /// Of a websocket: how often the host pings.
    pub ping_interval_ms: Option<u64>,
    /// Of a websocket: after this long without a frame or pong the connection counts as dead.
    pub silence_timeout_ms: Option<u64>,
    /// How long a connection may take to open.
    pub connect_timeout_ms: Option<u64>,
    /// Of HTTP: how long a request may take in all.
    pub request_timeout_ms: Option<u64>,
    /// Of a websocket: the first wait before a reconnect; it doubles, with jitter.
    pub reconnect_ms_min: Option<u64>,
    /// Of a websocket: the longest wait before a reconnect.
    pub reconnect_ms_max: Option<u64>,
    /// Of a websocket: a longer message closes the connection, which is then reopened.
    pub message_bytes_max: Option<usize>,
}

/// The value is not shown: an address may hold a key.
fn endpoint_url<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let url = String::deserialize(from)?;
    if ["ws://", "wss://", "http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(url);
    }
    let cure = "not an address; choose one for this endpoint: ws://, wss://, http:// or https://, then host and path";
    Err(serde::de::Error::custom(cure))
}

/// A header's value in the configuration: text, or the content of a credential slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointHeader {
    /// As it is written.
    Plain(String),
    /// `{ credential = "<slot>" }`: the content of a slot.
    Credential {
        /// The slot's name.
        credential: String,
    },
    /// `{ bearer = "<slot>" }`: `Bearer ` and the content of a slot.
    Bearer {
        /// The slot's name.
        bearer: String,
    },
}

impl<'de> Deserialize<'de> for EndpointHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asks for a string, so that a variable's text is taken as it is; a table comes all the same.
        deserializer.deserialize_string(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = EndpointHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, { credential = \"<slot>\" } or { bearer = \"<slot>\" }")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<EndpointHeader, E> {
        Ok(EndpointHeader::Plain(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EndpointHeader, A::Error> {
        use serde::de::Error as _;

        const KEYS: &[&str] = &["credential", "bearer"];
        let header = match map.next_key::<String>()?.as_deref() {
            Some("credential") => EndpointHeader::Credential { credential: map.next_value()? },
            Some("bearer") => EndpointHeader::Bearer { bearer: map.next_value()? },
            Some(other) => return Err(A::Error::unknown_field(other, KEYS)),
            None => return Err(A::Error::invalid_length(0, &self)),
        };
        match map.next_key::<String>()? {
            None => Ok(header),
            Some(_) => Err(A::Error::custom("a header is either a credential or a bearer; keep one of them")),
        }
    }
}

/// `[credentials.<slot>]`: secrets that the host puts into requests; no module sees them.
pub type CredentialSlots = BTreeMap<String, CredentialSlot>;

/// One credential.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSlot {
    /// The file that holds it; read again at each connect; white space around it is cut.
    pub file: ConfigPath,
}
