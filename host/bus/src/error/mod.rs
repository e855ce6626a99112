//! What can go wrong on the bus, sorted by what the caller should do about it.

mod sort;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use sort::Sort;

/// A failure of the bus. Each variant says what to do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The broker is unreachable, slow or electing: the client reconnects by itself. Wait and continue, or ask again.
    #[error("{operation}: {reason} (passing: the client reconnects by itself)")]
    Retriable {
        /// What was being done.
        operation: &'static str,
        /// What the client said.
        reason: String,
    },
    /// This client will never work again. Close it; a service ends and is restarted.
    #[error("{operation}: {reason} (final: this client must be recreated)")]
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
    /// The position does not lie in the log: it was truncated, deleted by age, or recreated.
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
    /// The broker or this build does not allow it as things are configured: an access rule, a login, a policy, a quota,
    /// a codec. Records are not at fault: keep them, wait, and name the reason in readiness, because an operator must
    /// act. The same client works again afterwards.
    #[error("{operation}: {reason} (denied: an operator must act; nothing is given up meanwhile)")]
    Denied {
        /// What was being done.
        operation: &'static str,
        /// What was denied and why.
        reason: String,
    },
    /// A partition cannot be read any further: its records cannot be decoded by this build, or may not be read. The client
    /// keeps trying and the other partitions flow; an operator must act. Reported again at intervals.
    #[error("{topic}/{partition} cannot be read at offset {offset}: {reason}; it is retried, and an operator must act")]
    Stopped {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The next offset to read.
        offset: i64,
        /// What the client said.
        reason: String,
    },
    /// The record or request can never be accepted as it is (too large, a time out of bounds). Repeating is of no use.
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
    /// A thread of this client panicked: a bug. The service ends; nothing that the client holds can be relied on.
    #[error("{operation}: the client's thread panicked; see the log for the panic itself")]
    Panicked {
        /// What was being done.
        operation: &'static str,
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
        matches!(self, Self::Fatal { .. } | Self::Panicked { .. } | Self::Closed { .. })
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
        match Sort::of(code) {
            Sort::Passing => Self::Retriable { operation, reason },
            Sort::Missing => Self::MissingTopic { topic: subject.to_owned() },
            Sort::Fatal => Self::Fatal { operation, reason },
            Sort::NotOwner => Self::NotOwner { operation, reason },
            Sort::Record => Self::Refused { operation, reason },
            Sort::Closed => Self::Closed { operation },
            Sort::Operator => Self::Denied { operation, reason },
        }
    }
}

#[cfg(test)]
mod tests;
