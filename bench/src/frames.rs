//! A client of bare frames: one blocking connection that sends a request and
//! waits for its answer, with no thread and no queue of its own in between.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
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
const ANSWER_BYTES_MAX: usize = 1 << 20;
const TRY_AGAIN_AFTER: Duration = Duration::from_micros(500);

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// The answer that is being read; kept for its room.
    arrived: Vec<u8>,
}

/// A Produce request of one record to partition 0, encoded once and sent as
/// often as wanted: without a producer id every sending is a new record.
#[derive(Debug)]
pub(crate) struct PreparedProduce {
    frame: Bytes,
}

impl PreparedProduce {
    pub(crate) fn new(topic: &str, payload: &[u8]) -> Result<Self> {
        let mut records = BytesMut::new();
        let options = RecordEncodeOptions {
            version: 2,
            compression: Compression::None,
        };
        RecordBatchEncoder::encode(&mut records, [&record(payload)?], &options)?;
        let partition = PartitionProduceData::default().with_records(Some(records.freeze()));
        let topic = TopicProduceData::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_acks(-1)
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
        let arrived = Vec::with_capacity(4096);
        Ok(Self { stream, arrived })
    }

    /// The acknowledgement of one record.
    pub(crate) fn produce(&mut self, prepared: &PreparedProduce) -> Result<()> {
        match self.try_produce(prepared)? {
            0 => Ok(()),
            error => bail!("the record was refused with error {error}"),
        }
    }

    /// The error code that a record was answered with.
    fn try_produce(&mut self, prepared: &PreparedProduce) -> Result<i16> {
        let answer = self.exchange(&prepared.frame)?;
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
            self.exchange(&metadata)?;
            match self.try_produce(prepared)? {
                0 => return Ok(()),
                code if begun.elapsed() > within => bail!("the last answer was error {code}"),
                _ => thread::sleep(TRY_AGAIN_AFTER),
            }
        }
    }

    fn exchange(&mut self, frame: &[u8]) -> Result<Bytes> {
        self.stream.write_all(frame)?;
        self.arrived.clear();
        let mut wanted = size_of::<u32>();
        while self.arrived.len() < wanted {
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).context("no answer came")?;
            ensure!(count > 0, "the broker closed the connection");
            self.arrived.extend_from_slice(&piece[..count]);
            if let Some(size) = self.arrived.first_chunk() {
                wanted = size_of::<u32>() + usize::try_from(u32::from_be_bytes(*size))?;
                ensure!(wanted <= ANSWER_BYTES_MAX, "an answer of {wanted} bytes");
            }
        }
        ensure!(self.arrived.len() == wanted, "more came than was asked for");
        Ok(Bytes::copy_from_slice(&self.arrived[size_of::<u32>()..]))
    }
}

fn record(payload: &[u8]) -> Result<Record> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    Ok(Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: 0,
        sequence: NO_SEQUENCE,
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
