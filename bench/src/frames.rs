//! A client of bare frames: one blocking connection that sends requests and waits
//! for their answers, with no thread and no queue of its own in between.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, MetadataRequest, ProduceRequest, ProduceResponse, RequestHeader,
    ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// Old enough for every broker that is measured to serve them.
const METADATA_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 7;
const FETCH_VERSION: i16 = 4;
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 4096;
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// As clients have it by default: `max.partition.fetch.bytes` and `fetch.max.bytes`.
const PARTITION_BYTES_MAX: i32 = 1 << 20;
const FETCH_BYTES_MAX: i32 = 50 << 20;
const FETCH_WAIT_MS: i32 = 500;
/// In front of the length of what follows in a batch, and where it says how far behind
/// the first its last offset lies.
const BATCH_FRONT_BYTES: usize = 12;
const LAST_OFFSET_AT: usize = 23;
const TRY_AGAIN_AFTER: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What was read and is not taken yet.
    arrived: BytesMut,
}

/// Whose acknowledgement a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acks {
    Leader,
    All,
}

/// A Produce request of equal batches of equal records, encoded once and sent as often
/// as wanted: without a producer id every sending is a new batch.
#[derive(Debug)]
pub(crate) struct PreparedProduce {
    frame: Bytes,
}

impl PreparedProduce {
    pub(crate) fn new(
        topic: &str,
        partition: i32,
        acks: Acks,
        payload: &[u8],
        records: u32,
    ) -> Result<Self> {
        Self::to_each(topic, &[partition], acks, payload, records)
    }

    /// One batch to each of these partitions.
    pub(crate) fn to_each(
        topic: &str,
        partitions: &[i32],
        acks: Acks,
        payload: &[u8],
        records: u32,
    ) -> Result<Self> {
        let batch = (0..records).map(|offset| record(payload, offset));
        let batch = batch.collect::<Result<Vec<_>>>()?;
        let mut records = BytesMut::new();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        RecordBatchEncoder::encode(&mut records, &batch, &options)?;
        let records = records.freeze();
        let partitions = partitions.iter().map(|partition| {
            PartitionProduceData::default()
                .with_index(*partition)
                .with_records(Some(records.clone()))
        });
        let topic = TopicProduceData::default()
            .with_name(name(topic))
            .with_partition_data(partitions.collect());
        let request = ProduceRequest::default()
            .with_acks(match acks {
                Acks::Leader => 1,
                Acks::All => -1,
            })
            .with_timeout_ms(30_000)
            .with_topic_data(vec![topic]);
        let frame = encode(&request, PRODUCE_VERSION)?;
        Ok(Self { frame })
    }
}

impl Connection {
    pub(crate) fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| address.to_owned())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let arrived = BytesMut::with_capacity(READ_BYTES);
        Ok(Self { stream, arrived })
    }

    /// Sends a batch without waiting for what becomes of it.
    pub(crate) fn send(&mut self, prepared: &PreparedProduce) -> Result<()> {
        Ok(self.stream.write_all(&prepared.frame)?)
    }

    /// Waits for the acknowledgement of the first request that has none yet.
    pub(crate) fn acknowledged(&mut self) -> Result<()> {
        match self.error_code()? {
            0 => Ok(()),
            error => bail!("a batch was refused with error {error}"),
        }
    }

    /// The first error code that a request was answered with.
    fn error_code(&mut self) -> Result<i16> {
        let answer = self.answer()?;
        let answer = decode::<ProduceResponse>(answer, PRODUCE_VERSION)?;
        let partitions = answer.responses.iter().flat_map(|t| &t.partition_responses);
        let codes: Vec<i16> = partitions.map(|partition| partition.error_code).collect();
        ensure!(!codes.is_empty(), "no partition answered");
        Ok(codes.into_iter().find(|code| *code != 0).unwrap_or(0))
    }

    /// Whole batches of a partition from the one that holds `from` on, as many as a
    /// consumer gets at once.
    pub(crate) fn fetch(&mut self, topic: &str, partition: i32, from: i64) -> Result<Fetched> {
        let partition = FetchPartition::default()
            .with_partition(partition)
            .with_fetch_offset(from)
            .with_partition_max_bytes(PARTITION_BYTES_MAX);
        let topic = FetchTopic::default()
            .with_topic(name(topic))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(FETCH_WAIT_MS)
            .with_min_bytes(1)
            .with_max_bytes(FETCH_BYTES_MAX)
            .with_topics(vec![topic]);
        self.stream.write_all(&encode(&request, FETCH_VERSION)?)?;
        let answer = decode::<FetchResponse>(self.answer()?, FETCH_VERSION)?;
        let mut partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let partition = partitions.next().context("no partition answered")?;
        let code = partition.error_code;
        ensure!(code == 0, "a fetch was refused with error {code}");
        let records = partition.records.as_deref().unwrap_or_default();
        Fetched::of(records, from)
    }

    /// Asks for a topic's metadata, which creates it, and sends the record
    /// until it is acknowledged: a topic that is new has no leader yet.
    pub(crate) fn await_acknowledgement(
        &mut self,
        topic: &str,
        prepared: &PreparedProduce,
        within: Duration,
    ) -> Result<()> {
        let wanted = MetadataRequestTopic::default().with_name(Some(name(topic)));
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted]))
            .with_allow_auto_topic_creation(true);
        let metadata = encode(&request, METADATA_VERSION)?;
        let begun = Instant::now();
        loop {
            self.stream.write_all(&metadata)?;
            self.answer()?;
            self.send(prepared)?;
            match self.error_code()? {
                0 => return Ok(()),
                code if begun.elapsed() > within => bail!("the last answer was error {code}"),
                _ => thread::sleep(TRY_AGAIN_AFTER),
            }
        }
    }

    /// The next answer, without the size in front of it.
    fn answer(&mut self) -> Result<Bytes> {
        loop {
            if let Some(size) = self.arrived.first_chunk() {
                let size = usize::try_from(u32::from_be_bytes(*size))?;
                ensure!(size <= ANSWER_BYTES_MAX, "an answer of {size} bytes");
                let there = self.arrived.len();
                let end = size_of::<u32>() + size;
                if there >= end {
                    self.arrived.advance(size_of::<u32>());
                    return Ok(self.arrived.split_to(size).freeze());
                }
                if end - there > READ_BYTES {
                    self.arrived.resize(end, 0);
                    let rest = self.stream.read_exact(&mut self.arrived[there..]);
                    rest.context("no whole answer came")?;
                    continue;
                }
            }
            let mut piece = [0; READ_BYTES];
            let count = self.stream.read(&mut piece).context("no answer came")?;
            ensure!(count > 0, "the broker closed the connection");
            self.arrived.extend_from_slice(&piece[..count]);
        }
    }
}

