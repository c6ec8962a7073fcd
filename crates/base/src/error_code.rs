//! Kafka's error codes, declared once.

macro_rules! error_codes {
    ($( $(#[doc = $doc:literal])* $name:ident = $code:literal, $retry:ident; )*) => {
        /// What a response says of how a request or one of its items went.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum ErrorCode { $( $(#[doc = $doc])* $name = $code, )* }

        impl ErrorCode {
            /// Every code, by rising number.
            pub const ALL: &[Self] = &[$( Self::$name, )*];

            /// The number on the wire.
            pub const fn code(self) -> i16 {
                self as i16
            }

            /// The code with this number.
            pub fn from_code(code: i16) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.code() == code)
            }

            /// Whether a client may simply try again.
            pub const fn is_retriable(self) -> bool {
                match self { $( Self::$name => error_codes!(@retry $retry), )* }
            }

            /// A sentence for people.
            pub const fn text(self) -> &'static str {
                match self { $( Self::$name => concat!($($doc),*).trim_ascii(), )* }
            }

            /// The name as this code's variant has it.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }
        }
    };
    (@retry retriable) => { true };
    (@retry fatal) => { false };
}

error_codes! {
    /// The server met an unexpected error.
    UnknownServerError = -1, fatal;
    /// No error.
    None = 0, fatal;
    /// The offset is outside the range that the server keeps.
    OffsetOutOfRange = 1, fatal;
    /// The message fails its checksum, is too large, lacks its key, or is otherwise damaged.
    CorruptMessage = 2, retriable;
    /// This server does not host this topic or partition.
    UnknownTopicOrPartition = 3, retriable;
    /// The fetch size is not valid.
    InvalidFetchSize = 4, fatal;
    /// There is no leader for this partition at the moment.
    LeaderNotAvailable = 5, retriable;
    /// This broker is not the leader, or not a replica, of this partition.
    NotLeaderOrFollower = 6, retriable;
    /// The request timed out.
    RequestTimedOut = 7, retriable;
    /// The broker is not available.
    BrokerNotAvailable = 8, fatal;
    /// The replica is not available.
    ReplicaNotAvailable = 9, retriable;
    /// The message is larger than the server accepts.
    MessageTooLarge = 10, fatal;
    /// The controller has moved to another broker.
    StaleControllerEpoch = 11, fatal;
    /// The metadata of the committed offset is too large.
    OffsetMetadataTooLarge = 12, fatal;
    /// The server disconnected before it answered.
    NetworkException = 13, retriable;
    /// The coordinator is loading and cannot answer yet.
    CoordinatorLoadInProgress = 14, retriable;
    /// The coordinator is not available.
    CoordinatorNotAvailable = 15, retriable;
    /// This broker is not the coordinator.
    NotCoordinator = 16, retriable;
    /// The topic is not valid for this operation.
    InvalidTopic = 17, fatal;
    /// The batch is larger than the configured segment size.
    RecordListTooLarge = 18, fatal;
    /// Fewer replicas are in sync than the append requires.
    NotEnoughReplicas = 19, retriable;
    /// The records were written, but to fewer in-sync replicas than required.
    NotEnoughReplicasAfterAppend = 20, retriable;
    /// The required acks are not valid.
    InvalidRequiredAcks = 21, fatal;
    /// The generation is not that of the group.
    IllegalGeneration = 22, fatal;
    /// The member's protocols do not fit those of the group.
    InconsistentGroupProtocol = 23, fatal;
    /// The group id is not valid.
    InvalidGroupId = 24, fatal;
    /// The coordinator does not know this member.
    UnknownMemberId = 25, fatal;
    /// The session timeout is outside the range that the broker allows.
    InvalidSessionTimeout = 26, fatal;
    /// The group is rebalancing, so the member has to join again.
    RebalanceInProgress = 27, fatal;
    /// The data of the committed offset is too large.
    InvalidCommitOffsetSize = 28, fatal;
    /// Access to the topic is denied.
    TopicAuthorizationFailed = 29, fatal;
    /// Access to the group is denied.
    GroupAuthorizationFailed = 30, fatal;
    /// Access to the cluster is denied.
    ClusterAuthorizationFailed = 31, fatal;
    /// The timestamp of a message is out of the accepted range.
    InvalidTimestamp = 32, fatal;
    /// The broker does not support this SASL mechanism.
    UnsupportedSaslMechanism = 33, fatal;
    /// The request does not fit the SASL state.
    IllegalSaslState = 34, fatal;
    /// The version of the API is not supported.
    UnsupportedVersion = 35, fatal;
    /// A topic of this name already exists.
    TopicAlreadyExists = 36, fatal;
    /// The number of partitions is not valid.
    InvalidPartitions = 37, fatal;
    /// The replication factor is below 1 or above the number of brokers.
    InvalidReplicationFactor = 38, fatal;
    /// The replica assignment is not valid.
    InvalidReplicaAssignment = 39, fatal;
    /// The configuration is not valid.
    InvalidConfig = 40, fatal;
    /// This broker is not the controller.
    NotController = 41, retriable;
    /// The request is malformed or does not fit its version.
    InvalidRequest = 42, fatal;
    /// The message format does not support this operation.
    UnsupportedForMessageFormat = 43, fatal;
    /// The request violates a policy.
    PolicyViolation = 44, fatal;
    /// The sequence number is not the next one.
    OutOfOrderSequenceNumber = 45, fatal;
    /// The sequence number was seen before.
    DuplicateSequenceNumber = 46, fatal;
    /// The producer's epoch is older than the one known.
    InvalidProducerEpoch = 47, fatal;
    /// The transaction is in a state in which this is not valid.
    InvalidTxnState = 48, fatal;
    /// The producer id does not belong to the transactional id.
    InvalidProducerIdMapping = 49, fatal;
    /// The transaction timeout is larger than the broker allows.
    InvalidTransactionTimeout = 50, fatal;
    /// Another change of this transaction is under way.
    ConcurrentTransactions = 51, retriable;
    /// The transaction coordinator has been replaced.
    TransactionCoordinatorFenced = 52, fatal;
    /// Access to the transactional id is denied.
    TransactionalIdAuthorizationFailed = 53, fatal;
    /// Security is not enabled.
    SecurityDisabled = 54, fatal;
    /// The operation was not attempted, because another of its batch failed.
    OperationNotAttempted = 55, fatal;
    /// The log directory failed.
    KafkaStorageError = 56, retriable;
    /// The log directory is not configured here.
    LogDirNotFound = 57, fatal;
    /// SASL authentication failed.
    SaslAuthenticationFailed = 58, fatal;
    /// The broker holds no state for this producer id.
    UnknownProducerId = 59, fatal;
    /// A partition reassignment is in progress.
    ReassignmentInProgress = 60, fatal;
    /// Delegation tokens are not enabled.
    DelegationTokenAuthDisabled = 61, fatal;
    /// The delegation token is unknown.
    DelegationTokenNotFound = 62, fatal;
    /// The principal is neither owner nor renewer of the token.
    DelegationTokenOwnerMismatch = 63, fatal;
    /// Delegation tokens cannot be requested over this channel.
    DelegationTokenRequestNotAllowed = 64, fatal;
    /// Access to the delegation token is denied.
    DelegationTokenAuthorizationFailed = 65, fatal;
    /// The delegation token has expired.
    DelegationTokenExpired = 66, fatal;
    /// The principal type is not supported.
    InvalidPrincipalType = 67, fatal;
    /// The group is not empty.
    NonEmptyGroup = 68, fatal;
    /// The group id does not exist.
    GroupIdNotFound = 69, fatal;
    /// The fetch session does not exist.
    FetchSessionIdNotFound = 70, retriable;
    /// The fetch session epoch is not the next one.
    InvalidFetchSessionEpoch = 71, retriable;
    /// The leader has no endpoint on this listener.
    ListenerNotFound = 72, retriable;
    /// Topic deletion is disabled.
    TopicDeletionDisabled = 73, fatal;
    /// The leader epoch of the request is older than the broker's.
    FencedLeaderEpoch = 74, retriable;
    /// The leader epoch of the request is newer than the broker's.
    UnknownLeaderEpoch = 75, retriable;
    /// The request's version does not allow this compression.
    UnsupportedCompressionType = 76, fatal;
    /// The broker epoch has changed.
    StaleBrokerEpoch = 77, fatal;
    /// The leader cannot tell this offset before its high watermark has caught up.
    OffsetNotAvailable = 78, retriable;
    /// The member has to join again with the member id of this answer.
    MemberIdRequired = 79, fatal;
    /// The preferred leader is not available.
    PreferredLeaderNotAvailable = 80, retriable;
    /// The group has as many members as it may have.
    GroupMaxSizeReached = 81, fatal;
    /// Another member took over this group instance id.
    FencedInstanceId = 82, fatal;
    /// No eligible leader is available.
    EligibleLeadersNotAvailable = 83, retriable;
    /// The partition needs no election.
    ElectionNotNeeded = 84, retriable;
    /// No reassignment is in progress.
    NoReassignmentInProgress = 85, fatal;
    /// The group is still subscribed to the topic.
    GroupSubscribedToTopic = 86, fatal;
    /// The record breaks a rule of the broker.
    InvalidRecord = 87, fatal;
    /// An offset of an open transaction is not settled yet.
    UnstableOffsetCommit = 88, retriable;
    /// The throttling quota is exceeded.
    ThrottlingQuotaExceeded = 89, retriable;
    /// A newer producer with the same transactional id exists.
    ProducerFenced = 90, fatal;
    /// The resource does not exist.
    ResourceNotFound = 91, fatal;
    /// The resource exists already.
    DuplicateResource = 92, fatal;
    /// The credential does not meet the requirements.
    UnacceptableCredential = 93, fatal;
    /// The voter sets do not agree.
    InconsistentVoterSet = 94, fatal;
    /// The update's version is not valid.
    InvalidUpdateVersion = 95, fatal;
    /// The features could not be updated.
    FeatureUpdateFailed = 96, fatal;
    /// The principal of the forwarded request cannot be read.
    PrincipalDeserializationFailure = 97, fatal;
    /// The snapshot does not exist.
    SnapshotNotFound = 98, fatal;
    /// The position is outside the snapshot.
    PositionOutOfRange = 99, fatal;
    /// This server does not know this topic id.
    UnknownTopicId = 100, retriable;
    /// The broker id is in use.
    DuplicateBrokerRegistration = 101, fatal;
    /// The broker id is not registered.
    BrokerIdNotRegistered = 102, fatal;
    /// The topic id does not belong to this topic.
    InconsistentTopicId = 103, retriable;
    /// The cluster id does not match.
    InconsistentClusterId = 104, fatal;
    /// The transactional id does not exist.
    TransactionalIdNotFound = 105, fatal;
    /// The fetch session mixes names and ids of topics.
    FetchSessionTopicIdError = 106, retriable;
    /// A new in-sync replica is not eligible.
    IneligibleReplica = 107, fatal;
    /// The change was made, and it elected a new leader.
    NewLeaderElected = 108, fatal;
    /// The offset lies in tiered storage.
    OffsetMovedToTieredStorage = 109, fatal;
    /// The member epoch is fenced, so the member has to join again.
    FencedMemberEpoch = 110, fatal;
    /// The group instance id is still in use.
    UnreleasedInstanceId = 111, fatal;
    /// The assignor is not supported by the group.
    UnsupportedAssignor = 112, fatal;
    /// The member epoch is stale.
    StaleMemberEpoch = 113, fatal;
    /// The request went to an endpoint of the wrong type.
    MismatchedEndpointType = 114, fatal;
    /// This endpoint type is not supported.
    UnsupportedEndpointType = 115, fatal;
    /// The controller id is unknown.
    UnknownControllerId = 116, fatal;
    /// The telemetry subscription is not the current one.
    UnknownSubscriptionId = 117, fatal;
    /// The telemetry exceeds the size that the broker allows.
    TelemetryTooLarge = 118, fatal;
    /// The controller regards the broker registration as invalid.
    InvalidRegistration = 119, fatal;
    /// The transaction has to be aborted.
    TransactionAbortable = 120, fatal;
    /// The state of the shared record does not allow this.
    InvalidRecordState = 121, fatal;
    /// The share session does not exist.
    ShareSessionNotFound = 122, retriable;
    /// The share session epoch is not the next one.
    InvalidShareSessionEpoch = 123, retriable;
    /// The share group state epoch is fenced.
    FencedStateEpoch = 124, fatal;
    /// The voter key does not match the replica.
    InvalidVoterKey = 125, fatal;
    /// The voter is already in the set.
    DuplicateVoter = 126, fatal;
    /// The voter is not in the set.
    VoterNotFound = 127, fatal;
    /// The regular expression is not valid.
    InvalidRegularExpression = 128, fatal;
    /// The client has to bootstrap again.
    RebootstrapRequired = 129, fatal;
    /// The topology is not valid.
    StreamsInvalidTopology = 130, fatal;
    /// The topology epoch is not valid.
    StreamsInvalidTopologyEpoch = 131, fatal;
    /// The topology epoch is outdated.
    StreamsTopologyFenced = 132, fatal;
    /// The limit of share sessions is reached.
    ShareSessionLimitReached = 133, retriable;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_without_a_gap() {
        for (code, number) in ErrorCode::ALL.iter().zip(-1..) {
            assert_eq!(code.code(), number, "{}", code.name());
        }
    }
}
