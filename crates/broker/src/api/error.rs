//! From what went wrong to Kafka's codes: every domain error, in one place.

use ottla_base::ErrorCode;
use ottla_base::config::ConfigError;
use ottla_controller::{
    AlterConfigError, AlterPartitionError, AlterScramError, AssignmentError, CreatePartitionsError,
    CreateTopicError, DeleteTopicError, ElectionError, PlacementError, ProducerIdError,
    ReassignError, RegisterError, ResourceKind, StaleBrokerEpoch, UnregisterError,
};
use ottla_coordinator::group::{DeleteError as DeleteGroupError, HeartbeatError, JoinError};
use ottla_coordinator::group::{LeaveError, SyncError};
use ottla_coordinator::offsets::{
    CommitError, DeleteOffsetsError, OffsetDeleteRefusal, OffsetRefusal,
};
use ottla_partition::{AppendError, DeleteError, EpochError, SequenceError};
use ottla_protocol::records::{BatchRefusal, RefusalKind};
use ottla_store::ReadError;
use tracing::error;

use crate::fetch::SessionError;
use crate::metadata::ControllerError;
use crate::partitions::HostRefusal;

/// What a client is told of a domain error.
pub(crate) trait KafkaError {
    fn code(&self) -> ErrorCode;

    /// A sentence beside the code, where the response has a place for it.
    fn message(&self) -> Option<String> {
        None
    }
}

/// The one place that makes UNKNOWN_SERVER_ERROR: a person must look.
pub(crate) fn unexpected(what: &dyn std::fmt::Display) -> ErrorCode {
    error!(%what, "a request failed in a way that nobody expected");
    ErrorCode::UnknownServerError
}

impl KafkaError for AppendError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
            Self::StorageFailed => ErrorCode::KafkaStorageError,
            Self::TooFewInSync { .. } => ErrorCode::NotEnoughReplicas,
            Self::TooFewInSyncAfterAppend { .. } => ErrorCode::NotEnoughReplicasAfterAppend,
            Self::TimedOut => ErrorCode::RequestTimedOut,
            Self::ControlBatch => ErrorCode::InvalidRecord,
            Self::NoTransaction { .. } => ErrorCode::InvalidTxnState,
            Self::Sequence(error) => error.code(),
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for SequenceError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
            Self::StaleEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        }
    }
}

impl KafkaError for BatchRefusal {
    fn code(&self) -> ErrorCode {
        match self.kind {
            RefusalKind::Corrupt => ErrorCode::CorruptMessage,
            RefusalKind::NotOne | RefusalKind::Invalid => ErrorCode::InvalidRecord,
            RefusalKind::Timestamp => ErrorCode::InvalidTimestamp,
            RefusalKind::TooLarge => ErrorCode::MessageTooLarge,
            RefusalKind::ListTooLarge => ErrorCode::RecordListTooLarge,
            RefusalKind::Compression => ErrorCode::UnsupportedCompressionType,
            // A client's mistake, for which Kafka has no case either.
            RefusalKind::Undecodable => ErrorCode::UnknownServerError,
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.message.clone())
    }
}

impl KafkaError for DeleteError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
            Self::StorageFailed => ErrorCode::KafkaStorageError,
            Self::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::NotDeletable => ErrorCode::PolicyViolation,
            Self::TimedOut => ErrorCode::RequestTimedOut,
        }
    }
}

impl KafkaError for EpochError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Fenced { .. } => ErrorCode::FencedLeaderEpoch,
            Self::Unknown { .. } => ErrorCode::UnknownLeaderEpoch,
        }
    }
}

impl KafkaError for ReadError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownLog(_) => ErrorCode::UnknownTopicOrPartition,
            Self::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Damaged(_) | Self::Io(_) => ErrorCode::KafkaStorageError,
        }
    }
}

impl KafkaError for SessionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotFound => ErrorCode::FetchSessionIdNotFound,
            Self::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
            Self::MixedTopics => ErrorCode::FetchSessionTopicIdError,
        }
    }
}

