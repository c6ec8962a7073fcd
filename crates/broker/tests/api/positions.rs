//! Where things are in a log: ListOffsets, OffsetForLeaderEpoch, DeleteRecords,
//! DescribeProducers.

use ottla_base::{ErrorCode, Millis};
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    DeleteRecordsRequest, DescribeProducersRequest, OffsetForLeaderEpochRequest,
};
use ottla_protocol::records::{BatchBuilder, Compression, Level};

use crate::harness::{Client, TestBroker};
use crate::requests::{
    THEN, batch, batch_of, fetch_from, fetched, idempotent, listed, offsets_of, put, text,
    values_in,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// A client of a broker with the topic `t`: a batch of three and one of one.
async fn client(broker: &TestBroker) -> Client {
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    put(&mut client, "t", batch(&["a", "b", "c"])).await;
    put(&mut client, "t", batch(&["d"])).await;
    client
}

#[tokio::test]
async fn every_special_timestamp_has_its_first_version() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let cases = [
        (LATEST, 1, (4, -1)),
        (EARLIEST, 1, (0, -1)),
        (-3, 7, (2, THEN + 2)),
        (-4, 8, (0, -1)),
        (-5, 9, (-1, -1)),
        (-6, 11, (-1, -1)),
        (-7, 99, (-1, -1)),
        (i64::MIN, 99, (-1, -1)),
    ];
    for (timestamp, since, expected) in cases {
        for version in 1..=11 {
            let answer = listed(&mut client, version, "t", timestamp).await;
            let what = format!("{timestamp} in v{version}");
            if version < since {
                assert_eq!(
                    answer.error_code,
                    ErrorCode::UnsupportedVersion.code(),
                    "{what}"
                );
                assert_eq!((answer.offset, answer.timestamp), (-1, -1), "{what}");
                continue;
            }
            assert_eq!(
                (answer.error_code, answer.offset, answer.timestamp),
                (0, expected.0, expected.1),
                "{what}"
            );
            let epoch = if version >= 4 && expected.0 >= 0 {
                0
            } else {
                -1
            };
            assert_eq!(answer.leader_epoch, epoch, "inc_022: {what}");
        }
    }
}

#[tokio::test]
async fn inc_056_057_a_time_is_found_inside_a_compressed_batch() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let codecs = [
        Compression::None,
        Compression::Gzip,
        Compression::Snappy,
        Compression::Lz4,
        Compression::Zstd,
    ];
    for codec in codecs {
        let topic = format!("{codec:?}");
        client.create_topic(&topic, 1).await;
        let builder = || BatchBuilder::new().compressed(codec, Level::Default);
        put(&mut client, &topic, batch_of(builder(), &["a", "b", "c"])).await;
        put(&mut client, &topic, batch_of(builder(), &["d"; 9])).await;
        let cases = [
            (0, (0, THEN)),
            (THEN, (0, THEN)),
            (THEN + 1, (1, THEN + 1)),
            (THEN + 2, (2, THEN + 2)),
            (THEN + 3, (6, THEN + 3)),
            (THEN + 8, (11, THEN + 8)),
            (THEN + 9, (-1, -1)),
            (i64::MAX, (-1, -1)),
        ];
        for (timestamp, expected) in cases {
            let answer = listed(&mut client, 7, &topic, timestamp).await;
            assert_eq!(answer.error_code, 0);
            assert_eq!(
                (answer.offset, answer.timestamp),
                expected,
                "{codec:?} since {timestamp}"
            );
        }
    }
}

#[tokio::test]
async fn inc_060_times_need_not_rise_and_a_log_may_be_empty() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    for timestamp in [0, THEN, -3] {
        let answer = listed(&mut client, 7, "t", timestamp).await;
        assert_eq!(
            (answer.error_code, answer.offset, answer.timestamp),
            (0, -1, -1)
        );
    }
    for times in [[50, 10], [40, 30], [60, 20]] {
        let mut batch = BatchBuilder::new();
        for time in times {
            batch.push(Millis(time), None, Some(b"x"));
        }
        put(&mut client, "t", batch.build().expect("a batch").to_bytes()).await;
    }
    for (since, expected) in [
        (5, (0, 50)),
        (45, (0, 50)),
        (51, (4, 60)),
        (61, (-1, -1)),
        (-3, (4, 60)),
    ] {
        let answer = listed(&mut client, 7, "t", since).await;
        assert_eq!((answer.offset, answer.timestamp), expected, "since {since}");
    }
}

