//! What can go wrong on the bus, sorted by what the caller should do about it.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

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

/// What an error code asks of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Passing,
    Missing,
    Fatal,
    NotOwner,
    Record,
    Closed,
    Operator,
}

impl Sort {
    /// Passing codes and those that are the record's fault are listed. Every other code is the operator's: waiting
    /// loses nothing, repeating a dead letter's mistake would.
    fn of(code: Code) -> Self {
        match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => Self::Missing,
            Code::Fatal | Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => {
                Self::Fatal
            }
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::AssignmentLost
            | Code::FencedMemberEpoch
            | Code::StaleMemberEpoch => Self::NotOwner,
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessageSize
            | Code::InvalidMessage
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidArgument
            | Code::KeySerialization
            | Code::ValueSerialization => Self::Record,
            Code::BrokerDestroy | Code::PurgeQueue | Code::PurgeInflight => Self::Closed,
            code if is_passing_here(code) || is_passing_at_the_broker(code) => Self::Passing,
            _ => Self::Operator,
        }
    }
}

/// Codes of the client library itself after which it tries again by itself, or the caller may.
fn is_passing_here(code: Code) -> bool {
    matches!(
        code,
        Code::NoError
            | Code::BrokerTransportFailure
            | Code::Resolve
            | Code::MessageTimedOut
            | Code::PartitionEOF
            | Code::AllBrokersDown
            | Code::OperationTimedOut
            | Code::QueueFull
            | Code::ISRInsufficient
            | Code::NodeUpdate
            | Code::WaitingForCoordinator
            | Code::UnknownGroup
            | Code::InProgress
            | Code::PreviousInProgress
            | Code::AssignPartitions
            | Code::RevokePartitions
            | Code::Conflict
            | Code::State
            | Code::NoOffset
            | Code::Outdated
            | Code::TimedOutQueue
            | Code::WaitCache
            | Code::Interrupted
            | Code::Partial
            | Code::Retry
            | Code::PollExceeded
            | Code::UnknownBroker
            | Code::Noop
            | Code::AutoOffsetReset
            | Code::InvalidDifferentRecord
            | Code::DestroyBroker
    )
}

/// Codes of a broker that is starting, electing, moving or overloaded.
fn is_passing_at_the_broker(code: Code) -> bool {
    matches!(
        code,
        Code::OffsetOutOfRange
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::RequestTimedOut
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::StaleControllerEpoch
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::RebalanceInProgress
            | Code::NotController
            | Code::OutOfOrderSequenceNumber
            | Code::DuplicateSequenceNumber
            | Code::InvalidProducerIdMapping
            | Code::ConcurrentTransactions
            | Code::TransactionCoordinatorFenced
            | Code::OperationNotAttempted
            | Code::KafkaStorageError
            | Code::UnknownProducerId
            | Code::ReassignmentInProgress
            | Code::GroupIdNotFound
            | Code::FetchSessionIdNotFound
            | Code::InvalidFetchSessionEpoch
            | Code::ListenerNotFound
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::StaleBrokerEpoch
            | Code::OffsetNotAvailable
            | Code::MemberIdRequired
            | Code::PreferredLeaderNotAvailable
            | Code::EligibleLeadersNotAvailable
            | Code::UnstableOffsetCommit
            | Code::UnknownTopicId
            | Code::UnreleasedInstanceId
            | Code::RebootstrapRequired
    )
}

#[cfg(test)]
mod tests;
