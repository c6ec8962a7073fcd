//! Keys and values of `__consumer_offsets`.

use bytes::{BufMut, Bytes, BytesMut};
use ottla_base::{GroupId, LeaderEpoch, MemberId, Millis, Offset, PartitionId, TopicId, TopicName};

use crate::WireError;
use crate::wire::{Reader, Writer};

/// What a record of `__consumer_offsets` is about. The number at the front of
/// the key is the record's type, not a version of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum OffsetsKey {
    /// A group's position in one partition. Types 0 and 1 mean the same.
    OffsetCommit {
        group: GroupId,
        topic: TopicName,
        partition: PartitionId,
    },
    /// A classic group's last generation: type 2.
    GroupMetadata { group: GroupId },
}

/// Why a record of an internal topic cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Written by a newer version, or by a feature that we do not have. Kafka
    /// passes over such keys, with a warning.
    #[error("no record has the type {0}")]
    UnknownType(i16),
    #[error("{what} has no version {version}")]
    UnknownVersion { what: &'static str, version: i16 },
    #[error(transparent)]
    Malformed(#[from] WireError),
}

/// A group's position in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitValue {
    pub offset: Offset,
    /// [`LeaderEpoch::NONE`] if unknown.
    pub leader_epoch: LeaderEpoch,
    pub metadata: String,
    pub committed_at: Millis,
    /// Set by clients up to OffsetCommit 4 that chose their own retention.
    pub expires_at: Option<Millis>,
    /// [`TopicId::ZERO`] if unknown.
    pub topic_id: TopicId,
}

/// A classic group's generation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMetadataValue {
    /// Empty for a group without members that never had a protocol.
    pub protocol_type: String,
    pub generation: i32,
    pub protocol: Option<String>,
    pub leader: Option<MemberId>,
    /// When the group came into its state; none if unknown.
    pub state_since: Option<Millis>,
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    pub member_id: MemberId,
    pub group_instance_id: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// The member's metadata for the chosen protocol.
    pub subscription: Bytes,
    pub assignment: Bytes,
}

impl OffsetsKey {
    const OFFSET_COMMIT: i16 = 1;
    const GROUP_METADATA: i16 = 2;

    pub fn decode(key: &[u8]) -> Result<Self, RecordError> {
        let mut bytes = Bytes::copy_from_slice(key);
        let mut reader = Reader::new(&mut bytes, "key of a group record");
        match reader.i16()? {
            0 | Self::OFFSET_COMMIT => Ok(Self::OffsetCommit {
                group: GroupId::from(&*reader.string()?),
                topic: TopicName::from(&*reader.string()?),
                partition: PartitionId(reader.i32()?),
            }),
            Self::GROUP_METADATA => Ok(Self::GroupMetadata {
                group: GroupId::from(&*reader.string()?),
            }),
            other => Err(RecordError::UnknownType(other)),
        }
    }

    /// The key's bytes. Fails on a name that is longer than the wire can say,
    /// which no request could have brought.
    pub fn encode(&self) -> Result<Bytes, RecordError> {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out, "key of a group record", false);
        match self {
            Self::OffsetCommit {
                group,
                topic,
                partition,
            } => {
                writer.out.put_i16(Self::OFFSET_COMMIT);
                writer.string(group.as_str())?;
                writer.string(topic.as_str())?;
                writer.out.put_i32(partition.0);
            }
            Self::GroupMetadata { group } => {
                writer.out.put_i16(Self::GROUP_METADATA);
                writer.string(group.as_str())?;
            }
        }
        Ok(out.freeze())
    }
}

impl OffsetCommitValue {
    const WHAT: &str = "offset commit";

