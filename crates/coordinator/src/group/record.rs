//! What the log of a shard holds, and its bytes: those that Kafka writes to
//! `__consumer_offsets`, so that tools which read that topic can read ours.

use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{
    Generation, GroupId, InstanceId, LeaderEpoch, MemberId, Millis, Offset, PartitionId, TopicId,
    TopicName,
};
use ottla_protocol::internal::{
    GroupMember, GroupMetadataValue, OffsetCommitValue, OffsetsKey, RecordError as CodecError,
};

/// Longest name that a record holds, in bytes.
const NAME_BYTES_MAX: usize = 32_767;

/// One change; `None` for a value takes away what the key stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Group {
        group: GroupId,
        value: Option<GroupValue>,
    },
    Offset {
        group: GroupId,
        topic: TopicName,
        partition: PartitionId,
        value: Option<OffsetValue>,
    },
}

/// A group as it was when a generation was complete, or when it became empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupValue {
    /// Empty for a group that nobody has joined yet.
    pub protocol_type: Arc<str>,
    pub generation: Generation,
    pub protocol: Option<Arc<str>>,
    pub leader: Option<MemberId>,
    /// When the group came into the state that this record was written in.
    pub state_since: Option<Millis>,
    pub members: Vec<MemberValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberValue {
    pub id: MemberId,
    pub instance: Option<InstanceId>,
    pub client_id: Arc<str>,
    pub client_host: Arc<str>,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What the member said about itself under the group's protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// How far a group has read a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetValue {
    pub offset: Offset,
    /// [`LeaderEpoch::NONE`] if the client did not say.
    pub leader_epoch: LeaderEpoch,
    pub metadata: Arc<str>,
    pub committed_at: Millis,
    /// Only where the client asked for a retention of its own.
    pub expires_at: Option<Millis>,
    /// [`TopicId::ZERO`] if it was not known.
    pub topic_id: TopicId,
}

/// What a record is the latest value of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKey {
    Group(GroupId),
    Offset(GroupId, TopicName, PartitionId),
}

/// A record as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub key: Bytes,
    /// `None` for a tombstone.
    pub value: Option<Bytes>,
}

/// Why a record cannot be read, or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record has no key")]
    NoKey,
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Record {
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Group { group, .. } => RecordKey::Group(group.clone()),
            Self::Offset {
                group,
                topic,
                partition,
                ..
            } => RecordKey::Offset(group.clone(), topic.clone(), *partition),
        }
    }

    /// `None` for a kind of record that is not ours.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Self>, RecordError> {
        let key = match OffsetsKey::decode(key.ok_or(RecordError::NoKey)?) {
            Ok(key) => key,
            Err(CodecError::UnknownType(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(match key {
            OffsetsKey::GroupMetadata { group } => Self::Group {
                group,
                value: value
                    .map(GroupMetadataValue::decode)
                    .transpose()?
                    .map(GroupValue::from),
            },
            OffsetsKey::OffsetCommit {
                group,
                topic,
                partition,
            } => Self::Offset {
                group,
                topic,
                partition,
                value: value
                    .map(OffsetCommitValue::decode)
                    .transpose()?
                    .map(OffsetValue::from),
            },
        }))
    }

    /// Fails only on a name that [`Record::holds_name`] refuses.
    pub fn encode(&self) -> Result<StoredRecord, RecordError> {
        let (key, value) = match self {
            Self::Group { group, value } => (
                OffsetsKey::GroupMetadata {
                    group: group.clone(),
                },
                value
                    .as_ref()
                    .map(|value| GroupMetadataValue::from(value).encode())
                    .transpose()?,
            ),
            Self::Offset {
                group,
                topic,
                partition,
                value,
            } => (
                OffsetsKey::OffsetCommit {
                    group: group.clone(),
                    topic: topic.clone(),
                    partition: *partition,
                },
                value
                    .as_ref()
                    .map(|value| OffsetCommitValue::from(value).encode())
                    .transpose()?,
            ),
        };
        Ok(StoredRecord {
            key: key.encode()?,
            value,
        })
    }

    /// Whether a record can hold this name.
    pub(crate) fn holds_name(name: &str) -> bool {
        name.len() <= NAME_BYTES_MAX
    }

    /// Whether there can be a group with members under this id.
    pub(crate) fn holds_group(group: &GroupId) -> bool {
        !group.as_str().is_empty() && Self::holds_name(group.as_str())
    }
}

impl GroupValue {
    /// The value of a group that has just been made and that nobody is in yet.
    pub(crate) fn new_group(created: Millis) -> Self {
        Self {
            protocol_type: "".into(),
            generation: Generation(0),
            protocol: None,
            leader: None,
            state_since: Some(created),
            members: Vec::new(),
        }
    }

    /// Roughly how long its record is: what clients can make arbitrarily long.
    pub(crate) fn bytes(&self) -> usize {
        self.members
            .iter()
            .map(|member| member.subscription.len() + member.assignment.len())
            .fold(0, usize::saturating_add)
    }
}

impl From<GroupMetadataValue> for GroupValue {
    fn from(stored: GroupMetadataValue) -> Self {
        Self {
            protocol_type: stored.protocol_type.into(),
            generation: Generation(stored.generation),
            protocol: stored.protocol.map(Arc::from),
            leader: stored.leader,
            state_since: stored.state_since,
            members: stored.members.into_iter().map(MemberValue::from).collect(),
        }
    }
}

impl From<&GroupValue> for GroupMetadataValue {
    fn from(value: &GroupValue) -> Self {
        Self {
            protocol_type: value.protocol_type.to_string(),
            generation: value.generation.0,
            protocol: value.protocol.as_deref().map(str::to_owned),
            leader: value.leader.clone(),
            state_since: value.state_since,
            members: value.members.iter().map(GroupMember::from).collect(),
        }
    }
}

impl From<GroupMember> for MemberValue {
    fn from(stored: GroupMember) -> Self {
        Self {
            id: stored.member_id,
            instance: stored.group_instance_id.map(InstanceId::new),
            client_id: stored.client_id.into(),
            client_host: stored.client_host.into(),
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            session_timeout_ms: stored.session_timeout_ms,
            subscription: stored.subscription,
            assignment: stored.assignment,
        }
    }
}

impl From<&MemberValue> for GroupMember {
    fn from(value: &MemberValue) -> Self {
        Self {
            member_id: value.id.clone(),
            group_instance_id: value.instance.as_ref().map(InstanceId::to_string),
            client_id: value.client_id.to_string(),
            client_host: value.client_host.to_string(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            session_timeout_ms: value.session_timeout_ms,
            subscription: value.subscription.clone(),
            assignment: value.assignment.clone(),
        }
    }
}

impl From<OffsetCommitValue> for OffsetValue {
    fn from(stored: OffsetCommitValue) -> Self {
        Self {
            offset: stored.offset,
            leader_epoch: stored.leader_epoch,
            metadata: stored.metadata.into(),
            committed_at: stored.committed_at,
            expires_at: stored.expires_at,
            topic_id: stored.topic_id,
        }
    }
}

impl From<&OffsetValue> for OffsetCommitValue {
    fn from(value: &OffsetValue) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.to_string(),
            committed_at: value.committed_at,
            expires_at: value.expires_at,
            topic_id: value.topic_id,
        }
    }
}
