//! Compacted topics, as clients see them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ottla_base::{BrokerId, ClusterId, ErrorCode, Millis};
use ottla_coordinator::group::Loader;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use ottla_protocol::messages::{OffsetCommitRequest, OffsetFetchRequest};
use ottla_protocol::records::{BatchBuilder, Compression, Level, Record};
use ottla_store::rocks;

use crate::harness::{CLUSTER, Client, TestBroker, copy_directory};
use crate::requests::{
    fetch_of, fetched, of_topic, offsets_of, partition, produce_to, produced, put, records_in, text,
};

/// Compaction at once, of whatever is not the last batch.
const EAGER: &[(&str, &str)] = &[
    ("log.cleaner.backoff.ms", "20"),
    ("log.cleaner.min.cleanable.ratio", "0"),
    ("log.roll.ms", "1"),
];

async fn broker_in(directory: &Path, settings: &[(&str, &str)]) -> TestBroker {
    let options = rocks::Options::new(BrokerId(1), ClusterId::from(CLUSTER));
    let store = rocks::open(directory, options).unwrap();
    TestBroker::with_store(Arc::new(store), settings).await
}

/// What a broker that has stopped left. Its own directory is free when its process
/// has ended, and this one goes on.
fn left_by(root: &Path, before: &str, after: &str) -> PathBuf {
    let (before, after) = (root.join(before), root.join(after));
    copy_directory(&before, &after);
    after
}

/// Every record of a partition, from offset 0 on.
async fn records(client: &mut Client, topic: &str, index: i32) -> Vec<Record> {
    let mut records = Vec::new();
    let mut next = 0;
    loop {
        let request = fetch_of(vec![of_topic(topic, vec![partition(index, next)])]);
        let found = fetched(client, 12, request).await;
        assert_eq!(found.error_code, 0);
        let batches = crate::requests::batches_in(&[found.records.concat().into()]);
        let Some(last) = batches.last() else {
            assert_eq!(next, found.high_watermark, "a reader gets to the end");
            return records;
        };
        next = last.header().next_offset().0;
        records.extend(records_in(&[found.records.concat().into()]));
    }
}

/// Reads until `is_done` says that it is enough of what was written.
async fn wait_for_records(
    client: &mut Client,
    topic: &str,
    is_done: impl Fn(&[Record]) -> bool,
) -> Vec<Record> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let records = records(client, topic, 0).await;
        if is_done(&records) {
            return records;
        }
        assert!(Instant::now() < deadline, "{} records stay", records.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The last record of each key; a marker of deletion is one too.
fn latest(records: &[Record]) -> BTreeMap<Option<bytes::Bytes>, Record> {
    let records = records.iter();
    records
        .map(|record| (record.key.clone(), record.clone()))
        .collect()
}

#[tokio::test]
async fn a_compacted_topic_keeps_the_last_record_of_each_key_at_its_offset() {
    let root = tempfile::tempdir().unwrap();
    let broker = broker_in(&root.path().join("one"), EAGER).await;
    let mut client = broker.connect().await;
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "1")];
    client.create_topic_with("t", &settings).await;
    let codecs = Compression::ALL.into_iter().cycle();
    for (round, codec) in (0..60_i64).zip(codecs) {
        let mut batch = BatchBuilder::new().compressed(codec, Level::Default);
        for record in 0..20 {
            let key = format!("key-{}", (round * 7 + record) % 100);
            let value = format!("{round}");
            let value = (record != 3 || round < 50).then_some(value.as_bytes());
            let at = Millis(1_700_000_000_000 + round * 10);
            batch.push(at, Some(key.as_bytes()), value);
        }
        let base = put(&mut client, "t", batch.build().unwrap().to_bytes()).await;
        assert_eq!(base, round * 20);
    }
    let all = records(&mut client, "t", 0).await;
    let compacted = wait_for_records(&mut client, "t", |records| records.len() <= 120).await;
    assert_eq!(latest(&compacted), latest(&all));
    let mut old = all.iter();
    assert!(compacted.iter().all(|record| old.any(|old| old == record)));
    let earliest = client.call(7, offsets_of("t", &[(0, -2)])).await;
    assert_eq!(earliest.topics[0].partitions[0].offset, 0);

    broker.running.stop().await;
    let broker = broker_in(&left_by(root.path(), "one", "two"), EAGER).await;
    let mut client = broker.connect().await;
    assert_eq!(latest(&records(&mut client, "t", 0).await), latest(&all));
    let mut batch = BatchBuilder::new();
    batch.push(Millis(1_700_000_001_000), Some(b"another"), Some(b"1"));
    let base = put(&mut client, "t", batch.build().unwrap().to_bytes()).await;
    assert_eq!(base, 1_200);
}

