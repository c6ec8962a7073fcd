//! The Fetch response, which hands record bytes on without copying them.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::fetch_response as theirs;
use kafka_protocol::messages::{BrokerId, FetchRequest, ProducerId, TopicName};
use kafka_protocol::protocol::{Decodable, StrBytes};
use uuid::Uuid;

use super::served::{check, malformed};
use super::{WireClient, WireRequest};
use crate::wire::Writer;
use crate::{ApiKey, WireError};

/// The answer to a Fetch, in every version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchResponse {
    pub throttle_time_ms: i32,
    pub error_code: i16,
    pub session_id: i32,
    pub responses: Vec<FetchableTopicResponse>,
    /// Where the leaders named in the partitions are; from version 16.
    pub node_endpoints: Vec<NodeEndpoint>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchableTopicResponse {
    /// Up to version 12.
    pub topic: TopicName,
    /// From version 13.
    pub topic_id: Uuid,
    pub partitions: Vec<PartitionData>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionData {
    pub partition_index: i32,
    pub error_code: i16,
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    pub diverging_epoch: Option<EpochEndOffset>,
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// Null for those who read uncommitted.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// -1 for none.
    pub preferred_read_replica: BrokerId,
    /// Pieces of whole batches, in order. Never null on the wire: some clients
    /// do not survive that.
    pub records: Vec<Bytes>,
}

impl Default for PartitionData {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: 0,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: BrokerId(-1),
            records: Vec::new(),
        }
    }
}

/// Where the log of the last fetched epoch ends, if it is shorter than the
/// fetcher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: i32,
    pub end_offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    pub leader_id: BrokerId,
    pub leader_epoch: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: ProducerId,
    pub first_offset: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    pub node_id: BrokerId,
    pub host: StrBytes,
    pub port: i32,
    pub rack: Option<StrBytes>,
}

impl WireRequest for FetchRequest {
    const KEY: ApiKey = ApiKey::Fetch;
    const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;
    type Response = FetchResponse;

    fn decode(body: &mut Bytes, version: i16) -> Result<Self, WireError> {
        check::<Self>(version)?;
        <Self as Decodable>::decode(body, version).map_err(malformed::<Self>)
    }

    fn encode(response: &FetchResponse, version: i16, out: &mut BytesMut) -> Result<(), WireError> {
        for chunk in encode_fetch(response, version)? {
            out.put(chunk);
        }
        Ok(())
    }
}

impl WireClient for FetchRequest {
    fn encode_request(&self, version: i16, out: &mut BytesMut) -> Result<(), WireError> {
        check::<Self>(version)?;
        kafka_protocol::protocol::Encodable::encode(self, out, version).map_err(malformed::<Self>)
    }

    fn decode_response(body: &mut Bytes, version: i16) -> Result<FetchResponse, WireError> {
        check::<Self>(version)?;
        let response = theirs::FetchResponse::decode(body, version).map_err(malformed::<Self>)?;
        Ok(response.into())
    }
}

/// Writes a response's body as a list of pieces: what is around the records,
/// and the records' own memory.
pub fn encode_fetch(response: &FetchResponse, version: i16) -> Result<Vec<Bytes>, WireError> {
    check::<FetchRequest>(version)?;
    let mut chunks = Chunks {
        done: Vec::new(),
        open: BytesMut::with_capacity(size_hint(response)),
        version,
        flexible: ApiKey::Fetch.is_flexible(version),
    };
    chunks.response(response)?;
    chunks.seal();
    Ok(chunks.done)
}

/// About what the bytes around the records take.
fn size_hint(response: &FetchResponse) -> usize {
    let topics = response.responses.iter();
    let topics = topics.map(|topic| 32 + topic.topic.len() + 64 * topic.partitions.len());
    32 + topics.sum::<usize>()
}

/// A response in the making.
struct Chunks {
    done: Vec<Bytes>,
    /// What was written since the last piece.
    open: BytesMut,
    version: i16,
    flexible: bool,
}

impl Chunks {
    fn response(&mut self, response: &FetchResponse) -> Result<(), WireError> {
        self.open.put_i32(response.throttle_time_ms);
        if self.version >= 7 {
            self.open.put_i16(response.error_code);
            self.open.put_i32(response.session_id);
        }
        self.writer().length(response.responses.len())?;
        for topic in &response.responses {
            self.topic(topic)?;
        }
        if self.version >= 16 && !response.node_endpoints.is_empty() {
            self.node_endpoints(&response.node_endpoints)
        } else {
            self.writer().no_tags();
            Ok(())
        }
    }

    fn topic(&mut self, topic: &FetchableTopicResponse) -> Result<(), WireError> {
        if self.version >= 13 {
            self.writer().uuid(topic.topic_id);
        } else {
            self.writer().string(&topic.topic)?;
        }
        self.writer().length(topic.partitions.len())?;
        for partition in &topic.partitions {
            self.partition(partition)?;
        }
        self.writer().no_tags();
        Ok(())
    }

