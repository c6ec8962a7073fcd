//! OffsetFetch 10, whose request names topics by id (KIP-848): the crate has its
//! fields and its response, but not its bytes.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{GroupId, OffsetFetchRequest, OffsetFetchResponse};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::served::{check, malformed};
use super::{WireClient, WireRequest, fit};
use crate::wire::{Reader, Writer};
use crate::{ApiKey, WireError};

const WHAT: &str = "OffsetFetch request";

impl WireRequest for OffsetFetchRequest {
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;
    type Response = OffsetFetchResponse;

    fn decode(body: &mut Bytes, version: i16) -> Result<Self, WireError> {
        check::<Self>(version)?;
        if version < 10 {
            return <Self as Decodable>::decode(body, version).map_err(malformed::<Self>);
        }
        let mut reader = Reader::new(body, WHAT).flexible(true);
        let mut request = Self::default();
        request.groups = reader.array(read_group)?;
        request.require_stable = reader.bool()?;
        reader.tags()?;
        Ok(request)
    }

    fn encode(
        response: &OffsetFetchResponse,
        version: i16,
        out: &mut BytesMut,
    ) -> Result<(), WireError> {
        check::<Self>(version)?;
        let response = fit::offset_fetch(response, version);
        Encodable::encode(response.as_ref(), out, version).map_err(malformed::<Self>)
    }
}

impl WireClient for OffsetFetchRequest {
    fn encode_request(&self, version: i16, out: &mut BytesMut) -> Result<(), WireError> {
        check::<Self>(version)?;
        if version < 10 {
            return Encodable::encode(self, out, version).map_err(malformed::<Self>);
        }
        let mut writer = Writer::new(out, WHAT, true);
        writer.array(&self.groups, write_group)?;
        writer.bool(self.require_stable);
        writer.no_tags();
        Ok(())
    }

    fn decode_response(body: &mut Bytes, version: i16) -> Result<OffsetFetchResponse, WireError> {
        check::<Self>(version)?;
        OffsetFetchResponse::decode(body, version).map_err(malformed::<Self>)
    }
}

fn read_group(reader: &mut Reader<'_>) -> Result<OffsetFetchRequestGroup, WireError> {
    let mut group = OffsetFetchRequestGroup::default();
    group.group_id = GroupId(reader.string()?);
    group.member_id = reader.nullable_string()?;
    group.member_epoch = reader.i32()?;
    group.topics = reader.nullable_array(|reader| {
        let mut topic = OffsetFetchRequestTopics::default();
        topic.topic_id = reader.uuid()?;
        topic.partition_indexes = reader.array(Reader::i32)?;
        reader.tags()?;
        Ok(topic)
    })?;
    reader.tags()?;
    Ok(group)
}

fn write_group(writer: &mut Writer<'_>, group: &OffsetFetchRequestGroup) -> Result<(), WireError> {
    writer.string(&group.group_id)?;
    writer.nullable_string(group.member_id.as_deref())?;
    writer.out.put_i32(group.member_epoch);
    match &group.topics {
        None => writer.null(),
        Some(topics) => writer.array(topics, |writer, topic| {
            writer.uuid(topic.topic_id);
            writer.array(&topic.partition_indexes, |writer, index| {
                writer.out.put_i32(*index);
                Ok(())
            })?;
            writer.no_tags();
            Ok(())
        })?,
    }
    writer.no_tags();
    Ok(())
}