#[tokio::test]
async fn inc_060_no_time_leads_to_what_was_deleted_from_the_front_of_a_batch() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    for times in [[90, 10], [30, 70]] {
        let mut batch = BatchBuilder::new();
        for time in times {
            batch.push(Millis(time), None, Some(b"x"));
        }
        put(&mut client, "t", batch.build().expect("a batch").to_bytes()).await;
    }
    let cases = [
        (1, [(5, 1), (11, 2), (60, 3), (80, -1), (-3, 3)]),
        (3, [(5, 3), (11, 3), (60, 3), (71, -1), (-3, 3)]),
        (4, [(5, -1), (11, -1), (60, -1), (71, -1), (-3, -1)]),
    ];
    for (before, expected) in cases {
        assert_eq!(delete(&mut client, 2, "t", before).await, (0, before));
        for (since, offset) in expected {
            let answer = listed(&mut client, 7, "t", since).await;
            assert_eq!(answer.offset, offset, "{since}, from {before} on");
        }
    }
}

#[tokio::test]
async fn a_partition_is_asked_for_once_and_by_its_leader_epoch() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let request = offsets_of("t", &[(0, LATEST), (0, EARLIEST), (1, LATEST)]);
    let response = client.call(7, request).await;
    let codes: Vec<_> = response.topics[0]
        .partitions
        .iter()
        .map(|p| p.error_code)
        .collect();
    let (invalid, unknown) = (
        ErrorCode::InvalidRequest,
        ErrorCode::UnknownTopicOrPartition,
    );
    assert_eq!(codes, [invalid.code(), invalid.code(), unknown.code()]);
    let answer = listed(&mut client, 7, "none", LATEST).await;
    assert_eq!(answer.error_code, unknown.code());
    for (epoch, expected) in [
        (0, ErrorCode::None),
        (1, ErrorCode::UnknownLeaderEpoch),
        (-2, ErrorCode::FencedLeaderEpoch),
    ] {
        let mut request = offsets_of("t", &[(0, LATEST)]);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        let response = client.call(7, request).await;
        assert_eq!(response.topics[0].partitions[0].error_code, expected.code());
    }
}

#[tokio::test]
async fn inc_059_the_latest_is_the_same_for_both_isolation_levels() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let request = offsets_of("t", &[(0, LATEST)]).with_isolation_level(1);
    let response = client.call(7, request).await;
    assert_eq!(response.topics[0].partitions[0].offset, 4);
}

#[tokio::test]
async fn inc_065_an_epoch_ends_where_the_next_begins() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    let cases = [
        ("t", 0, -1, 0, (0, 0, 4)),
        ("t", 0, 0, 1, (0, -1, -1)),
        ("t", 0, 5, 0, (ErrorCode::UnknownLeaderEpoch.code(), -1, -1)),
        ("t", 7, -1, 0, (unknown, -1, -1)),
        ("none", 0, -1, 0, (unknown, -1, -1)),
    ];
    for version in 2..=4 {
        for (topic, partition, current, epoch, expected) in cases {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(current)
                .with_leader_epoch(epoch);
            let topic = OffsetForLeaderTopic::default()
                .with_topic(text(topic).into())
                .with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let response = client.call(version, request).await;
            let end = &response.topics[0].partitions[0];
            assert_eq!((end.error_code, end.leader_epoch, end.end_offset), expected);
        }
    }
}

async fn delete(client: &mut Client, version: i16, topic: &str, before: i64) -> (i16, i64) {
    delete_within(5_000, client, version, topic, before).await
}

