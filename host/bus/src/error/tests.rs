//! Every code of the client library, sorted by hand: a new one is not sorted by accident.

use std::collections::BTreeMap;

use rdkafka::types::RDKafkaRespErr;

use super::*;

const PASSING: &str = "\
    BrokerTransportFailure Resolve MessageTimedOut PartitionEOF AllBrokersDown OperationTimedOut QueueFull \
    ISRInsufficient NodeUpdate WaitingForCoordinator UnknownGroup InProgress PreviousInProgress \
    AssignPartitions RevokePartitions Conflict State NoOffset Outdated TimedOutQueue WaitCache Interrupted \
    Partial Retry PollExceeded UnknownBroker Noop AutoOffsetReset InvalidDifferentRecord DestroyBroker \
    NoError OffsetOutOfRange LeaderNotAvailable NotLeaderForPartition RequestTimedOut BrokerNotAvailable \
    ReplicaNotAvailable StaleControllerEpoch NetworkException CoordinatorLoadInProgress \
    CoordinatorNotAvailable NotCoordinator NotEnoughReplicas NotEnoughReplicasAfterAppend RebalanceInProgress \
    NotController OutOfOrderSequenceNumber DuplicateSequenceNumber InvalidProducerIdMapping \
    ConcurrentTransactions TransactionCoordinatorFenced OperationNotAttempted KafkaStorageError \
    UnknownProducerId ReassignmentInProgress GroupIdNotFound FetchSessionIdNotFound InvalidFetchSessionEpoch \
    ListenerNotFound FencedLeaderEpoch UnknownLeaderEpoch StaleBrokerEpoch OffsetNotAvailable \
    MemberIdRequired PreferredLeaderNotAvailable EligibleLeadersNotAvailable UnstableOffsetCommit \
    UnknownTopicId UnreleasedInstanceId RebootstrapRequired";
const MISSING: &str = "\
    UnknownPartition UnknownTopic UnknownTopicOrPartition";
const FATAL: &str = "\
    Fatal Fenced InvalidProducerEpoch FencedInstanceId ProducerFenced";
const NOT_OWNER: &str = "\
    AssignmentLost IllegalGeneration UnknownMemberId FencedMemberEpoch StaleMemberEpoch";
const RECORD: &str = "\
    InvalidArgument KeySerialization ValueSerialization InvalidMessage InvalidMessageSize MessageSizeTooLarge \
    MessageBatchTooLarge InvalidTimestamp InvalidRecord";
const CLOSED: &str = "\
    BrokerDestroy PurgeQueue PurgeInflight";
const OPERATOR: &str = "\
    BadMessage BadCompression Fail CriticalSystemResource FileSystem SSL ExistingSubscription UnknownProtocol \
    NotImplemented Authentication UnsupportedFeature KeyDeserialization ValueDeserialization ReadOnly NoEnt \
    Underflow InvalidType Inconsistent GaplessGuarantee NotConfigured Application LogTruncation Unknown \
    OffsetMetadataTooLarge InvalidTopic InvalidRequiredAcks InconsistentGroupProtocol InvalidGroupId \
    InvalidSessionTimeout InvalidCommitOffsetSize TopicAuthorizationFailed GroupAuthorizationFailed \
    ClusterAuthorizationFailed UnsupportedSASLMechanism IllegalSASLState UnsupportedVersion \
    TopicAlreadyExists InvalidPartitions InvalidReplicationFactor InvalidReplicaAssignment InvalidConfig \
    InvalidRequest UnsupportedForMessageFormat PolicyViolation InvalidTransactionalState \
    InvalidTransactionTimeout TransactionalIdAuthorizationFailed SecurityDisabled LogDirNotFound \
    SaslAuthenticationFailed DelegationTokenAuthDisabled DelegationTokenNotFound DelegationTokenOwnerMismatch \
    DelegationTokenRequestNotAllowed DelegationTokenAuthorizationFailed DelegationTokenExpired \
    InvalidPrincipalType NonEmptyGroup TopicDeletionDisabled UnsupportedCompressionType GroupMaxSizeReached \
    ElectionNotNeeded NoReassignmentInProgress GroupSubscribedToTopic ThrottlingQuotaExceeded \
    ResourceNotFound DuplicateResource UnacceptableCredential InconsistentVoterSet InvalidUpdateVersion \
    FeatureUpdateFailed PrincipalDeserializationFailure UnsupportedAssignor UnknownSubscriptionId \
    TelemetryTooLarge";

/// Every code by its name.
fn codes() -> BTreeMap<String, Code> {
    let known = (-200..1_000).filter_map(|number| RDKafkaRespErr::try_from(number).ok());
    let codes = known.map(|code| (format!("{:?}", Code::from(code)), Code::from(code)));
    codes.filter(|(name, _)| !matches!(name.as_str(), "Begin" | "End" | "EndAll")).collect()
}

#[test]
fn every_code_is_sorted_by_hand_and_once() {
    let table = [
        (Sort::Passing, PASSING),
        (Sort::Missing, MISSING),
        (Sort::Fatal, FATAL),
        (Sort::NotOwner, NOT_OWNER),
        (Sort::Record, RECORD),
        (Sort::Closed, CLOSED),
        (Sort::Operator, OPERATOR),
    ];
    let mut left = codes();
    for (sort, names) in table {
        for name in names.split_whitespace() {
            let code = left.remove(name).unwrap_or_else(|| panic!("{name} is listed twice or is not a code"));
            assert_eq!(Sort::of(code), sort, "{name}");
        }
    }
    assert!(left.is_empty(), "sort these codes by hand: {:?}", left.keys());
}

#[test]
fn what_an_operator_must_mend_is_neither_the_records_fault_nor_passing() {
    for code in [Code::TopicAuthorizationFailed, Code::SaslAuthenticationFailed, Code::ThrottlingQuotaExceeded] {
        let error = Error::from_code("produce", "t", code);
        assert!(matches!(error, Error::Denied { .. }) && !error.is_retriable() && !error.is_fatal(), "{error}");
    }
    for code in [Code::MessageBatchTooLarge, Code::InvalidTimestamp, Code::InvalidRecord] {
        assert!(matches!(Error::from_code("produce", "t", code), Error::Refused { .. }), "{code}");
    }
}
