//! Topics and settings of the broker: described, created, compared; never altered silently.

mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::{IsError as _, KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::{Metadata, MetadataTopic};
use unrip_core::topic::TopicSpec;

use crate::config::REQUEST_WAIT_MS_MAX;
use crate::logging::Logging;
use crate::{BusConfig, Error};

pub use compare::{Ensured, TopicState};

/// How long a new topic may take to get its leaders, in milliseconds.
const TOPIC_READY_MS_MAX: u64 = 10_000;
/// How often a new topic is looked at meanwhile, in milliseconds.
const TOPIC_POLL_MS: u64 = 20;
/// The broker's own default, which a cluster's operator sets.
const REPLICATION_DEFAULT: i32 = -1;

/// Asks about topics and settings, and makes topics. Clones share one client.
#[derive(Clone)]
pub struct Admin {
    client: Arc<AdminClient<Logging>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// A broker by one of the partitions that it leads.
struct Leader {
    topic: String,
    partition: i32,
    address: String,
}

impl Admin {
    /// A client. Needs no broker yet.
    pub fn new(config: &BusConfig) -> Result<Self, Error> {
        let settings = config.client(&[])?;
        let client = settings.create_with_context(Logging).map_err(|e| Error::from_kafka("create admin", "", &e))?;
        Ok(Self { client: Arc::new(client) })
    }

    /// Creates the topics that do not exist, and waits until they can be written. A topic that differs in its partition
    /// count or a setting is an error; nothing is altered. What the broker does not keep or report is a warning.
    pub async fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<Vec<(String, Ensured)>, Error> {
        let before = self.partition_counts(wait()).await?;
        let mut made = BTreeSet::new();
        for spec in topics {
            match before.get(&spec.name) {
                Some(found) => compare::partitions(spec, *found)?,
                None if self.create(spec).await? => drop(made.insert(spec.name.as_str())),
                None => {}
            }
        }
        self.wait_for_leaders(topics).await?;
        let after = self.partition_counts(wait()).await?;
        let mut ensured = Vec::with_capacity(topics.len());
        for spec in topics {
            // Another process may have made it meanwhile, as it wanted it.
            if let Some(found) = after.get(&spec.name) {
                compare::partitions(spec, *found)?;
            }
            let reported = self.new_topic_settings(&spec.name).await?;
            ensured.push((spec.name.clone(), compare::settings(spec, made.contains(spec.name.as_str()), &reported)?));
        }
        Ok(ensured)
    }

    /// A topic just made may be unknown to the broker that is asked, for a moment.
    async fn new_topic_settings(&self, topic: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        let until = Instant::now() + Duration::from_millis(TOPIC_READY_MS_MAX);
        loop {
            match self.topic_settings(topic).await {
                Err(Error::MissingTopic { .. }) if Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(TOPIC_POLL_MS)).await;
                }
                reported => return reported,
            }
        }
    }

    /// The topic, or `None` where the broker has none of that name.
    pub async fn describe(&self, topic: &str) -> Result<Option<TopicState>, Error> {
        let Some(partitions) = self.partition_counts(wait()).await?.remove(topic) else { return Ok(None) };
        let settings = self.topic_settings(topic).await?.unwrap_or_default();
        Ok(Some(TopicState { partitions, settings }))
    }

    /// The settings of one broker of the cluster, as far as it reports them.
    pub async fn broker_settings(&self) -> Result<BTreeMap<String, String>, Error> {
        let brokers =
            self.metadata(wait(), |metadata| metadata.brokers().iter().map(|broker| broker.id()).min()).await?;
        let id = brokers.ok_or_else(|| retriable("describe broker", "no broker is known yet"))?;
        let entries = self.describe_configs("describe broker", &ResourceSpecifier::Broker(id)).await?;
        Ok(entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
    }

    /// Whether a broker serves requests within the time: the bootstrap address answers, and where there are topics the
    /// leader of one of their partitions answers at its advertised address.
    pub async fn reachable(&self, wait: Duration) -> Result<(), Error> {
        let until = Instant::now() + wait;
        let leaders = self.leaders(wait, |topic| !topic.starts_with("__")).await?;
        if leaders.is_empty() {
            return self.broker_answers(wait).await;
        }
        let mut failed = None;
        for leader in leaders {
            match self.answers(leader, until).await {
                Ok(()) => return Ok(()),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Whether every leader of these topics answers at its advertised address within the time. A topic that does not
    /// exist is an error.
    pub async fn leaders_answer(&self, topics: &[String], wait: Duration) -> Result<(), Error> {
        let until = Instant::now() + wait;
        let there = self.partition_counts(wait).await?;
        if let Some(topic) = topics.iter().find(|topic| !there.contains_key(*topic)) {
            return Err(Error::MissingTopic { topic: topic.clone() });
        }
        let wanted: BTreeSet<String> = topics.iter().cloned().collect();
        for leader in self.leaders(wait, move |topic| wanted.contains(topic)).await? {
            self.answers(leader, until).await?;
        }
        Ok(())
    }

    /// Without topics: a question about a broker goes to its advertised address too.
    async fn broker_answers(&self, wait: Duration) -> Result<(), Error> {
        match tokio::time::timeout(wait, self.broker_settings()).await {
            Err(_) => Err(retriable("reach broker", "the broker does not answer at its advertised address")),
            Ok(Err(error)) if error.is_retriable() => Err(error),
            Ok(_) => Ok(()),
        }
    }

    /// One partition of each broker that leads one.
    async fn leaders(
        &self,
        wait: Duration,
        wanted: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Vec<Leader>, Error> {
        let read = move |metadata: &Metadata| {
            let mut leaders = BTreeMap::new();
            for topic in metadata.topics().iter().filter(|topic| wanted(topic.name())) {
                for partition in topic.partitions() {
                    let Some(broker) = metadata.brokers().iter().find(|broker| broker.id() == partition.leader())
                    else {
                        continue;
                    };
                    leaders.entry(broker.id()).or_insert_with(|| Leader {
                        topic: topic.name().to_owned(),
                        partition: partition.id(),
                        address: format!("{}:{}", broker.host(), broker.port()),
                    });
                }
            }
            (metadata.brokers().is_empty(), leaders.into_values().collect())
        };
        match self.metadata(wait, read).await? {
            (true, _) => Err(retriable("reach broker", "no broker is registered yet")),
            (false, leaders) => Ok(leaders),
        }
    }

    async fn answers(&self, leader: Leader, until: Instant) -> Result<(), Error> {
        let client = Arc::clone(&self.client);
        let asked = tokio::task::spawn_blocking(move || {
            let wait = until.saturating_duration_since(Instant::now());
            let Leader { topic, partition, address } = leader;
            let answer = client.inner().fetch_watermarks(&topic, partition, wait);
            match answer.map_err(|e| Error::from_kafka("reach broker", &topic, &e)) {
                Err(Error::Retriable { operation, reason }) => {
                    let reason = format!("the broker does not answer at its advertised address {address}: {reason}");
                    Err(Error::Retriable { operation, reason })
                }
                // Any other answer is an answer: whether a topic may be read is not asked here.
                _ => Ok(()),
            }
        });
        asked.await.map_err(|_| Error::Closed { operation: "reach broker" })?
    }

    /// How many members a consumer group has now.
    pub async fn group_members(&self, group: &str) -> Result<usize, Error> {
        let (client, group) = (Arc::clone(&self.client), group.to_owned());
        let asked = tokio::task::spawn_blocking(move || -> Result<usize, KafkaError> {
            let found = client.inner().fetch_group_list(Some(&group), wait())?;
            Ok(found.groups().iter().filter(|one| one.name() == group).map(|one| one.members().len()).sum())
        });
        let answer = asked.await.map_err(|_| Error::Closed { operation: "ask for a group" })?;
        answer.map_err(|e| Error::from_kafka("ask for a group", "", &e))
    }

    /// Every topic with its number of partitions. All are asked for at once: asking for one by name may create it.
    async fn partition_counts(&self, wait: Duration) -> Result<BTreeMap<String, i32>, Error> {
        self.metadata(wait, |metadata| {
            let there = metadata.topics().iter().filter(|topic| !unknown(topic));
            there.map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32)).collect()
        })
        .await
    }

    /// Whether this call made it; otherwise another process did at the same time.
    async fn create(&self, spec: &TopicSpec) -> Result<bool, Error> {
        match self.create_with(spec, REPLICATION_DEFAULT).await {
            // Some brokers know no default; where there is one node, one replica is all there can be.
            Some(RDKafkaErrorCode::InvalidReplicationFactor) if self.is_single().await? => {
                created(spec, self.create_with(spec, 1).await)
            }
            outcome => created(spec, outcome),
        }
    }

    async fn create_with(&self, spec: &TopicSpec, replication: i32) -> Option<RDKafkaErrorCode> {
        let config = spec.config();
        let mut topic = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(replication));
        for (key, value) in &config {
            topic = topic.set(key, value);
        }
        match self.client.create_topics([&topic], &options()).await {
            Ok(results) => results.into_iter().find_map(|result| result.err().map(|(_, code)| code)),
            Err(error) => Some(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)),
        }
    }

    async fn is_single(&self) -> Result<bool, Error> {
        self.metadata(wait(), |metadata| metadata.brokers().len() == 1).await
    }

    async fn wait_for_leaders(&self, topics: &[TopicSpec]) -> Result<(), Error> {
        let until = Instant::now() + Duration::from_millis(TOPIC_READY_MS_MAX);
        loop {
            let ready: BTreeSet<String> = self
                .metadata(wait(), |metadata| {
                    metadata
                        .topics()
                        .iter()
                        .filter(|topic| has_leaders(topic))
                        .map(|topic| topic.name().to_owned())
                        .collect()
                })
                .await?;
            let Some(late) = topics.iter().find(|spec| !ready.contains(&spec.name)) else { return Ok(()) };
            if Instant::now() >= until {
                return Err(retriable("create topic", &format!("{} has no leaders yet", late.name)));
            }
            tokio::time::sleep(Duration::from_millis(TOPIC_POLL_MS)).await;
        }
    }

    /// The topic's settings, or `None` if this broker does not report them.
    async fn topic_settings(&self, topic: &str) -> Result<Option<BTreeMap<String, String>>, Error> {
        match self.describe_configs("describe topic", &ResourceSpecifier::Topic(topic)).await {
            Ok(entries) if entries.is_empty() => Ok(None),
            Ok(entries) => Ok(Some(entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())),
            Err(Error::Refused { .. } | Error::Denied { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn describe_configs(
        &self,
        operation: &'static str,
        resource: &ResourceSpecifier<'_>,
    ) -> Result<Vec<ConfigEntry>, Error> {
        let asked = self.client.describe_configs([resource], &options()).await;
        let mut entries = Vec::new();
        for answer in asked.map_err(|e| Error::from_kafka(operation, "", &e))? {
            entries.extend(answer.map_err(|code| Error::from_code(operation, "", code))?.entries);
        }
        Ok(entries)
    }

    async fn metadata<T: Send + 'static>(
        &self,
        wait: Duration,
        read: impl FnOnce(&Metadata) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let client = Arc::clone(&self.client);
        let asked = tokio::task::spawn_blocking(move || -> Result<T, KafkaError> {
            Ok(read(&client.inner().fetch_metadata(None, wait)?))
        });
        let answer = asked.await.map_err(|_| Error::Closed { operation: "ask for metadata" })?;
        answer.map_err(|e| Error::from_kafka("ask for metadata", "", &e))
    }
}

fn created(spec: &TopicSpec, outcome: Option<RDKafkaErrorCode>) -> Result<bool, Error> {
    match outcome {
        None => Ok(true),
        // Its settings are compared as for any other topic that was there before.
        Some(RDKafkaErrorCode::TopicAlreadyExists) => Ok(false),
        Some(code) => Err(Error::from_code("create topic", &spec.name, code)),
    }
}

fn unknown(topic: &MetadataTopic) -> bool {
    topic.error().is_some_and(|error| {
        error.is_error()
            && matches!(
                RDKafkaErrorCode::from(error),
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic
            )
    })
}

fn has_leaders(topic: &MetadataTopic) -> bool {
    topic.error().is_none() && !topic.partitions().is_empty() && topic.partitions().iter().all(|p| p.leader() >= 0)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(wait())).operation_timeout(Some(wait()))
}

fn wait() -> Duration {
    Duration::from_millis(REQUEST_WAIT_MS_MAX)
}

fn retriable(operation: &'static str, reason: &str) -> Error {
    Error::Retriable { operation, reason: reason.to_owned() }
}