async fn delete_within(
    timeout_ms: i32,
    client: &mut Client,
    version: i16,
    topic: &str,
    before: i64,
) -> (i16, i64) {
    let partition = DeleteRecordsPartition::default().with_offset(before);
    let topic = DeleteRecordsTopic::default()
        .with_name(text(topic).into())
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_timeout_ms(timeout_ms)
        .with_topics(vec![topic]);
    let response = client.call(version, request).await;
    let result = &response.topics[0].partitions[0];
    (result.error_code, result.low_watermark)
}

#[tokio::test]
async fn records_are_deleted_where_a_client_gives_no_time() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    assert_eq!(delete_within(0, &mut client, 2, "t", 1).await, (0, 1));
    assert_eq!(delete_within(-1, &mut client, 2, "t", 2).await, (0, 2));
}

#[tokio::test]
async fn inc_061_records_are_deleted_up_to_the_middle_of_a_batch() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    assert_eq!(delete(&mut client, 0, "t", 1).await, (0, 1));
    assert_eq!(listed(&mut client, 7, "t", EARLIEST).await.offset, 1);
    assert_eq!(listed(&mut client, 7, "t", THEN).await.offset, 1);
    let gone = fetched(&mut client, 12, fetch_from("t", 0)).await;
    assert_eq!(gone.error_code, ErrorCode::OffsetOutOfRange.code());
    let found = fetched(&mut client, 12, fetch_from("t", 1)).await;
    assert_eq!(found.log_start_offset, 1);
    assert_eq!(
        values_in(&found.records),
        ["a", "b", "c", "d"],
        "the whole batch"
    );
    assert_eq!(
        delete(&mut client, 1, "t", 0).await,
        (0, 1),
        "it never goes back"
    );
    assert_eq!(
        delete(&mut client, 2, "t", -1).await,
        (0, 4),
        "up to the end"
    );
    assert_eq!(listed(&mut client, 7, "t", THEN).await.offset, -1);
    let max = listed(&mut client, 7, "t", -3).await;
    assert_eq!((max.error_code, max.offset), (0, -1), "nothing is left");
    assert_eq!(listed(&mut client, 7, "t", EARLIEST).await.offset, 4);
    assert_eq!(put(&mut client, "t", batch(&["e"])).await, 4);
}

#[tokio::test]
async fn records_that_may_not_be_deleted_stay() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    client.find_coordinator("g").await;
    client
        .create_topic_with("compacted", &[("cleanup.policy", "compact")])
        .await;
    let both = [("cleanup.policy", "compact,delete")];
    client.create_topic_with("both", &both).await;
    for (topic, before, expected) in [
        ("t", 5, ErrorCode::OffsetOutOfRange),
        ("t", -2, ErrorCode::OffsetOutOfRange),
        ("none", 0, ErrorCode::UnknownTopicOrPartition),
        ("compacted", -1, ErrorCode::PolicyViolation),
        ("__consumer_offsets", -1, ErrorCode::InvalidTopic),
    ] {
        let answer = delete(&mut client, 2, topic, before).await;
        assert_eq!(answer, (expected.code(), -1), "{topic} before {before}");
    }
    assert_eq!(delete(&mut client, 2, "both", -1).await, (0, 0));
}

#[tokio::test]
async fn producers_are_described_by_what_they_sent_last() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    put(&mut client, "t", idempotent(9, 2, 7)).await;
    let topic = |name: &str, partition| {
        TopicRequest::default()
            .with_name(text(name).into())
            .with_partition_indexes(vec![partition])
    };
    let topics = vec![topic("t", 0), topic("t", 3), topic("none", 0)];
    let request = DescribeProducersRequest::default().with_topics(topics);
    let response = client.call(0, request).await;
    let producer = &response.topics[0].partitions[0].active_producers[0];
    assert_eq!((producer.producer_id.0, producer.producer_epoch), (9, 2));
    assert_eq!((producer.last_sequence, producer.last_timestamp), (7, THEN));
    assert_eq!(
        (
            producer.coordinator_epoch,
            producer.current_txn_start_offset
        ),
        (-1, -1)
    );
    for topic in &response.topics[1..] {
        let code = topic.partitions[0].error_code;
        assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
    }
}
