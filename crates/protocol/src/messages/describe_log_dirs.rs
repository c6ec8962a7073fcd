//! DescribeLogDirs 5, whose response says whether a directory is cordoned
//! (KIP-1066): the crate stops at 4.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{DescribeLogDirsRequest, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::served::{check, malformed};
use super::{WireClient, WireRequest};
use crate::wire::{Reader, Writer};
use crate::{ApiKey, WireError};

/// The answer to a DescribeLogDirs, in every version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeLogDirsResponse {
    pub throttle_time_ms: i32,
    /// From version 3.
    pub error_code: i16,
    pub results: Vec<DescribeLogDirsResult>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeLogDirsResult {
    pub error_code: i16,
    pub log_dir: StrBytes,
    pub topics: Vec<DescribeLogDirsTopic>,
    /// From version 4; -1 if unknown.
    pub total_bytes: i64,
    /// From version 4; -1 if unknown.
    pub usable_bytes: i64,
    /// From version 5.
    pub is_cordoned: bool,
}

impl Default for DescribeLogDirsResult {
    fn default() -> Self {
        Self {
            error_code: 0,
            log_dir: StrBytes::new(),
            topics: Vec::new(),
            total_bytes: -1,
            usable_bytes: -1,
            is_cordoned: false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeLogDirsTopic {
    pub name: TopicName,
    pub partitions: Vec<DescribeLogDirsPartition>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DescribeLogDirsPartition {
    pub partition_index: i32,
    pub partition_size: i64,
    pub offset_lag: i64,
    pub is_future_key: bool,
}

/// The last version whose request the crate knows; later ones have its bytes.
const LAYOUT_MAX: i16 = 4;

const WHAT: &str = "DescribeLogDirs response";

impl WireRequest for DescribeLogDirsRequest {
    const KEY: ApiKey = ApiKey::DescribeLogDirs;
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=5;
    type Response = DescribeLogDirsResponse;

    fn decode(body: &mut Bytes, version: i16) -> Result<Self, WireError> {
        check::<Self>(version)?;
        <Self as Decodable>::decode(body, version.min(LAYOUT_MAX)).map_err(malformed::<Self>)
    }

    fn encode(
        response: &DescribeLogDirsResponse,
        version: i16,
        out: &mut BytesMut,
    ) -> Result<(), WireError> {
        check::<Self>(version)?;
        let mut writer = Writer::new(out, WHAT, ApiKey::DescribeLogDirs.is_flexible(version));
        writer.out.put_i32(response.throttle_time_ms);
        if version >= 3 {
            writer.out.put_i16(response.error_code);
        }
        writer.array(&response.results, |writer, result| {
            write_result(writer, result, version)
        })?;
        writer.no_tags();
        Ok(())
    }
}

impl WireClient for DescribeLogDirsRequest {
    fn encode_request(&self, version: i16, out: &mut BytesMut) -> Result<(), WireError> {
        check::<Self>(version)?;
        Encodable::encode(self, out, version.min(LAYOUT_MAX)).map_err(malformed::<Self>)
    }

    fn decode_response(
        body: &mut Bytes,
        version: i16,
    ) -> Result<DescribeLogDirsResponse, WireError> {
        check::<Self>(version)?;
        let flexible = ApiKey::DescribeLogDirs.is_flexible(version);
        let mut reader = Reader::new(body, WHAT).flexible(flexible);
        let response = DescribeLogDirsResponse {
            throttle_time_ms: reader.i32()?,
            error_code: if version >= 3 { reader.i16()? } else { 0 },
            results: reader.array(|reader| read_result(reader, version))?,
        };
        reader.tags()?;
        Ok(response)
    }
}

fn write_result(
    writer: &mut Writer<'_>,
    result: &DescribeLogDirsResult,
    version: i16,
) -> Result<(), WireError> {
    writer.out.put_i16(result.error_code);
    writer.string(&result.log_dir)?;
    writer.array(&result.topics, |writer, topic| {
        writer.string(&topic.name)?;
        writer.array(&topic.partitions, |writer, partition| {
            writer.out.put_i32(partition.partition_index);
            writer.out.put_i64(partition.partition_size);
            writer.out.put_i64(partition.offset_lag);
            writer.bool(partition.is_future_key);
            writer.no_tags();
            Ok(())
        })?;
        writer.no_tags();
        Ok(())
    })?;
    if version >= 4 {
        writer.out.put_i64(result.total_bytes);
        writer.out.put_i64(result.usable_bytes);
    }
    if version >= 5 {
        writer.bool(result.is_cordoned);
    }
    writer.no_tags();
    Ok(())
}

fn read_result(reader: &mut Reader<'_>, version: i16) -> Result<DescribeLogDirsResult, WireError> {
    let result = DescribeLogDirsResult {
        error_code: reader.i16()?,
        log_dir: reader.string()?,
        topics: reader.array(read_topic)?,
        total_bytes: if version >= 4 { reader.i64()? } else { -1 },
        usable_bytes: if version >= 4 { reader.i64()? } else { -1 },
        is_cordoned: version >= 5 && reader.bool()?,
    };
    reader.tags()?;
    Ok(result)
}

fn read_topic(reader: &mut Reader<'_>) -> Result<DescribeLogDirsTopic, WireError> {
    let topic = DescribeLogDirsTopic {
        name: TopicName(reader.string()?),
        partitions: reader.array(|reader| {
            let partition = DescribeLogDirsPartition {
                partition_index: reader.i32()?,
                partition_size: reader.i64()?,
                offset_lag: reader.i64()?,
                is_future_key: reader.bool()?,
            };
            reader.tags()?;
            Ok(partition)
        })?,
    };
    reader.tags()?;
    Ok(topic)
}
