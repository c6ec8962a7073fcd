//! What Fetch gives, when, and how much, by version.

use std::time::{Duration, Instant};

use ottla_base::ErrorCode;
use ottla_protocol::Uuid;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use ottla_protocol::messages::{FetchRequest, FetchResponse, OffsetCommitRequest};

use crate::harness::{Client, TestBroker};
use crate::requests::{
    batch, fetch_from, fetch_of, fetched, of_topic, partition, produce_to, put, records_in, text,
    values_in,
};

/// A client of a broker with the topic `t`, whose partition 0 has two batches:
/// offsets 0 to 2 and 3.
async fn client(broker: &TestBroker) -> Client {
    let mut client = broker.connect().await;
    client.create_topic("t", 2).await;
    put(&mut client, "t", batch(&["a", "b", "c"])).await;
    put(&mut client, "t", batch(&["d"])).await;
    client
}

fn by_id(id: Uuid, offset: i64) -> FetchRequest {
    let topic = FetchTopic::default()
        .with_topic_id(id)
        .with_partitions(vec![partition(0, offset)]);
    fetch_of(vec![topic])
}

#[tokio::test]
async fn inc_043_045_every_version_says_where_the_log_is() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let id = broker.topic_id("t");
    for version in 4..=18 {
        for isolation in [0, 1] {
            let request = match version {
                13.. => by_id(id, 0),
                _ => fetch_from("t", 0),
            };
            let request = request.with_isolation_level(isolation);
            let found = fetched(&mut client, version, request).await;
            assert_eq!(found.error_code, 0, "v{version}");
            assert_eq!(values_in(&found.records), ["a", "b", "c", "d"]);
            assert_eq!((found.high_watermark, found.last_stable_offset), (4, 4));
            let log_start = if version >= 5 { 0 } else { -1 };
            assert_eq!(found.log_start_offset, log_start, "v{version}");
            assert_eq!(found.preferred_read_replica.0, -1, "v{version}");
            let aborted = found.aborted_transactions;
            assert_eq!(
                aborted.map(|list| list.len()),
                (isolation == 1).then_some(0)
            );
        }
    }
}

#[tokio::test]
async fn inc_042_an_offset_inside_a_batch_gives_the_whole_batch() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    for (offset, expected) in [
        (1, &["a", "b", "c", "d"][..]),
        (2, &["a", "b", "c", "d"]),
        (3, &["d"]),
        (4, &[]),
    ] {
        let found = fetched(&mut client, 12, fetch_from("t", offset)).await;
        assert_eq!(found.error_code, 0);
        assert_eq!(values_in(&found.records), expected, "from {offset}");
    }
}

#[tokio::test]
async fn offsets_outside_of_the_log_are_refused() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    for offset in [5, -1, i64::MAX, i64::MIN] {
        let found = fetched(&mut client, 12, fetch_from("t", offset)).await;
        assert_eq!(found.error_code, ErrorCode::OffsetOutOfRange.code());
        assert_eq!(
            (found.high_watermark, found.records.concat().len()),
            (-1, 0)
        );
        assert_eq!((found.last_stable_offset, found.log_start_offset), (-1, -1));
    }
}

#[tokio::test]
async fn inc_047_the_first_batch_comes_whatever_its_size() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    client.call(9, produce_to("t", 1, -1, batch(&["e"]))).await;
    let both = || vec![of_topic("t", vec![partition(0, 0), partition(1, 0)])];
    let first = |response: &FetchResponse| {
        let partitions = &response.responses[0].partitions;
        [0, 1].map(|index| values_in(&partitions[index].records))
    };
    let response = client.call(12, fetch_of(both()).with_max_bytes(1)).await;
    assert_eq!(first(&response), [vec!["a", "b", "c"], vec![]]);
    let response = client.call(12, fetch_of(both()).with_max_bytes(0)).await;
    assert_eq!(first(&response), [vec!["a", "b", "c"], vec![]]);
    let mut narrow = fetch_of(both());
    narrow.topics[0].partitions[0].partition_max_bytes = 1;
    let response = client.call(12, narrow).await;
    assert_eq!(first(&response), [vec!["a", "b", "c"], vec!["e"]]);
    let mut negative = fetch_of(both()).with_max_bytes(-1);
    negative.topics[0].partitions[0].partition_max_bytes = -1;
    let response = client.call(12, negative).await;
    assert_eq!(first(&response), [vec!["a", "b", "c"], vec![]]);
}