/// What a fetch brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Of whole batches.
    pub(crate) bytes: u64,
    /// Behind the last of their records.
    pub(crate) next: i64,
}

impl Fetched {
    /// A broker may send the beginning of a batch behind the whole ones.
    fn of(mut records: &[u8], from: i64) -> Result<Self> {
        let mut fetched = Self {
            bytes: 0,
            next: from,
        };
        while let Some(front) = records.first_chunk::<BATCH_FRONT_BYTES>() {
            let [base @ .., a, b, c, d] = *front;
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d]))?;
            let Some((batch, rest)) = records.split_at_checked(BATCH_FRONT_BYTES + length) else {
                break;
            };
            let last = batch.get(LAST_OFFSET_AT..).and_then(<[u8]>::first_chunk);
            let last = i32::from_be_bytes(*last.context("a batch without a header")?);
            fetched.bytes += u64::try_from(batch.len())?;
            fetched.next = i64::from_be_bytes(base) + i64::from(last) + 1;
            records = rest;
        }
        Ok(fetched)
    }
}

fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

/// The record that lies so far behind the first of its batch.
fn record(payload: &[u8], offset: u32) -> Result<Record> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    Ok(Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: offset.into(),
        // The encoder takes records for one batch only if their numbers grow alike.
        sequence: NO_SEQUENCE.wrapping_add_unsigned(offset),
        timestamp: i64::try_from(now)?,
        key: None,
        value: Some(Bytes::copy_from_slice(payload)),
        headers: Default::default(),
    })
}

fn encode<R: Request>(request: &R, version: i16) -> Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("ottla-bench")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version))?;
    request.encode(&mut body, version)?;
    let size = u32::try_from(body.len())?;
    Ok([&size.to_be_bytes(), &body[..]].concat().into())
}

fn decode<A: Decodable + HeaderVersion>(mut answer: Bytes, version: i16) -> Result<A> {
    ResponseHeader::decode(&mut answer, A::header_version(version))?;
    let decoded = A::decode(&mut answer, version)?;
    ensure!(answer.is_empty(), "{} bytes after an answer", answer.len());
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_batches_are_counted_and_the_beginning_of_another_is_not() {
        let batch = (0..3).map(|offset| record(b"value", offset));
        let batch = batch.collect::<Result<Vec<_>>>().unwrap();
        let mut one = BytesMut::new();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        RecordBatchEncoder::encode(&mut one, &batch, &options).unwrap();
        let mut other = one.clone();
        other[..8].copy_from_slice(&7_i64.to_be_bytes());
        let both = [&one[..], &other[..]].concat();
        let bytes = u64::try_from(one.len()).unwrap();
        for (records, expected) in [
            (&both[..], (2 * bytes, 10)),
            (&both[..both.len() - 1], (bytes, 3)),
            (&one[..20], (0, 5)),
            (&[][..], (0, 5)),
        ] {
            let (bytes, next) = expected;
            assert_eq!(Fetched::of(records, 5).unwrap(), Fetched { bytes, next });
        }
    }
}
