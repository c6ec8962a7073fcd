//! A client of bare frames: one blocking connection that sends requests and waits
//! for their answers, with no thread and no queue of its own in between.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    MetadataRequest, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// Old enough for every broker that is measured to serve them.
const METADATA_VERSION: i16 = 4;
const PRODUCE_VERSION: i16 = 7;
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 4096;
const ANSWER_BYTES_MAX: usize = 1 << 20;
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

/// A Produce request of one batch of equal records, encoded once and sent as often
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
        let batch = (0..records).map(|offset| record(payload, offset));
        let batch = batch.collect::<Result<Vec<_>>>()?;
        let mut records = BytesMut::new();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        RecordBatchEncoder::encode(&mut records, &batch, &options)?;
        let partition = PartitionProduceData::default()
            .with_index(partition)
            .with_records(Some(records.freeze()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partition_data(vec![partition]);
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

    /// Waits for the acknowledgement of the first batch that has none yet.
    pub(crate) fn acknowledged(&mut self) -> Result<()> {
        match self.error_code()? {
            0 => Ok(()),
            error => bail!("a batch was refused with error {error}"),
        }
    }

    /// The error code that a batch was answered with.
    fn error_code(&mut self) -> Result<i16> {
        let answer = self.answer()?;
        let answer = decode::<ProduceResponse>(answer, PRODUCE_VERSION)?;
        let partitions = answer.responses.iter().flat_map(|t| &t.partition_responses);
        let codes: Vec<i16> = partitions.map(|partition| partition.error_code).collect();
        match codes[..] {
            [code] => Ok(code),
            _ => bail!("{} partitions answered for one", codes.len()),
        }
    }

    /// Asks for a topic's metadata, which creates it, and sends the record
    /// until it is acknowledged: a topic that is new has no leader yet.
    pub(crate) fn await_acknowledgement(
        &mut self,
        topic: &str,
        prepared: &PreparedProduce,
        within: Duration,
    ) -> Result<()> {
        let name = TopicName(StrBytes::from_string(topic.to_owned()));
        let wanted = MetadataRequestTopic::default().with_name(Some(name));
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
                if self.arrived.len() - size_of::<u32>() >= size {
                    self.arrived.advance(size_of::<u32>());
                    return Ok(self.arrived.split_to(size).freeze());
                }
            }
            let mut piece = [0; READ_BYTES];
            let count = self.stream.read(&mut piece).context("no answer came")?;
            ensure!(count > 0, "the broker closed the connection");
            self.arrived.extend_from_slice(&piece[..count]);
        }
    }
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