#[tokio::test]
async fn inc_046_a_fetch_waits_for_as_much_as_it_wants() {
    let broker = TestBroker::start().await;
    let (mut reader, mut writer) = (broker.connect().await, client(&broker).await);
    let began = Instant::now();
    let wait = fetch_from("t", 4).with_max_wait_ms(100);
    let found = fetched(&mut reader, 12, wait).await;
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!((found.error_code, found.records.concat().len()), (0, 0));
    assert_eq!(found.high_watermark, 4);

    let size = i32::try_from(batch(&["x"]).len()).expect("a small batch");
    let wanted = fetch_from("t", 4)
        .with_max_wait_ms(60_000)
        .with_min_bytes(3 * size);
    reader.send(12, &wanted).await;
    for _ in 0..3 {
        put(&mut writer, "t", batch(&["x"])).await;
    }
    let response = reader.receive::<FetchRequest>(12).await;
    let found = &response.responses[0].partitions[0];
    assert_eq!(records_in(&found.records).len(), 3);
}

#[tokio::test]
async fn an_error_ends_the_wait_of_all() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let partitions = vec![partition(0, 4), partition(7, 0)];
    let request = fetch_of(vec![of_topic("t", partitions)]).with_max_wait_ms(60_000);
    let response = client.call(12, request).await;
    let codes: Vec<_> = response.responses[0]
        .partitions
        .iter()
        .map(|p| p.error_code)
        .collect();
    assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.code()]);
}

#[tokio::test]
async fn unknown_topics_have_a_code_by_version() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let found = fetched(&mut client, 12, fetch_from("none", 0)).await;
    assert_eq!(found.error_code, ErrorCode::UnknownTopicOrPartition.code());
    for version in 13..=18 {
        for id in [Uuid::from_u128(7), Uuid::nil()] {
            let found = fetched(&mut client, version, by_id(id, 0)).await;
            assert_eq!(found.error_code, ErrorCode::UnknownTopicId.code());
            assert_eq!(found.high_watermark, -1);
        }
    }
}

#[tokio::test]
async fn a_leader_epoch_that_is_not_the_leaders_is_refused() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let request = |epoch| {
        let mut request = by_id(broker.topic_id("t"), 0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        request
    };
    let found = fetched(&mut client, 16, request(0)).await;
    assert_eq!(found.error_code, 0);
    let found = fetched(&mut client, 16, request(1)).await;
    assert_eq!(found.error_code, ErrorCode::UnknownLeaderEpoch.code());
    assert_eq!(found.current_leader, None);
    // Any negative number says that the client knows none.
    let found = fetched(&mut client, 16, request(-2)).await;
    assert_eq!(found.error_code, 0);
}

#[tokio::test]
async fn a_last_fetched_epoch_that_nobody_had_is_out_of_range() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    for (epoch, expected) in [(0, ErrorCode::None), (3, ErrorCode::OffsetOutOfRange)] {
        let mut request = fetch_from("t", 1);
        request.topics[0].partitions[0].last_fetched_epoch = epoch;
        let found = fetched(&mut client, 12, request).await;
        assert_eq!(found.error_code, expected.code(), "epoch {epoch}");
        assert_eq!(found.diverging_epoch, None);
    }
}

fn told(response: &FetchResponse) -> Vec<i32> {
    let topics = response.responses.iter();
    let partitions = topics.flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| partition.partition_index)
        .collect()
}