    /// Reads versions 0 to 4.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut bytes = Bytes::copy_from_slice(value);
        let mut reader = Reader::new(&mut bytes, Self::WHAT);
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(RecordError::UnknownVersion {
                what: Self::WHAT,
                version,
            });
        }
        let mut reader = reader.flexible(version >= 4);
        let offset = Offset(reader.i64()?);
        let leader_epoch = match version {
            3.. => LeaderEpoch(reader.i32()?),
            _ => LeaderEpoch::NONE,
        };
        let metadata = reader.string()?.to_string();
        let committed_at = Millis(reader.i64()?);
        let expires_at = match version {
            1 => Some(reader.i64()?).filter(|at| *at != -1).map(Millis),
            _ => None,
        };
        let mut topic_id = TopicId::ZERO;
        if version >= 4 {
            reader.each_tag(|tag, field| {
                if tag == 0 {
                    let id = field
                        .first_chunk()
                        .ok_or(WireError::Short { what: "topic id" })?;
                    topic_id = TopicId(*id);
                }
                Ok(())
            })?;
        }
        Ok(Self {
            offset,
            leader_epoch,
            metadata,
            committed_at,
            expires_at,
            topic_id,
        })
    }

    /// Writes version 4, or 1 if the commit has its own expiry: as Kafka does,
    /// which loses epoch and topic id in that case.
    pub fn encode(&self) -> Result<Bytes, RecordError> {
        let mut out = BytesMut::new();
        let flexible = self.expires_at.is_none();
        let mut writer = Writer::new(&mut out, Self::WHAT, flexible);
        writer.out.put_i16(if flexible { 4 } else { 1 });
        writer.out.put_i64(self.offset.0);
        if flexible {
            writer.out.put_i32(self.leader_epoch.0);
        }
        writer.string(&self.metadata)?;
        writer.out.put_i64(self.committed_at.0);
        match self.expires_at {
            Some(at) => writer.out.put_i64(at.0),
            None if self.topic_id == TopicId::ZERO => writer.no_tags(),
            None => {
                // One field: tag 0, 16 bytes.
                writer.out.put_slice(&[1, 0, 16]);
                writer.out.put_slice(&self.topic_id.0);
            }
        }
        Ok(out.freeze())
    }
}

impl GroupMetadataValue {
    const WHAT: &str = "group metadata";
    /// What Kafka 4.3 writes; it reads 4 as well.
    const WRITTEN: i16 = 3;

    /// Reads versions 0 to 4.
    pub fn decode(value: &[u8]) -> Result<Self, RecordError> {
        let mut bytes = Bytes::copy_from_slice(value);
        let mut reader = Reader::new(&mut bytes, Self::WHAT);
        let version = reader.i16()?;
        if !(0..=4).contains(&version) {
            return Err(RecordError::UnknownVersion {
                what: Self::WHAT,
                version,
            });
        }
        let mut reader = reader.flexible(version >= 4);
        let group = Self {
            protocol_type: reader.string()?.to_string(),
            generation: reader.i32()?,
            protocol: reader.nullable_string()?.map(|name| name.to_string()),
            leader: reader.nullable_string()?.map(|id| MemberId::from(&*id)),
            state_since: match version {
                2.. => Some(reader.i64()?).filter(|at| *at != -1).map(Millis),
                _ => None,
            },
            members: reader.array(|reader| GroupMember::read(reader, version))?,
        };
        reader.tags()?;
        Ok(group)
    }

    pub fn encode(&self) -> Result<Bytes, RecordError> {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out, Self::WHAT, false);
        writer.out.put_i16(Self::WRITTEN);
        writer.string(&self.protocol_type)?;
        writer.out.put_i32(self.generation);
        writer.nullable_string(self.protocol.as_deref())?;
        writer.nullable_string(self.leader.as_ref().map(MemberId::as_str))?;
        writer.out.put_i64(self.state_since.map_or(-1, |at| at.0));
        writer.array(&self.members, |writer, member| member.write(writer))?;
        Ok(out.freeze())
    }
}

impl GroupMember {
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, WireError> {
        let member = Self {
            member_id: MemberId::from(&*reader.string()?),
            group_instance_id: match version {
                3.. => reader.nullable_string()?.map(|id| id.to_string()),
                _ => None,
            },
            client_id: reader.string()?.to_string(),
            client_host: reader.string()?.to_string(),
            rebalance_timeout_ms: if version >= 1 { reader.i32()? } else { -1 },
            session_timeout_ms: reader.i32()?,
            subscription: reader.bytes()?,
            assignment: reader.bytes()?,
        };
        reader.tags()?;
        Ok(member)
    }

    fn write(&self, writer: &mut Writer<'_>) -> Result<(), WireError> {
        writer.string(self.member_id.as_str())?;
        writer.nullable_string(self.group_instance_id.as_deref())?;
        writer.string(&self.client_id)?;
        writer.string(&self.client_host)?;
        writer.out.put_i32(self.rebalance_timeout_ms);
        writer.out.put_i32(self.session_timeout_ms);
        writer.bytes(&self.subscription)?;
        writer.bytes(&self.assignment)
    }
}