impl KafkaError for CreateTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Repeated { .. } | Self::Reserved | Self::CountsBesideAssignment => {
                ErrorCode::InvalidRequest
            }
            Self::IllegalName { .. } | Self::Collides { .. } => ErrorCode::InvalidTopic,
            Self::Exists { .. } => ErrorCode::TopicAlreadyExists,
            Self::ConfigWithoutValue { .. } | Self::Config(_) => ErrorCode::InvalidConfig,
            Self::ReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
            Self::Partitions { .. } => ErrorCode::InvalidPartitions,
            Self::Assignment(error) => error.code(),
            Self::Placement(error) => error.code(),
            Self::TooManyPartitions => ErrorCode::PolicyViolation,
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for DeleteTopicError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Repeated => ErrorCode::InvalidRequest,
            Self::UnknownName { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownId { .. } => ErrorCode::UnknownTopicId,
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for CreatePartitionsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Repeated { .. } => ErrorCode::InvalidRequest,
            Self::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::NotMore { .. } => ErrorCode::InvalidPartitions,
            Self::TooMany => ErrorCode::PolicyViolation,
            Self::Assignment(error) => error.code(),
            Self::Placement(error) => error.code(),
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for AlterScramError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Repeated => ErrorCode::DuplicateResource,
            Self::UnknownMechanism => ErrorCode::UnsupportedSaslMechanism,
            Self::Absent => ErrorCode::ResourceNotFound,
            Self::Unnamed | Self::NoPassword | Self::TooFewIterations | Self::TooManyIterations => {
                ErrorCode::UnacceptableCredential
            }
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for AssignmentError {
    fn code(&self) -> ErrorCode {
        ErrorCode::InvalidReplicaAssignment
    }
}

impl KafkaError for PlacementError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::TooFewBrokers { .. } | Self::NoneActive => ErrorCode::InvalidReplicationFactor,
        }
    }
}

impl KafkaError for RegisterError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Duplicate { .. } => ErrorCode::DuplicateBrokerRegistration,
        }
    }
}

impl KafkaError for StaleBrokerEpoch {
    fn code(&self) -> ErrorCode {
        ErrorCode::StaleBrokerEpoch
    }
}

impl KafkaError for UnregisterError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Unknown { .. } => ErrorCode::BrokerIdNotRegistered,
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for AlterPartitionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownTopic { .. } => ErrorCode::UnknownTopicId,
            Self::UnknownPartition { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::FromTheFuture => ErrorCode::NotController,
            Self::FencedLeaderEpoch { .. } => ErrorCode::FencedLeaderEpoch,
            Self::StalePartitionEpoch { .. } => ErrorCode::InvalidUpdateVersion,
            Self::NotLeader { .. } | Self::NoSubset { .. } | Self::Recovering | Self::Recovered => {
                ErrorCode::InvalidRequest
            }
            Self::Ineligible { .. } | Self::StaleMember { .. } => ErrorCode::IneligibleReplica,
            Self::NewLeaderElected => ErrorCode::NewLeaderElected,
        }
    }
}

