//! What Produce takes, refuses and answers, by version.

use bytes::Bytes;
use ottla_base::ErrorCode;
use ottla_protocol::Uuid;
use ottla_protocol::messages::{MetadataRequest, ProduceRequest};
use ottla_protocol::records::{BatchBuilder, Compression, Level, TimestampType};

use crate::harness::{Client, TestBroker};
use crate::requests::{
    THEN, batch, batch_of, batches_in, fetch_from, fetched, idempotent, patched, produce_to,
    produce_to_id, produced, put, stored, text, values_in,
};

async fn client(broker: &TestBroker) -> Client {
    let mut client = broker.connect().await;
    client.create_topic("t", 1).await;
    client
}

#[tokio::test]
async fn a_batch_is_taken_in_every_version() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = broker.topic_id("t");
    for (base, version) in (0..).zip(3..=13) {
        let request = match version {
            13 => produce_to_id(id, -1, batch(&["x"])),
            _ => produce_to("t", 0, -1, batch(&["x"])),
        };
        let done = produced(&mut client, version, request).await;
        assert_eq!((done.error_code, done.base_offset), (0, base), "v{version}");
        assert_eq!(done.log_append_time_ms, -1, "CreateTime");
        let log_start = if version >= 5 { 0 } else { -1 };
        assert_eq!(done.log_start_offset, log_start, "v{version}");
    }
}

#[tokio::test]
async fn what_cannot_be_found_is_refused_by_itself() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    for (topic, partition) in [("none", 0), ("t", 1), ("t", -1)] {
        let request = produce_to(topic, partition, -1, batch(&["x"]));
        let refused = produced(&mut client, 9, request).await;
        assert_eq!(refused.error_code, unknown.code(), "{topic}-{partition}");
        assert_eq!(refused.base_offset, -1);
    }
    for id in [Uuid::nil(), Uuid::from_u128(7)] {
        let request = produce_to_id(id, 1, batch(&["x"]));
        let refused = produced(&mut client, 13, request).await;
        assert_eq!(refused.error_code, ErrorCode::UnknownTopicId.code());
    }
    let mut both = produce_to("t", 0, 1, batch(&["x"]));
    both.topic_data
        .extend(produce_to("none", 0, 1, batch(&["x"])).topic_data);
    let response = client.call(9, both).await;
    let codes = response.responses.iter();
    let codes: Vec<_> = codes
        .map(|topic| topic.partition_responses[0].error_code)
        .collect();
    assert_eq!(codes, [0, unknown.code()]);
}

#[tokio::test]
async fn acks_are_minus_one_zero_or_one() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    for acks in [-2, 2, i16::MAX] {
        let refused = produced(&mut client, 9, produce_to("t", 0, acks, batch(&["x"]))).await;
        assert_eq!(refused.error_code, ErrorCode::InvalidRequiredAcks.code());
    }
    let hurried = produce_to("t", 0, -1, batch(&["x"])).with_timeout_ms(0);
    let done = produced(&mut client, 9, hurried).await;
    assert_eq!(done.error_code, 0, "there is no replica to wait for");
}

#[tokio::test]
async fn inc_014_nothing_is_answered_without_acks() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let request = produce_to("t", 0, 0, batch(&["quiet"]));
    client.send(9, &request).await;
    let request = MetadataRequest::default().with_topics(Some(vec![]));
    let response = client.call(9, request).await;
    assert_eq!(response.brokers.len(), 1, "the first answer is this one");
    put(&mut client, "t", batch(&["loud"])).await;
    let found = fetched(&mut client, 12, fetch_from("t", 0)).await;
    assert_eq!(values_in(&found.records), ["quiet", "loud"]);
}

#[tokio::test]
async fn inc_013_answers_leave_in_the_order_of_their_requests() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    for _ in 0..5 {
        client.send(9, &produce_to("t", 0, -1, batch(&["x"]))).await;
    }
    let none = MetadataRequest::default().with_topics(Some(vec![]));
    client.send(9, &none).await;
    for base in 0..5 {
        let response = client.receive::<ProduceRequest>(9).await;
        let done = &response.responses[0].partition_responses[0];
        assert_eq!((done.error_code, done.base_offset), (0, base));
    }
    client.receive::<MetadataRequest>(9).await;
}

