//! How to reach the bus, and the limits of everything that waits or grows.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::BaseProducer;
use serde::Deserialize;

use crate::Error;

/// The longest wait for one answer of the broker to a question (metadata, watermarks, offsets), in milliseconds.
pub const REQUEST_WAIT_MS_MAX: u64 = 5_000;
/// How long a consumer's request may be unanswered before the connection is closed, in milliseconds.
pub const CONSUMER_REQUEST_MS_MAX: u64 = 10_000;
/// The longest a producer request may be unanswered before it is repeated, in milliseconds.
pub const PRODUCE_REQUEST_MS_MAX: u64 = 10_000;
/// The longest a broker holds a fetch without data, in milliseconds. Kafka answers at once when a record comes, and ten
/// idle readers cost it half a core at 5 ms and a twentieth at 100; longer waits delay what is assigned or sought next.
/// A broker that sleeps the wait out needs `fetch.wait.max.ms` set lower.
pub const FETCH_WAIT_MS: u64 = 100;
/// Records fetched ahead per partition.
pub const FETCH_AHEAD_RECORDS: u64 = 1_000;
/// Bytes fetched ahead per consumer, in KiB.
pub const FETCH_AHEAD_KIB: u64 = 16 * 1_024;
/// Pause of a partition's fetch when enough is fetched ahead, in milliseconds.
pub const FETCH_PAUSE_MS: u64 = 20;
/// First and last step of the reconnect back-off, in milliseconds.
pub const RECONNECT_MS: (u64, u64) = (50, 2_000);
/// How often the client asks for partition counts and leaders unprompted, in milliseconds.
pub const METADATA_REFRESH_MS: u64 = 10_000;

/// Settings on which promises rest; `properties` may not change them.
const OWNED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// The `[bus]` section of a service's configuration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusConfig {
    /// `host:port`, several with commas.
    pub brokers: String,
    /// How the client names itself to the broker.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Further settings of librdkafka, for all clients (security, timeouts).
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

impl BusConfig {
    /// A bus at these brokers, everything else by default.
    pub fn at(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), ..Self::default() }
    }

    /// Tries the settings on a client, without asking a broker: what this build cannot do is found before anything
    /// starts.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the setting; where the build lacks TLS or SASL, it says so.
    pub fn check(&self) -> Result<(), Error> {
        let client: Result<BaseProducer, KafkaError> = self.client(&[])?.create();
        client.map(drop).map_err(|error| match Error::from_kafka("check", "", &error) {
            Error::Configuration { setting, reason } => {
                let secured =
                    ["security.protocol", "ssl.", "sasl.", "client"].iter().any(|name| setting.starts_with(name));
                let lacks = secured && self.is_secured() && !cfg!(feature = "tls");
                let cure =
                    if lacks { "; this build has no TLS and no SASL: use one with the feature `tls`" } else { "" };
                Error::Configuration { setting, reason: format!("{reason}{cure}") }
            }
            other => other,
        })
    }

    /// Whether the operator asks for TLS or a user.
    fn is_secured(&self) -> bool {
        let asks = |key: &str| key.starts_with("ssl.") || key.starts_with("sasl.") || key == "security.protocol";
        self.properties.keys().any(|key| asks(key))
    }

    /// The settings that all clients share. The operator's `properties` override the caller's `settings`.
    pub(crate) fn client(&self, settings: &[(&str, String)]) -> Result<ClientConfig, Error> {
        if self.brokers.trim().is_empty() {
            return Err(configuration("bus.brokers", "is empty; name at least one broker as host:port"));
        }
        if let Some(owned) = self.properties.keys().find(|key| OWNED.contains(&key.as_str())) {
            return Err(configuration(owned, "is set by unrip, because its promises rest on it; remove it"));
        }
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.trim())
            .set("client.id", self.client_id.as_deref().unwrap_or("unrip"))
            // Producers would have them created by default, where the broker does that.
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.ms", RECONNECT_MS.0.to_string())
            .set("reconnect.backoff.max.ms", RECONNECT_MS.1.to_string())
            .set("topic.metadata.refresh.interval.ms", METADATA_REFRESH_MS.to_string());
        for (key, value) in settings {
            config.set(*key, value);
        }
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        Ok(config)
    }

    /// The settings that all consumers share.
    pub(crate) fn consumer(
        &self,
        group: &str,
        isolation: Isolation,
        settings: &[(&str, String)],
    ) -> Result<ClientConfig, Error> {
        let mut all = vec![
            ("group.id", group.to_owned()),
            ("isolation.level", isolation.as_str().to_owned()),
            ("enable.auto.commit", "false".to_owned()),
            ("enable.auto.offset.store", "false".to_owned()),
            ("check.crcs", "true".to_owned()),
            ("socket.timeout.ms", CONSUMER_REQUEST_MS_MAX.to_string()),
            ("fetch.wait.max.ms", FETCH_WAIT_MS.to_string()),
            ("fetch.error.backoff.ms", FETCH_PAUSE_MS.to_string()),
            ("fetch.queue.backoff.ms", FETCH_PAUSE_MS.to_string()),
            ("queued.min.messages", FETCH_AHEAD_RECORDS.to_string()),
            ("queued.max.messages.kbytes", FETCH_AHEAD_KIB.to_string()),
        ];
        all.extend(settings.iter().cloned());
        self.client(&all)
    }
}

fn configuration(setting: &str, reason: &str) -> Error {
    Error::Configuration { setting: setting.to_owned(), reason: reason.to_owned() }
}

/// Which records a reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Only what was committed, up to the oldest open transaction.
    ReadCommitted,
    /// Everything, at once.
    ReadUncommitted,
}

impl Isolation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ReadCommitted => "read_committed",
            Self::ReadUncommitted => "read_uncommitted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_properties_on_which_promises_rest() {
        let mut config = BusConfig::at("127.0.0.1:1");
        config.properties.insert("acks".to_owned(), "1".to_owned());
        let error = config.client(&[]).unwrap_err();
        assert!(matches!(&error, Error::Configuration { setting, .. } if setting == "acks"), "{error}");
    }

    #[test]
    fn the_operators_properties_win_over_defaults() {
        let mut config = BusConfig::at("127.0.0.1:1");
        config.properties.insert("fetch.wait.max.ms".to_owned(), "500".to_owned());
        let client = config.consumer("g", Isolation::ReadCommitted, &[]).unwrap();
        assert_eq!(client.get("fetch.wait.max.ms"), Some("500"));
        assert_eq!(client.get("isolation.level"), Some("read_committed"));
    }

    #[test]
    fn says_before_the_start_what_this_build_cannot_do() {
        assert!(BusConfig::at("127.0.0.1:1").check().is_ok());
        let cases =
            [("security.protocol", "ssl"), ("security.protocol", "sasl_ssl"), ("ssl.ca.location", "/etc/ssl/ca.pem")];
        for (key, value) in cases.into_iter().filter(|_| !cfg!(feature = "tls")) {
            let mut config = BusConfig::at("127.0.0.1:1");
            config.properties.insert(key.to_owned(), value.to_owned());
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains("feature `tls`"), "{key}={value}: {error}");
        }
        let mut unknown = BusConfig::at("127.0.0.1:1");
        unknown.properties.insert("fetch.wait.max.mss".to_owned(), "5".to_owned());
        let error = unknown.check().unwrap_err().to_string();
        assert!(error.contains("fetch.wait.max.mss") && !error.contains("tls"), "{error}");
    }

    #[test]
    fn needs_a_broker() {
        assert!(matches!(BusConfig::at(" ").client(&[]), Err(Error::Configuration { .. })));
    }
}
