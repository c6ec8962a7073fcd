//! OffsetCommit 10, whose request names topics by id (KIP-848): the crate has
//! its fields and its response, but not its bytes.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetCommitResponse};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::served::{check, malformed};
use super::{WireClient, WireRequest};
use crate::wire::{Reader, Writer};
use crate::{ApiKey, WireError};

const WHAT: &str = "OffsetCommit request";

impl WireRequest for OffsetCommitRequest {
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=10;
    type Response = OffsetCommitResponse;

    fn decode(body: &mut Bytes, version: i16) -> Result<Self, WireError> {
        check::<Self>(version)?;
        if version < 10 {
            return <Self as Decodable>::decode(body, version).map_err(malformed::<Self>);
        }
        let mut reader = Reader::new(body, WHAT).flexible(true);
        let mut request = Self::default();
        request.group_id = GroupId(reader.string()?);
        request.generation_id_or_member_epoch = reader.i32()?;
        request.member_id = reader.string()?;
        request.group_instance_id = reader.nullable_string()?;
        request.topics = reader.array(read_topic)?;
        reader.tags()?;
        Ok(request)
    }

    fn encode(
        response: &OffsetCommitResponse,
        version: i16,
        out: &mut BytesMut,
    ) -> Result<(), WireError> {
        check::<Self>(version)?;
        Encodable::encode(response, out, version).map_err(malformed::<Self>)
    }
}

impl WireClient for OffsetCommitRequest {
    fn encode_request(&self, version: i16, out: &mut BytesMut) -> Result<(), WireError> {
        check::<Self>(version)?;
        if version < 10 {
            return Encodable::encode(self, out, version).map_err(malformed::<Self>);
        }
        let mut writer = Writer::new(out, WHAT, true);
        writer.string(&self.group_id)?;
        writer.out.put_i32(self.generation_id_or_member_epoch);
        writer.string(&self.member_id)?;
        writer.nullable_string(self.group_instance_id.as_deref())?;
        writer.array(&self.topics, write_topic)?;
        writer.no_tags();
        Ok(())
    }

    fn decode_response(body: &mut Bytes, version: i16) -> Result<OffsetCommitResponse, WireError> {
        check::<Self>(version)?;
        OffsetCommitResponse::decode(body, version).map_err(malformed::<Self>)
    }
}

fn read_topic(reader: &mut Reader<'_>) -> Result<OffsetCommitRequestTopic, WireError> {
    let mut topic = OffsetCommitRequestTopic::default();
    topic.topic_id = reader.uuid()?;
    topic.partitions = reader.array(|reader| {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.partition_index = reader.i32()?;
        partition.committed_offset = reader.i64()?;
        partition.committed_leader_epoch = reader.i32()?;
        partition.committed_metadata = reader.nullable_string()?;
        reader.tags()?;
        Ok(partition)
    })?;
    reader.tags()?;
    Ok(topic)
}

fn write_topic(writer: &mut Writer<'_>, topic: &OffsetCommitRequestTopic) -> Result<(), WireError> {
    writer.uuid(topic.topic_id);
    writer.array(&topic.partitions, |writer, partition| {
        writer.out.put_i32(partition.partition_index);
        writer.out.put_i64(partition.committed_offset);
        writer.out.put_i32(partition.committed_leader_epoch);
        writer.nullable_string(partition.committed_metadata.as_deref())?;
        writer.no_tags();
        Ok(())
    })?;
    writer.no_tags();
    Ok(())
}