/// Batches that break one rule each.
fn broken() -> Vec<(&'static str, Bytes, ErrorCode)> {
    let good = batch(&["a", "b"]);
    let crc = {
        let mut bytes = good.to_vec();
        bytes[20] ^= 1;
        Bytes::from(bytes)
    };
    let control = batch_of(BatchBuilder::new().control(), &["x"]);
    let two = Bytes::from([&good[..], &good[..]].concat());
    let future = patched(&good, 27, &(THEN * 2).to_be_bytes());
    let invalid = ErrorCode::InvalidRecord;
    vec![
        ("no batch", Bytes::new(), invalid),
        ("two batches", two, invalid),
        ("half a batch", good.slice(..30), invalid),
        ("a wrong CRC", crc, ErrorCode::CorruptMessage),
        ("magic 1", patched(&good, 16, &[1]), invalid),
        (
            "magic 3",
            patched(&good, 16, &[3]),
            ErrorCode::CorruptMessage,
        ),
        (
            "a base offset",
            patched(&good, 0, &7_i64.to_be_bytes()),
            invalid,
        ),
        (
            "a length of 0",
            patched(&good, 8, &[0; 4]),
            ErrorCode::CorruptMessage,
        ),
        (
            "a negative length",
            patched(&good, 8, &[0xff; 4]),
            ErrorCode::CorruptMessage,
        ),
        ("no records", patched(&good, 57, &[0; 4]), invalid),
        (
            "2^31-1 records",
            patched(&good, 57, &[0x7f, 0xff, 0xff, 0xff]),
            invalid,
        ),
        (
            "a wrong last delta",
            patched(&good, 23, &[0, 0, 0, 9]),
            invalid,
        ),
        (
            "a codec that is none",
            patched(&good, 21, &[0, 7]),
            ErrorCode::UnknownServerError,
        ),
        ("a control batch", control, invalid),
        ("a time to come", future, ErrorCode::InvalidTimestamp),
        ("a negative sequence", idempotent(1, 0, -1), invalid),
    ]
}

#[tokio::test]
async fn inc_030_031_036_a_batch_that_breaks_a_rule_is_refused_with_its_code() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    for (what, records, expected) in broken() {
        for version in [3, 8, 12] {
            let request = produce_to("t", 0, -1, records.clone());
            let refused = produced(&mut client, version, request).await;
            assert_eq!(refused.error_code, expected.code(), "{what} in v{version}");
            assert_eq!(refused.base_offset, -1, "{what}");
            assert_eq!(refused.error_message.is_some(), version >= 8, "{what}");
        }
    }
    let base = put(&mut client, "t", batch(&["x"])).await;
    assert_eq!(base, 0, "nothing of it was written");
}

#[tokio::test]
async fn a_part_of_a_transaction_says_of_which() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let part = batch_of(BatchBuilder::new().transactional(), &["x"]);
    for (name, expected) in [
        (None, ErrorCode::TransactionalIdAuthorizationFailed),
        (Some("n"), ErrorCode::InvalidTxnState),
    ] {
        let request = produce_to("t", 0, -1, part.clone());
        let request = request.with_transactional_id(name.map(|name| text(name).into()));
        let refused = produced(&mut client, 9, request).await;
        assert_eq!(refused.error_code, expected.code(), "named {name:?}");
    }
}

#[tokio::test]
async fn zstd_came_with_version_7() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let zstd = BatchBuilder::new().compressed(Compression::Zstd, Level::Default);
    let zstd = batch_of(zstd, &["x"]);
    for (version, expected) in [
        (6, ErrorCode::UnsupportedCompressionType),
        (7, ErrorCode::None),
    ] {
        let request = produce_to("t", 0, 1, zstd.clone());
        let answer = produced(&mut client, version, request).await;
        assert_eq!(answer.error_code, expected.code(), "v{version}");
    }
    // Kafka 4 hands it to every version of Fetch.
    for version in [9, 10] {
        let found = fetched(&mut client, version, fetch_from("t", 0)).await;
        assert_eq!(found.error_code, ErrorCode::None.code(), "v{version}");
    }
}