#[tokio::test]
async fn what_a_producer_sent_last_is_known_though_its_records_are_superseded() {
    use ottla_base::{ProducerEpoch, ProducerId, Sequence};
    let root = tempfile::tempdir().unwrap();
    let broker = broker_in(&root.path().join("one"), EAGER).await;
    let mut client = broker.connect().await;
    let settings = [("cleanup.policy", "compact"), ("segment.ms", "1")];
    client.create_topic_with("t", &settings).await;
    // A producer that was silent for a day is forgotten.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let sent = |sequence: i32| {
        let mut batch =
            BatchBuilder::new().producer(ProducerId(1), ProducerEpoch(0), Sequence(sequence));
        batch.push(
            Millis(now + i64::from(sequence) * 10),
            Some(b"a"),
            Some(b"p"),
        );
        batch.build().unwrap().to_bytes()
    };
    for sequence in 0..5 {
        put(&mut client, "t", sent(sequence)).await;
    }
    for number in 0..5 {
        let mut batch = BatchBuilder::new();
        batch.push(Millis(now + 1_000 + number * 10), Some(b"a"), Some(b"x"));
        put(&mut client, "t", batch.build().unwrap().to_bytes()).await;
    }
    wait_for_records(&mut client, "t", |records| records.len() <= 2).await;
    broker.running.stop().await;
    let broker = broker_in(&left_by(root.path(), "one", "two"), EAGER).await;
    let mut client = broker.connect().await;
    // A repeated batch is answered with where it was, also if it is gone from there.
    assert_eq!(put(&mut client, "t", sent(3)).await, 3);
    assert_eq!(put(&mut client, "t", sent(5)).await, 10);
    let request = produce_to("t", 0, -1, sent(9));
    let refusal = produced(&mut client, 9, request).await;
    let out_of_order = ErrorCode::OutOfOrderSequenceNumber.code();
    assert_eq!(refusal.error_code, out_of_order);
}

fn commit(group: &str, offset: i64) -> OffsetCommitRequest {
    let partition = |index| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(offset)
    };
    let topic = OffsetCommitRequestTopic::default().with_name(text("t").into());
    OffsetCommitRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![
            topic.with_partitions(vec![partition(0), partition(1)]),
        ])
}

async fn committed(client: &mut Client, group: &str) -> Vec<i64> {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(text("t").into())
        .with_partition_indexes(vec![0, 1]);
    let request = OffsetFetchRequest::default()
        .with_group_id(text(group).into())
        .with_topics(Some(vec![topic]));
    let loading = ErrorCode::CoordinatorLoadInProgress.code();
    let mut response = client.call(7, request.clone()).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while response.error_code == loading {
        assert!(Instant::now() < deadline, "groups stay loading");
        response = client.call(7, request.clone()).await;
    }
    let partitions = response.topics[0].partitions.iter();
    partitions
        .map(|partition| partition.committed_offset)
        .collect()
}

fn loaded(records: &[Record]) -> String {
    let mut loader = Loader::new();
    for record in records {
        loader
            .read(record.key.as_deref(), record.value.as_deref())
            .unwrap();
    }
    let settings = ottla_coordinator::Settings::default();
    format!("{:?}", loader.finish(settings, Millis(0)))
}

const OFFSETS: &str = "__consumer_offsets";

#[tokio::test]
async fn groups_load_from_a_compacted_log_as_from_the_whole_one() {
    let root = tempfile::tempdir().unwrap();
    let one_partition = [("offsets.topic.num.partitions", "1")];
    let broker = broker_in(&root.path().join("one"), &one_partition).await;
    let mut client = broker.connect().await;
    client.create_topic("t", 2).await;
    client.find_coordinator("g0").await;
    for round in 0..40 {
        let group = format!("g{}", round % 4);
        client.call(7, commit(&group, round)).await;
        // So that two commits never have the same time.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    let whole = records(&mut client, OFFSETS, 0).await;
    assert_eq!(whole.len(), 80);
    broker.running.stop().await;

    let broker = broker_in(
        &left_by(root.path(), "one", "two"),
        &[EAGER, &one_partition].concat(),
    )
    .await;
    let mut client = broker.connect().await;
    let left = wait_for_records(&mut client, OFFSETS, |left| left.len() <= 10).await;
    assert_eq!(loaded(&left), loaded(&whole));
    broker.running.stop().await;

    let broker = broker_in(&left_by(root.path(), "two", "three"), &one_partition).await;
    let mut client = broker.connect().await;
    client.find_coordinator("g0").await;
    for group in 0..4_i64 {
        let offset = 36 + group;
        assert_eq!(
            committed(&mut client, &format!("g{group}")).await,
            [offset; 2]
        );
    }
}