#[tokio::test]
async fn inc_044_a_session_remembers_what_the_client_does_not_repeat() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let session = |id, epoch, partitions: &[FetchPartition]| {
        let topics = match partitions {
            [] => vec![],
            partitions => vec![of_topic("t", partitions.to_vec())],
        };
        fetch_of(topics)
            .with_session_id(id)
            .with_session_epoch(epoch)
    };
    let both = [partition(0, 4), partition(1, 0)];
    let opened = client.call(12, session(0, 0, &both[..])).await;
    let id = opened.session_id;
    assert_ne!(id, 0);
    assert_eq!(told(&opened), [0, 1]);
    let nothing = client.call(12, session(id, 1, &[])).await;
    assert_eq!((nothing.session_id, told(&nothing)), (id, vec![]));
    put(&mut client, "t", batch(&["e"])).await;
    let news = client.call(12, session(id, 2, &[])).await;
    assert_eq!(told(&news), [0]);

    let repeated = client.call(12, session(id, 2, &[])).await;
    assert_eq!(
        repeated.error_code,
        ErrorCode::InvalidFetchSessionEpoch.code()
    );
    let unknown = client.call(12, session(id ^ 1, 1, &[])).await;
    assert_eq!(unknown.error_code, ErrorCode::FetchSessionIdNotFound.code());
    let mixed = by_id(broker.topic_id("t"), 0);
    let mixed = client
        .call(13, mixed.with_session_id(id).with_session_epoch(3))
        .await;
    assert_eq!(mixed.error_code, ErrorCode::FetchSessionTopicIdError.code());

    let forgotten = ForgottenTopic::default()
        .with_topic(text("t").into())
        .with_partitions(vec![0]);
    let request = session(id, 3, &[]).with_forgotten_topics_data(vec![forgotten]);
    let rest = client.call(12, request).await;
    assert_eq!(
        (rest.error_code, told(&rest)),
        (0, vec![]),
        "partition 0 is not read"
    );
    let closed = client.call(12, session(id, -1, &both[..])).await;
    assert_eq!((closed.session_id, told(&closed)), (0, vec![0, 1]));
    let gone = client.call(12, session(id, 4, &[])).await;
    assert_eq!(gone.error_code, ErrorCode::FetchSessionIdNotFound.code());
}

#[tokio::test]
async fn inc_054_a_thousand_partitions_are_fetched_at_once() {
    let broker = TestBroker::start().await;
    let mut client = broker.connect().await;
    client.create_topic("wide", 1_000).await;
    client
        .call(9, produce_to("wide", 999, -1, batch(&["x"])))
        .await;
    let partitions = (0..1_000).map(|index| partition(index, 0)).collect();
    let request = fetch_of(vec![of_topic("wide", partitions)]).with_max_wait_ms(60_000);
    let response = client.call(12, request).await;
    assert_eq!(told(&response).len(), 1_000);
    let last = &response.responses[0].partitions[999];
    assert_eq!(values_in(&last.records), ["x"]);
}

#[tokio::test]
async fn inc_077_committed_offsets_are_records_of_kafkas_form() {
    use ottla_protocol::messages::offset_commit_request::{
        OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    };
    let broker = TestBroker::with_settings(&[("offsets.topic.num.partitions", "1")]).await;
    let mut client = client(&broker).await;
    client.find_coordinator("g").await;
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![
            OffsetCommitRequestPartition::default().with_committed_offset(3),
        ]);
    let request = OffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    client.call(9, request).await;
    let found = fetched(&mut client, 12, fetch_from("__consumer_offsets", 0)).await;
    let record = records_in(&found.records).remove(0);
    let key = record.key.expect("a key");
    assert_eq!(
        key,
        b"\0\x01\0\x01g\0\x01t\0\0\0\0"[..],
        "an offset of g, t-0"
    );
    let value = record.value.expect("a value");
    assert_eq!(value.slice(2..10), 3_i64.to_be_bytes()[..]);
}

#[tokio::test]
async fn a_long_poll_ends_when_the_broker_stops() {
    let broker = TestBroker::start().await;
    let mut client = client(&broker).await;
    let request = fetch_from("t", 4).with_max_wait_ms(i32::MAX);
    client.send(12, &request).await;
    tokio::task::yield_now().await;
    let began = Instant::now();
    broker.running.stop().await;
    assert!(began.elapsed() < Duration::from_millis(400));
}