#[tokio::test]
async fn inc_032_a_compacted_topic_blames_the_records_without_a_key() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client
        .create_topic_with("t", &[("cleanup.policy", "compact")])
        .await;
    let mut mixed = BatchBuilder::new();
    mixed.push(ottla_base::Millis(THEN), Some(b"k"), Some(b"v"));
    mixed.push(ottla_base::Millis(THEN), None, Some(b"v"));
    let mixed = mixed.build().expect("a batch").to_bytes();
    for version in [7, 8, 12] {
        let refused = produced(&mut client, version, produce_to("t", 0, -1, mixed.clone())).await;
        assert_eq!(refused.error_code, ErrorCode::InvalidRecord.code());
        let blamed: Vec<_> = refused
            .record_errors
            .iter()
            .map(|e| e.batch_index)
            .collect();
        assert_eq!(blamed, if version >= 8 { vec![1] } else { vec![] });
    }
}

#[tokio::test]
async fn inc_033_038_a_batch_is_measured_again_when_it_was_recompressed() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let settings = [
        ("compression.type", "uncompressed"),
        ("max.message.bytes", "500"),
    ];
    client.create_topic_with("t", &settings).await;
    let gzip = || BatchBuilder::new().compressed(Compression::Gzip, Level::Default);
    let wide = "0".repeat(2_000);
    let small = batch_of(gzip(), &[&wide]);
    assert!(small.len() < 500, "it fits as it comes");
    let too_large = ErrorCode::MessageTooLarge.code();
    for records in [small, batch(&[&wide])] {
        let refused = produced(&mut client, 9, produce_to("t", 0, -1, records)).await;
        assert_eq!(refused.error_code, too_large);
    }
    put(&mut client, "t", batch_of(gzip(), &["a", "b"])).await;
    let found = fetched(&mut client, 12, fetch_from("t", 0)).await;
    let kept = batches_in(&found.records);
    assert_eq!(
        kept[0].header().attributes.compression(),
        Some(Compression::None)
    );
    assert!(kept[0].verify_crc());
    assert_eq!(values_in(&found.records), ["a", "b"]);
}

#[tokio::test]
async fn every_codec_is_kept_or_made_as_the_topic_says() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let codecs = [
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (base, (name, codec)) in (0..).zip(codecs) {
        let sent = batch_of(
            BatchBuilder::new().compressed(codec, Level::Default),
            &["x"],
        );
        put(&mut client, "t", sent.clone()).await;
        let kept = stored(&mut client, "t", base).await;
        assert_eq!(kept.slice(16..), sent.slice(16..), "{name} as it came");
        client
            .create_topic_with(name, &[("compression.type", name)])
            .await;
        put(&mut client, name, batch(&["x"])).await;
        let found = fetched(&mut client, 12, fetch_from(name, 0)).await;
        let header = *batches_in(&found.records)[0].header();
        assert_eq!(header.attributes.compression(), Some(codec), "{name}");
    }
}

#[tokio::test]
async fn inc_023_any_header_of_snappy_java_is_read() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let snappy = BatchBuilder::new().compressed(Compression::Snappy, Level::Default);
    let snappy = batch_of(snappy, &["x"]);
    assert_eq!(snappy.slice(61..69), b"\x82SNAPPY\0"[..]);
    let other = patched(&snappy, 69, &[0, 0, 0, 2, 0, 0, 0, 2]);
    for (base, records) in (0..).zip([snappy, other]) {
        assert_eq!(put(&mut client, "t", records).await, base);
    }
}

#[tokio::test]
async fn inc_028_a_topic_may_stamp_what_it_takes() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let settings = [("message.timestamp.type", "LogAppendTime")];
    client.create_topic_with("t", &settings).await;
    let done = produced(&mut client, 9, produce_to("t", 0, -1, batch(&["a", "b"]))).await;
    assert!(done.log_append_time_ms > THEN);
    let found = fetched(&mut client, 12, fetch_from("t", 0)).await;
    let kept = batches_in(&found.records);
    let header = kept[0].header();
    assert_eq!(
        header.attributes.timestamp_type(),
        TimestampType::LogAppendTime
    );
    assert_eq!(header.max_timestamp, done.log_append_time_ms);
    assert!(kept[0].verify_crc());

    let stamp = BatchBuilder::new().log_append_time(ottla_base::Millis(THEN));
    let stamped = produce_to("t", 0, -1, batch_of(stamp, &["x"]));
    let refused = produced(&mut client, 9, stamped).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidTimestamp.code());

    client.create_topic("created", 1).await;
    let wrong = patched(&batch(&["a", "b"]), 35, &[0; 8]);
    put(&mut client, "created", wrong).await;
    let found = fetched(&mut client, 12, fetch_from("created", 0)).await;
    assert_eq!(
        batches_in(&found.records)[0].header().max_timestamp,
        THEN + 1
    );
}

