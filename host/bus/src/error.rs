//! What can go wrong on the bus, sorted by what the caller should do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// A failure of the bus. Each variant says what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The broker is away, slow or electing: the client reconnects by itself. Wait and go on, or ask again.
    #[error("{operation}: {reason} (passing: the client reconnects by itself)")]
    Retriable {
        /// What was being done.
        operation: &'static str,
        /// What the client said.
        reason: String,
    },
    /// This client will never work again. Close it; a service ends and is started anew.
    #[error("{operation}: {reason} (final: this client must be made anew)")]
    Fatal {
        /// What was being done.
        operation: &'static str,
        /// What the client said.
        reason: String,
    },
    /// A setting is wrong. Correct it.
    #[error("bus setting {setting}: {reason}")]
    Configuration {
        /// The setting's name.
        setting: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The broker answers and does not know the topic (or the partition). Run the topic step.
    #[error("topic {topic} does not exist on this broker; create it with the topic step (`unrip topics`)")]
    MissingTopic {
        /// The topic, with its partition where one was asked for.
        topic: String,
    },
    /// A topic exists with another setting than wanted. Nothing was changed.
    #[error("topic {topic}: {setting} is {found}, wanted {wanted}; {cure}")]
    Differs {
        /// The topic.
        topic: String,
        /// The setting, in Kafka's words.
        setting: String,
        /// What the broker has.
        found: String,
        /// What was asked for.
        wanted: String,
        /// What a person can do.
        cure: String,
    },
    /// The position does not lie in the log: it was truncated, deleted by age, or made anew.
    #[error("{topic}/{partition}: offset {offset} is outside the log, which holds {low}..{high}")]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The position asked for.
        offset: i64,
        /// The oldest offset there is.
        low: i64,
        /// The end: the offset of the next record.
        high: i64,
    },
    /// The record or request can never be accepted as it is (too large, not authorised). Repeating is of no use.
    #[error("{operation}: {reason} (refused: repeating is of no use)")]
    Refused {
        /// What was being done.
        operation: &'static str,
        /// What was refused and why.
        reason: String,
    },
    /// The group gave the partitions to another member. Stop working on them; nothing was committed.
    #[error("{operation}: {reason} (no longer a member with these partitions)")]
    NotOwner {
        /// What was being done.
        operation: &'static str,
        /// What the broker said.
        reason: String,
    },
    /// The client was closed, or its thread ended.
    #[error("{operation}: the client is closed")]
    Closed {
        /// What was being done.
        operation: &'static str,
    },
}

impl Error {
    /// Whether waiting helps, with the same client.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Retriable { .. })
    }

    /// Whether this client will never work again.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal { .. } | Self::Closed { .. })
    }

    /// Sorts an error of the client library. `subject` names the topic where one is concerned.
    pub(crate) fn from_kafka(operation: &'static str, subject: &str, error: &KafkaError) -> Self {
        if let KafkaError::ClientConfig(_, reason, setting, _) = error {
            return Self::Configuration { setting: setting.clone(), reason: reason.clone() };
        }
        let Some(code) = error.rdkafka_error_code() else {
            return match error {
                KafkaError::ClientCreation(reason) => {
                    Self::Configuration { setting: "client".to_owned(), reason: reason.clone() }
                }
                KafkaError::Canceled => Self::Closed { operation },
                other => Self::Refused { operation, reason: other.to_string() },
            };
        };
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
            return Self::Fatal { operation, reason: error.to_string() };
        }
        Self::from_code(operation, subject, code)
    }

    /// Sorts an error code.
    pub(crate) fn from_code(operation: &'static str, subject: &str, code: Code) -> Self {
        let reason = if subject.is_empty() { code.to_string() } else { format!("{subject}: {code}") };
        match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                Self::MissingTopic { topic: subject.to_owned() }
            }
            Code::Fatal | Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => {
                Self::Fatal { operation, reason }
            }
            Code::IllegalGeneration | Code::UnknownMemberId | Code::AssignmentLost => {
                Self::NotOwner { operation, reason }
            }
            Code::MessageSizeTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::InvalidTopic
            | Code::InvalidArgument
            | Code::InvalidConfig
            | Code::InvalidRequest
            | Code::InvalidReplicationFactor
            | Code::PolicyViolation
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
            | Code::NotImplemented
            | Code::SaslAuthenticationFailed => Self::Refused { operation, reason },
            Code::BrokerDestroy => Self::Closed { operation },
            _ => Self::Retriable { operation, reason },
        }
    }
}
