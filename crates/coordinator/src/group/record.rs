//! What the log of a shard holds, and its bytes: those that Kafka writes to
//! `__consumer_offsets`, so that tools which read that topic can read ours.

use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{
    Generation, GroupId, InstanceId, LeaderEpoch, MemberId, Millis, Offset, PartitionId, TopicId,
    TopicName,
};

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

impl Record {
    pub fn key(&self) -> RecordKey {
        match self {
            Self::Group { group, .. } => RecordKey::Group(group.clone()),
            Self::Offset { group, topic, partition, .. } => {
                RecordKey::Offset(group.clone(), topic.clone(), *partition)
            }
        }
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
}

/// Why a stored record cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the record has no key")]
    NoKey,
    #[error("{0}")]
    Malformed(String),
}
