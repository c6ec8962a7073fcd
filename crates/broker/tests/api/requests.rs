//! Requests about records, and what their answers say.

use bytes::Bytes;
use ottla_base::{Millis, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::produce_response::PartitionProduceResponse;
use ottla_protocol::messages::{FetchRequest, ListOffsetsRequest, PartitionData, ProduceRequest};
use ottla_protocol::records::{BatchBuilder, Record, RecordBatch, batches};
use ottla_protocol::{StrBytes, Uuid};

use crate::harness::Client;

/// When the records of tests were made, unless they say otherwise.
pub(crate) const THEN: i64 = 1_700_000_000_000;

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Records with these values, made at [`THEN`], one after another.
pub(crate) fn batch_of(builder: BatchBuilder, values: &[&str]) -> Bytes {
    let mut batch = builder;
    for (index, value) in (0..).zip(values) {
        batch.push(Millis(THEN + index), None, Some(value.as_bytes()));
    }
    batch.build().expect("a batch of records").to_bytes()
}

pub(crate) fn batch(values: &[&str]) -> Bytes {
    batch_of(BatchBuilder::new(), values)
}

/// One record of an idempotent producer.
pub(crate) fn idempotent(id: i64, epoch: i16, sequence: i32) -> Bytes {
    let builder = BatchBuilder::new();
    let (id, epoch) = (ProducerId(id), ProducerEpoch(epoch));
    batch_of(builder.producer(id, epoch, Sequence(sequence)), &["x"])
}

/// The batch with other bytes at `at`, and the CRC that they have.
pub(crate) fn patched(batch: &Bytes, at: usize, bytes: &[u8]) -> Bytes {
    let mut patched = batch.to_vec();
    patched[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&patched[21..]);
    patched[17..21].copy_from_slice(&crc.to_be_bytes());
    patched.into()
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let carry = if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            crc = (crc >> 1) ^ carry;
        }
    }
    !crc
}

/// Asks for one partition of one topic, by name.
pub(crate) fn produce_to(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    produce_as(
        TopicProduceData::default().with_name(text(topic).into()),
        partition,
        acks,
        records,
    )
}

/// The same, by id.
pub(crate) fn produce_to_id(id: Uuid, acks: i16, records: Bytes) -> ProduceRequest {
    produce_as(
        TopicProduceData::default().with_topic_id(id),
        0,
        acks,
        records,
    )
}

fn produce_as(
    topic: TopicProduceData,
    partition: i32,
    acks: i16,
    records: Bytes,
) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(partition)
        .with_records(Some(records));
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic.with_partition_data(vec![partition])])
}

/// Produces to partition 0 and says what became of it.
pub(crate) async fn produced(
    client: &mut Client,
    version: i16,
    request: ProduceRequest,
) -> PartitionProduceResponse {
    let mut response = client.call(version, request).await;
    response.responses.remove(0).partition_responses.remove(0)
}

/// Produces to partition 0 with acks=all and expects it to be taken.
pub(crate) async fn put(client: &mut Client, topic: &str, records: Bytes) -> i64 {
    let done = produced(client, 9, produce_to(topic, 0, -1, records)).await;
    assert_eq!(done.error_code, 0, "{:?}", done.error_message);
    done.base_offset
}

/// What a test asks of partition 0, and of how long it waits.
pub(crate) fn fetch_from(topic: &str, offset: i64) -> FetchRequest {
    fetch_of(vec![of_topic(topic, vec![partition(0, offset)])])
}

pub(crate) fn fetch_of(topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(topics)
}

pub(crate) fn of_topic(topic: &str, partitions: Vec<FetchPartition>) -> FetchTopic {
    FetchTopic::default()
        .with_topic(text(topic).into())
        .with_partitions(partitions)
}

pub(crate) fn partition(index: i32, offset: i64) -> FetchPartition {
    FetchPartition::default()
        .with_partition(index)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20)
}

/// What a fetch of one partition found.
pub(crate) async fn fetched(
    client: &mut Client,
    version: i16,
    request: FetchRequest,
) -> PartitionData {
    let mut response = client.call(version, request).await;
    assert_eq!(response.error_code, 0);
    response.responses.remove(0).partitions.remove(0)
}

/// The bytes of partition 0 of a topic, as they are handed out.
pub(crate) async fn stored(client: &mut Client, topic: &str, offset: i64) -> Bytes {
    let found = fetched(client, 12, fetch_from(topic, offset)).await;
    assert_eq!(found.error_code, 0);
    found.records.concat().into()
}

pub(crate) fn batches_in(records: &[Bytes]) -> Vec<RecordBatch> {
    batches(records.concat().into())
        .map(|batch| batch.expect("a whole batch"))
        .collect()
}

pub(crate) fn records_in(records: &[Bytes]) -> Vec<Record> {
    let batches = batches_in(records).into_iter();
    let records = batches.flat_map(|batch| batch.records().expect("a known codec"));
    records.map(|record| record.expect("a record")).collect()
}

pub(crate) fn values_in(records: &[Bytes]) -> Vec<String> {
    let records = records_in(records).into_iter();
    let values = records.map(|record| record.value.expect("a value").to_vec());
    values
        .map(|value| String::from_utf8(value).expect("text"))
        .collect()
}

pub(crate) fn offsets_of(topic: &str, timestamps: &[(i32, i64)]) -> ListOffsetsRequest {
    let partitions = timestamps.iter().map(|(partition, timestamp)| {
        ListOffsetsPartition::default()
            .with_partition_index(*partition)
            .with_timestamp(*timestamp)
            .with_current_leader_epoch(-1)
    });
    let topic = ListOffsetsTopic::default()
        .with_name(text(topic).into())
        .with_partitions(partitions.collect());
    ListOffsetsRequest::default()
        .with_replica_id((-1).into())
        .with_topics(vec![topic])
}

/// The answer for partition 0.
pub(crate) async fn listed(
    client: &mut Client,
    version: i16,
    topic: &str,
    timestamp: i64,
) -> ListOffsetsPartitionResponse {
    let request = offsets_of(topic, &[(0, timestamp)]);
    let mut response = client.call(version, request).await;
    response.topics.remove(0).partitions.remove(0)
}
