//! What consumers write into their metadata and assignments: the broker looks
//! into it only to learn which topics a group subscribes to.

use bytes::{BufMut, Bytes, BytesMut};
use ottla_base::{PartitionId, TopicName};

use crate::WireError;
use crate::wire::{Reader, Writer};

/// A member's metadata in the protocol type `consumer`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    pub topics: Vec<TopicName>,
    pub user_data: Option<Bytes>,
    pub owned: Vec<OwnedPartitions>,
    /// -1 if unknown.
    pub generation: i32,
    pub rack: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedPartitions {
    pub topic: TopicName,
    pub partitions: Vec<PartitionId>,
}

/// A member's assignment in the protocol type `consumer`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assignment {
    pub assigned: Vec<OwnedPartitions>,
    pub user_data: Option<Bytes>,
}

/// The newest version; a newer one only adds fields at the end, and is read as
/// this one.
const VERSION_MAX: i16 = 3;

impl Subscription {
    /// Reads any version.
    pub fn parse(metadata: &[u8]) -> Result<Self, WireError> {
        let mut bytes = Bytes::copy_from_slice(metadata);
        let mut reader = Reader::new(&mut bytes, "consumer subscription");
        let version = read_version(&mut reader)?;
        Ok(Self {
            topics: reader.array(read_topic)?,
            user_data: reader.nullable_bytes()?,
            owned: match version {
                1.. => reader.array(read_partitions)?,
                _ => Vec::new(),
            },
            generation: if version >= 2 { reader.i32()? } else { -1 },
            rack: match version {
                3.. => reader.nullable_string()?.map(|rack| rack.to_string()),
                _ => None,
            },
        })
    }

    /// Writes version 3.
    pub fn encode(&self) -> Result<Bytes, WireError> {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out, "consumer subscription", false);
        writer.out.put_i16(VERSION_MAX);
        writer.array(&self.topics, |writer, topic| writer.string(topic.as_str()))?;
        writer.nullable_bytes(self.user_data.as_ref())?;
        writer.array(&self.owned, write_partitions)?;
        writer.out.put_i32(self.generation);
        writer.nullable_string(self.rack.as_deref())?;
        Ok(out.freeze())
    }
}

impl Assignment {
    /// Reads any version.
    pub fn parse(assignment: &[u8]) -> Result<Self, WireError> {
        let mut bytes = Bytes::copy_from_slice(assignment);
        let mut reader = Reader::new(&mut bytes, "consumer assignment");
        read_version(&mut reader)?;
        Ok(Self {
            assigned: reader.array(read_partitions)?,
            user_data: reader.nullable_bytes()?,
        })
    }

    /// Writes version 3.
    pub fn encode(&self) -> Result<Bytes, WireError> {
        let mut out = BytesMut::new();
        let mut writer = Writer::new(&mut out, "consumer assignment", false);
        writer.out.put_i16(VERSION_MAX);
        writer.array(&self.assigned, write_partitions)?;
        writer.nullable_bytes(self.user_data.as_ref())?;
        Ok(out.freeze())
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<i16, WireError> {
    let version = reader.i16()?;
    if version < 0 {
        return Err(WireError::Malformed {
            what: "version of the consumer protocol",
            reason: format!("{version} is negative"),
        });
    }
    Ok(version.min(VERSION_MAX))
}

fn read_topic(reader: &mut Reader<'_>) -> Result<TopicName, WireError> {
    Ok(TopicName::from(&*reader.string()?))
}

fn read_partitions(reader: &mut Reader<'_>) -> Result<OwnedPartitions, WireError> {
    Ok(OwnedPartitions {
        topic: read_topic(reader)?,
        partitions: reader.array(|reader| reader.i32().map(PartitionId))?,
    })
}

fn write_partitions(writer: &mut Writer<'_>, owned: &OwnedPartitions) -> Result<(), WireError> {
    writer.string(owned.topic.as_str())?;
    writer.array(&owned.partitions, |writer, partition| {
        writer.out.put_i32(partition.0);
        Ok(())
    })
}