impl KafkaError for ElectionError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::NotNeeded => ErrorCode::ElectionNotNeeded,
            Self::PreferredNotAvailable => ErrorCode::PreferredLeaderNotAvailable,
            Self::NoneEligible => ErrorCode::EligibleLeadersNotAvailable,
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for ReassignError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownPartition { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::NotInProgress => ErrorCode::NoReassignmentInProgress,
            Self::Assignment(error) => error.code(),
            Self::FactorChanges { .. } => ErrorCode::InvalidReplicationFactor,
            Self::RevertUnclean => ErrorCode::InvalidReplicaAssignment,
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl KafkaError for AlterConfigError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::RepeatedResource | Self::RepeatedKey { .. } | Self::Unnamed => {
                ErrorCode::InvalidRequest
            }
            Self::IllegalTopic { .. } => ErrorCode::InvalidTopic,
            Self::UnknownTopic { .. } => ErrorCode::UnknownTopicOrPartition,
            Self::UnknownBroker { .. } => ErrorCode::BrokerIdNotRegistered,
            Self::Config { kind, source } => config_code(*kind, source),
            Self::MinIsrOfOneBroker => ErrorCode::InvalidConfig,
            Self::TooMany => ErrorCode::PolicyViolation,
        }
    }

    fn message(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// Kafka's brokers check their own settings before the controller does, and call
/// the request bad where the controller calls the setting bad (KAFKA-13609).
fn config_code(kind: ResourceKind, error: &ConfigError) -> ErrorCode {
    match (kind, error) {
        (_, ConfigError::NotAList { .. } | ConfigError::TooLong { .. }) => ErrorCode::InvalidConfig,
        (ResourceKind::Broker, _)
        | (ResourceKind::ClientMetrics, ConfigError::UnknownKey { .. }) => {
            ErrorCode::InvalidRequest
        }
        (ResourceKind::Topic | ResourceKind::Group | ResourceKind::ClientMetrics, _) => {
            ErrorCode::InvalidConfig
        }
    }
}

impl KafkaError for ProducerIdError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Exhausted => unexpected(self),
        }
    }
}

/// It may be decided yet, or be lost: clients ask again.
impl KafkaError for ControllerError {
    fn code(&self) -> ErrorCode {
        ErrorCode::NotController
    }
}

impl From<ControllerError> for ErrorCode {
    fn from(error: ControllerError) -> Self {
        error.code()
    }
}

impl KafkaError for HostRefusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NotHere => ErrorCode::NotCoordinator,
            Self::Loading => ErrorCode::CoordinatorLoadInProgress,
        }
    }
}

impl KafkaError for JoinError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::InvalidSessionTimeout { .. } => ErrorCode::InvalidSessionTimeout,
            Self::NameTooLong => ErrorCode::InvalidRequest,
            Self::GroupFull => ErrorCode::GroupMaxSizeReached,
            Self::MemberIdRequired { .. } => ErrorCode::MemberIdRequired,
            Self::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
            Self::UnknownMember | Self::Removed => ErrorCode::UnknownMemberId,
            Self::Fenced | Self::Replaced { .. } => ErrorCode::FencedInstanceId,
            // Clients take it for a reason to join again.
            Self::Superseded => ErrorCode::RebalanceInProgress,
        }
    }
}

impl KafkaError for SyncError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::UnknownMember => ErrorCode::UnknownMemberId,
            Self::Fenced => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
            Self::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
            Self::RebalanceInProgress | Self::Superseded => ErrorCode::RebalanceInProgress,
            Self::TooLarge { .. } => unexpected(self),
        }
    }
}

impl KafkaError for HeartbeatError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::UnknownMember => ErrorCode::UnknownMemberId,
            Self::Fenced => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        }
    }
}

impl KafkaError for LeaveError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::UnknownMember => ErrorCode::UnknownMemberId,
            Self::Fenced => ErrorCode::FencedInstanceId,
        }
    }
}

impl KafkaError for CommitError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::UnknownGroup => ErrorCode::GroupIdNotFound,
            Self::UnknownMember => ErrorCode::UnknownMemberId,
            Self::Fenced => ErrorCode::FencedInstanceId,
            Self::IllegalGeneration => ErrorCode::IllegalGeneration,
            Self::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        }
    }
}

impl KafkaError for OffsetRefusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::MetadataTooLarge { .. } => ErrorCode::OffsetMetadataTooLarge,
        }
    }
}

impl KafkaError for DeleteOffsetsError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidGroupId => ErrorCode::InvalidGroupId,
            Self::UnknownGroup => ErrorCode::GroupIdNotFound,
            Self::NotEmpty => ErrorCode::NonEmptyGroup,
        }
    }
}

impl KafkaError for OffsetDeleteRefusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Subscribed => ErrorCode::GroupSubscribedToTopic,
        }
    }
}

impl KafkaError for DeleteGroupError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownGroup => ErrorCode::GroupIdNotFound,
            Self::NotEmpty => ErrorCode::NonEmptyGroup,
        }
    }
}

#[cfg(test)]
mod tests;