    fn partition(&mut self, partition: &PartitionData) -> Result<(), WireError> {
        self.open.put_i32(partition.partition_index);
        self.open.put_i16(partition.error_code);
        self.open.put_i64(partition.high_watermark);
        self.open.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.open.put_i64(partition.log_start_offset);
        }
        self.aborted(partition.aborted_transactions.as_deref())?;
        if self.version >= 11 {
            self.open.put_i32(*partition.preferred_read_replica);
        }
        self.records(&partition.records)?;
        if self.flexible {
            self.partition_tags(partition);
        }
        Ok(())
    }

    fn aborted(&mut self, aborted: Option<&[AbortedTransaction]>) -> Result<(), WireError> {
        let mut writer = self.writer();
        let Some(aborted) = aborted else {
            writer.null();
            return Ok(());
        };
        writer.array(aborted, |writer, transaction| {
            writer.out.put_i64(*transaction.producer_id);
            writer.out.put_i64(transaction.first_offset);
            writer.no_tags();
            Ok(())
        })
    }

    fn records(&mut self, records: &[Bytes]) -> Result<(), WireError> {
        self.writer().length(records.iter().map(Bytes::len).sum())?;
        for chunk in records.iter().filter(|chunk| !chunk.is_empty()) {
            self.seal();
            self.done.push(chunk.clone());
        }
        Ok(())
    }

    fn partition_tags(&mut self, partition: &PartitionData) {
        let diverging = partition.diverging_epoch;
        let leader = partition.current_leader;
        let out = &mut self.open;
        out.put_u8(u8::from(diverging.is_some()) + u8::from(leader.is_some()));
        if let Some(EpochEndOffset { epoch, end_offset }) = diverging {
            // Tag 0, 13 bytes: int32, int64, no tags.
            out.put_slice(&[0, 13]);
            out.put_i32(epoch);
            out.put_i64(end_offset);
            out.put_u8(0);
        }
        if let Some(leader) = leader {
            // Tag 1, 9 bytes: int32, int32, no tags.
            out.put_slice(&[1, 9]);
            out.put_i32(*leader.leader_id);
            out.put_i32(leader.leader_epoch);
            out.put_u8(0);
        }
    }

    /// The response's one tagged field, whose size precedes it.
    fn node_endpoints(&mut self, endpoints: &[NodeEndpoint]) -> Result<(), WireError> {
        let mut field = BytesMut::new();
        Writer::new(&mut field, WHAT, true).array(endpoints, |writer, endpoint| {
            writer.out.put_i32(*endpoint.node_id);
            writer.string(&endpoint.host)?;
            writer.out.put_i32(endpoint.port);
            writer.nullable_string(endpoint.rack.as_deref())?;
            writer.no_tags();
            Ok(())
        })?;
        self.open.put_slice(&[1, 0]);
        self.writer().tag_size(field.len())?;
        self.open.put(field);
        Ok(())
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer::new(&mut self.open, WHAT, self.flexible)
    }

    /// Ends the piece that is being written.
    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.done.push(self.open.split().freeze());
        }
    }
}

const WHAT: &str = "Fetch response";

impl From<theirs::FetchResponse> for FetchResponse {
    fn from(response: theirs::FetchResponse) -> Self {
        Self {
            throttle_time_ms: response.throttle_time_ms,
            error_code: response.error_code,
            session_id: response.session_id,
            responses: response.responses.into_iter().map(Into::into).collect(),
            node_endpoints: response
                .node_endpoints
                .into_iter()
                .map(Into::into)
                .collect(),
        }
    }
}

impl From<theirs::FetchableTopicResponse> for FetchableTopicResponse {
    fn from(topic: theirs::FetchableTopicResponse) -> Self {
        Self {
            topic: topic.topic,
            topic_id: topic.topic_id,
            partitions: topic.partitions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<theirs::PartitionData> for PartitionData {
    fn from(partition: theirs::PartitionData) -> Self {
        let diverging = partition.diverging_epoch;
        let leader = partition.current_leader;
        Self {
            partition_index: partition.partition_index,
            error_code: partition.error_code,
            high_watermark: partition.high_watermark,
            last_stable_offset: partition.last_stable_offset,
            log_start_offset: partition.log_start_offset,
            diverging_epoch: (diverging != theirs::EpochEndOffset::default()).then_some(
                EpochEndOffset {
                    epoch: diverging.epoch,
                    end_offset: diverging.end_offset,
                },
            ),
            current_leader: (leader != theirs::LeaderIdAndEpoch::default()).then_some(
                LeaderIdAndEpoch {
                    leader_id: leader.leader_id,
                    leader_epoch: leader.leader_epoch,
                },
            ),
            aborted_transactions: partition.aborted_transactions.map(|aborted| {
                let aborted = aborted.into_iter();
                let aborted = aborted.map(|transaction| AbortedTransaction {
                    producer_id: transaction.producer_id,
                    first_offset: transaction.first_offset,
                });
                aborted.collect()
            }),
            preferred_read_replica: partition.preferred_read_replica,
            records: partition
                .records
                .into_iter()
                .filter(|records| !records.is_empty())
                .collect(),
        }
    }
}

impl From<theirs::NodeEndpoint> for NodeEndpoint {
    fn from(endpoint: theirs::NodeEndpoint) -> Self {
        Self {
            node_id: endpoint.node_id,
            host: endpoint.host,
            port: endpoint.port,
            rack: endpoint.rack,
        }
    }
}
