//! What is produced can be fetched.

use bytes::Bytes;
use ottla_base::{ErrorCode, Millis};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FetchResponse, MetadataRequest, ProduceRequest,
};
use ottla_protocol::records::{BatchBuilder, Compression, Level, batches};

use crate::harness::{Client, TestBroker};

pub(crate) fn batch(values: &[&str]) -> Bytes {
    let mut batch = BatchBuilder::new();
    for value in values {
        batch.push(Millis(1_700_000_000_000), None, Some(value.as_bytes()));
    }
    batch.build().expect("a batch of records").to_bytes()
}

pub(crate) fn produce(topic: &str, acks: i16, records: Bytes) -> ProduceRequest {
    let partition = PartitionProduceData::default()
        .with_index(0)
        .with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(StrBytes::from_string(topic.to_owned()).into())
        .with_partition_data(vec![partition]);
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic])
}

fn fetch(topic: &str, offset: i64, wait_ms: i32) -> FetchRequest {
    let partition = FetchPartition::default()
        .with_partition(0)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(StrBytes::from_string(topic.to_owned()).into())
        .with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

fn values(response: &FetchResponse) -> Vec<String> {
    let partition = &response.responses[0].partitions[0];
    let bytes: Vec<u8> = partition.records.concat();
    let batches = batches(Bytes::from(bytes)).map(|batch| batch.expect("whole batches"));
    let records = batches.flat_map(|batch| {
        batch
            .records()
            .expect("readable records")
            .collect::<Vec<_>>()
    });
    records
        .map(|record| {
            let value = record.expect("a record").value.expect("with a value");
            String::from_utf8(value.to_vec()).expect("text")
        })
        .collect()
}

async fn auto_create(client: &mut Client, topic: &str) {
    let wanted = ottla_protocol::messages::metadata_request::MetadataRequestTopic::default()
        .with_name(Some(StrBytes::from_string(topic.to_owned()).into()));
    loop {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![wanted.clone()]))
            .with_allow_auto_topic_creation(true);
        let response = client.call(9, request).await;
        match response.topics[0].error_code {
            0 => return,
            code => assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code()),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn records_come_back_in_order_and_verbatim() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    auto_create(&mut client, "t").await;
    for (acks, value) in [(1, "a"), (-1, "b")] {
        let response = client.call(9, produce("t", acks, batch(&[value]))).await;
        assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    }
    let response = client.call(12, fetch("t", 0, 0)).await;
    assert_eq!(values(&response), ["a", "b"]);
    assert_eq!(response.responses[0].partitions[0].high_watermark, 2);
    let response = client.call(12, fetch("t", 1, 0)).await;
    assert_eq!(values(&response), ["b"]);
    let response = client.call(12, fetch("t", 3, 0)).await;
    let code = response.responses[0].partitions[0].error_code;
    assert_eq!(code, ErrorCode::OffsetOutOfRange.code());
}

#[tokio::test]
async fn zstd_is_given_to_every_version_of_fetch() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    auto_create(&mut client, "t").await;
    let mut compressed = BatchBuilder::new().compressed(Compression::Zstd, Level::default());
    compressed.push(Millis(1_700_000_000_000), None, Some(b"a"));
    let records = compressed.build().expect("a batch of records").to_bytes();
    client.call(9, produce("t", -1, records)).await;
    for version in [4, 9, 10, 12] {
        let response = client.call(version, fetch("t", 0, 0)).await;
        assert_eq!(values(&response), ["a"], "version {version}");
    }
}

#[tokio::test]
async fn a_waiting_fetch_is_woken_by_an_append() {
    let broker = TestBroker::start().await;
    let (mut reader, mut writer) = (broker.connect().await, broker.connect().await);
    auto_create(&mut writer, "t").await;
    reader.send(12, &fetch("t", 0, 60_000)).await;
    writer.call(9, produce("t", -1, batch(&["x"]))).await;
    let response = reader.receive::<FetchRequest>(12).await;
    assert_eq!(values(&response), ["x"]);
}

#[tokio::test]
async fn a_failed_produce_without_acks_closes_the_connection() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.send(9, &produce("unknown", 0, batch(&["x"]))).await;
    assert_eq!(client.receive_frame().await, None);
}

#[tokio::test]
async fn an_unknown_version_of_api_versions_gets_a_version_0_answer() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let frame = crate::harness::raw_frame(ottla_protocol::ApiKey::ApiVersions, 99, &[0xff, 0xff]);
    client.send_frame(&frame).await;
    let response = client.receive::<ApiVersionsRequest>(0).await;
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    assert_eq!(response.api_keys.len(), 1);
}

#[tokio::test]
async fn requests_that_arrive_together_are_all_answered() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    for _ in 0..3 {
        client.send(9, &request).await;
    }
    for _ in 0..3 {
        let response = client.receive::<MetadataRequest>(9).await;
        assert_eq!(response.brokers.len(), 1);
    }
}