#[tokio::test]
async fn inc_029_only_the_first_bytes_of_a_batch_are_the_brokers() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let sent = batch(&["a", "b"]);
    put(&mut client, "t", sent.clone()).await;
    put(&mut client, "t", sent.clone()).await;
    let kept = stored(&mut client, "t", 2).await;
    assert_eq!(kept.slice(..8), 2_i64.to_be_bytes()[..]);
    assert_eq!(kept.slice(8..12), sent.slice(8..12));
    assert_eq!(
        kept.slice(12..16),
        0_i32.to_be_bytes()[..],
        "the leader epoch"
    );
    assert_eq!(kept.slice(16..), sent.slice(16..));
}

#[tokio::test]
async fn inc_034_035_a_producer_sends_each_batch_once_and_in_order() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let out_of_order = ErrorCode::OutOfOrderSequenceNumber;
    let steps = [
        // What came before may have been deleted: it may begin anywhere.
        (0, 40, Ok(0)),
        (0, 41, Ok(1)),
        (0, 40, Ok(0)),
        (0, 43, Err(out_of_order)),
        (0, 42, Ok(2)),
        (0, 43, Ok(3)),
        (0, 44, Ok(4)),
        (0, 45, Ok(5)),
        (0, 41, Ok(1)),
        // The sixth last batch is not remembered.
        (0, 40, Err(out_of_order)),
        (1, 1, Err(out_of_order)),
        (1, 0, Ok(6)),
        (0, 46, Err(ErrorCode::InvalidProducerEpoch)),
        (1, 0, Ok(6)),
        (1, 1, Ok(7)),
    ];
    for (epoch, sequence, expected) in steps {
        let request = produce_to("t", 0, -1, idempotent(9, epoch, sequence));
        let answer = produced(&mut client, 9, request).await;
        let (code, base): (ErrorCode, i64) = match expected {
            Ok(base) => (ErrorCode::None, base),
            Err(code) => (code, -1),
        };
        let step = format!("epoch {epoch} sequence {sequence}");
        assert_eq!(
            (answer.error_code, answer.base_offset),
            (code.code(), base),
            "{step}"
        );
    }
}

#[tokio::test]
async fn the_last_sequence_is_followed_by_zero() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    put(&mut client, "t", idempotent(9, 0, i32::MAX)).await;
    assert_eq!(put(&mut client, "t", idempotent(9, 0, 0)).await, 1);
}

#[tokio::test]
async fn internal_topics_are_written_by_admin_clients_only() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.find_coordinator("g").await;
    let request = || produce_to("__consumer_offsets", 0, -1, batch(&["x"]));
    let refused = produced(&mut client, 9, request()).await;
    assert_eq!(refused.error_code, ErrorCode::InvalidTopic.code());
    client.client_id = "__admin_client".to_owned();
    let answer = produced(&mut client, 9, request()).await;
    assert_eq!(
        answer.error_code,
        ErrorCode::InvalidRecord.code(),
        "it is compacted"
    );
}

#[tokio::test]
async fn inc_041_a_topic_is_created_by_being_mentioned_and_then_takes_records() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    let refused = produced(&mut client, 9, produce_to("new", 0, 1, batch(&["x"]))).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(refused.error_code, unknown, "Produce creates nothing");
    let wanted = ottla_protocol::messages::metadata_request::MetadataRequestTopic::default()
        .with_name(Some(text("new").into()));
    loop {
        let request = MetadataRequest::default().with_topics(Some(vec![wanted.clone()]));
        let response = client
            .call(9, request.with_allow_auto_topic_creation(true))
            .await;
        if response.topics[0].error_code == 0 {
            break;
        }
        assert_eq!(response.topics[0].error_code, unknown);
        tokio::task::yield_now().await;
    }
    put(&mut client, "new", batch(&["x"])).await;
}
