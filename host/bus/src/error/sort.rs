//! What an error code asks of the caller.

use rdkafka::error::RDKafkaErrorCode as Code;

/// One per variant of [`crate::Error`] that a code can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
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
    pub(super) fn of(code: Code) -> Self {
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
