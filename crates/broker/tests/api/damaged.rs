//! A partition whose log cannot be opened: who asks for it is told so, and nobody else
//! notices.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{BrokerId, ByteSize, ClusterId, ErrorCode};
use ottla_protocol::messages::alter_replica_log_dirs_request::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic,
};
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::{
    AlterReplicaLogDirsRequest, DeleteTopicsRequest, DescribeLogDirsRequest,
    DescribeTopicPartitionsRequest, FetchRequest, MetadataRequest, ProduceRequest,
};
use ottla_store::LogStore as _;
use ottla_store::rocks::{self, RocksStore};

use crate::harness::{CLUSTER, Client, TestBroker, copy_directory};
use crate::requests::{
    batch, fetch_of, of_topic, offsets_of, partition, produce_to, put, text, values_in,
};

const STORAGE: i16 = ErrorCode::KafkaStorageError as i16;
const LATEST: i64 = -1;
/// Both partitions of `torn`, of which the first one is damaged, and a whole topic.
const PLACES: [(&str, i32, i16); 3] = [("torn", 0, STORAGE), ("torn", 1, 0), ("whole", 0, 0)];

async fn broker_in(directory: &Path) -> TestBroker {
    broker_on(open(directory)).await
}

async fn broker_on(store: Arc<RocksStore>) -> TestBroker {
    TestBroker::with_store(store, &[]).await
}

fn open(directory: &Path) -> Arc<RocksStore> {
    let options = rocks::Options {
        // What is read comes from the disk.
        tail_cache: ByteSize(0),
        ..rocks::Options::new(BrokerId(1), ClusterId::from(CLUSTER))
    };
    Arc::new(rocks::open(directory, options).unwrap())
}

/// A broker that was killed, and of whose records a bit flipped.
async fn damaged() -> (tempfile::TempDir, TestBroker) {
    let root = tempfile::tempdir().unwrap();
    let left = root.path().join("left");
    write_and_copy(&root.path().join("used"), &left).await;
    flip(&left);
    let broker = broker_in(&left).await;
    broker.expect_log("its log is damaged");
    (root, broker)
}

/// Changes a bit of the marked value, where it lies.
fn flip(directory: &Path) {
    let path = directory.join("commit/00000000000000000001.log");
    let bytes = fs::read(&path).unwrap();
    let at = bytes
        .windows(6)
        .position(|bytes| bytes == b"marked")
        .unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
}

/// Leaves in `left` what a broker that is killed would leave.
async fn write_and_copy(used: &Path, left: &Path) {
    let broker = broker_in(used).await;
    write(&mut broker.connect().await).await;
    copy_directory(used, left);
}

async fn produced(client: &mut Client, topic: &str, index: i32, value: &str) -> i16 {
    let request = produce_to(topic, index, -1, batch(&[value]));
    let mut response = client.call::<ProduceRequest>(9, request).await;
    let answer = response.responses.remove(0).partition_responses.remove(0);
    answer.error_code
}

async fn write(client: &mut Client) {
    client.create_topic("torn", 2).await;
    client.create_topic("whole", 1).await;
    put(client, "torn", batch(&["a marked value"])).await;
    for (topic, index, _) in PLACES {
        assert_eq!(produced(client, topic, index, "first").await, 0);
    }
}

#[tokio::test]
async fn records_of_a_damaged_log_are_refused_and_those_beside_it_served() {
    let (_root, broker) = damaged().await;
    are_refused_and_those_beside_served(&broker).await;
}

async fn are_refused_and_those_beside_served(broker: &TestBroker) {
    let mut client = broker.connect().await;
    for (topic, index, code) in PLACES {
        assert_eq!(produced(&mut client, topic, index, "second").await, code);
        let offsets = offsets_of(topic, &[(index, LATEST)]);
        let found = client.call(6, offsets).await.topics.remove(0);
        let end = if code == 0 { 2 } else { -1 };
        let found = (found.partitions[0].error_code, found.partitions[0].offset);
        assert_eq!(found, (code, end), "{topic}-{index}");
    }
    let all = fetch_of(vec![
        of_topic("torn", vec![partition(0, 0), partition(1, 0)]),
        of_topic("whole", vec![partition(0, 0)]),
    ]);
    let response = client.call::<FetchRequest>(12, all).await;
    assert_eq!(response.error_code, 0);
    let mut found = Vec::new();
    for topic in &response.responses {
        for of in &topic.partitions {
            let place = (topic.topic.as_str(), of.partition_index);
            found.push((place, of.error_code, values_in(&of.records)));
        }
    }
    found.sort_unstable();
    let both = || vec!["first".to_owned(), "second".to_owned()];
    let expected = PLACES.map(|(topic, index, code)| {
        let values = if code == 0 { both() } else { Vec::new() };
        ((topic, index), code, values)
    });
    assert_eq!(found, expected);
}

/// Its only replica is offline, so nobody leads it, and the directory does not have it.
#[tokio::test]
async fn a_damaged_log_is_an_offline_replica() {
    let (_root, broker) = damaged().await;
    is_an_offline_replica(&broker).await;
}

/// The same at once, where the damage is met by somebody who reads.
#[tokio::test]
async fn a_log_that_is_found_damaged_is_offline_from_then_on() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    let broker = broker_on(store.clone()).await;
    let mut client = broker.connect().await;
    write(&mut client).await;
    flip(root.path());
    for line in ["does not pass its checks", "partition is offline"] {
        broker.expect_log(line);
    }
    let torn = fetch_of(vec![of_topic("torn", vec![partition(0, 0)])]);
    let mut found = client.call::<FetchRequest>(12, torn).await;
    let found = found.responses.remove(0).partitions.remove(0);
    assert_eq!(
        (found.error_code, found.records),
        (STORAGE, Vec::<Bytes>::new())
    );
    // The store tells the partition behind what it has to do already.
    store.drain();
    are_refused_and_those_beside_served(&broker).await;
    is_an_offline_replica(&broker).await;
    delete_torn(&mut client).await;
    store.drain();
    assert!(
        store.logs().iter().all(|log| !log.damaged),
        "its space is free again"
    );
}

async fn is_an_offline_replica(broker: &TestBroker) {
    let mut client = broker.connect().await;
    let request = || MetadataRequest::default().with_topics(None);
    for version in [4, 5, 13] {
        let found = client.call(version, request()).await;
        for topic in &found.topics {
            assert_eq!(topic.error_code, 0);
            for found in &topic.partitions {
                let name = topic.name.as_ref().unwrap();
                let is_torn = (name.as_str(), found.partition_index) == ("torn", 0);
                let (leader, code) = if is_torn {
                    (-1, ErrorCode::LeaderNotAvailable)
                } else {
                    (1, ErrorCode::None)
                };
                assert_eq!((found.leader_id.0, found.error_code), (leader, code.code()));
                assert_eq!(
                    (&found.replica_nodes[..], &found.isr_nodes[..]),
                    (&[1.into()][..], &[1.into()][..])
                );
                let is_told = is_torn && version >= 5;
                assert_eq!(found.offline_replicas.len(), usize::from(is_told));
            }
        }
    }
    let request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(100);
    let found = client.call(0, request).await;
    let found = found.topics.iter().flat_map(|topic| &topic.partitions);
    let found: Vec<_> = found
        .map(|found| {
            let offline = found.offline_replicas.len();
            (found.error_code, found.leader_id.0, offline)
        })
        .collect();
    let none = ErrorCode::LeaderNotAvailable.code();
    assert_eq!(found, [(none, -1, 1), (0, 1, 0), (0, 1, 0)]);

    let request = DescribeLogDirsRequest::default().with_topics(None);
    let found = client.call(4, request).await.results.remove(0);
    assert_eq!(found.error_code, 0);
    let mut listed: Vec<_> = found
        .topics
        .iter()
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|found| (topic.name.as_str(), found.partition_index))
        })
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, [("torn", 1), ("whole", 0)]);

    let topic = AlterReplicaLogDirTopic::default()
        .with_name(text("torn").into())
        .with_partitions(vec![0, 1]);
    let moved = AlterReplicaLogDir::default()
        .with_path(found.log_dir)
        .with_topics(vec![topic]);
    let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![moved]);
    let found = client.call(2, request).await.results.remove(0).partitions;
    let codes: Vec<_> = found.iter().map(|found| found.error_code).collect();
    assert_eq!(codes, [STORAGE, 0]);
}

#[tokio::test]
async fn a_topic_with_a_damaged_log_can_be_deleted_and_made_again() {
    let root = tempfile::tempdir().unwrap();
    let left = root.path().join("left");
    write_and_copy(&root.path().join("used"), &left).await;
    flip(&left);
    let store = open(&left);
    let broker = broker_on(store.clone()).await;
    broker.expect_log("its log is damaged");
    let mut client = broker.connect().await;
    delete_torn(&mut client).await;
    store.drain();
    assert!(
        store.logs().iter().all(|log| !log.damaged),
        "its space is free again"
    );
    client.create_topic("torn", 2).await;
    for (topic, index, _) in PLACES {
        assert_eq!(produced(&mut client, topic, index, "again").await, 0);
    }
}

async fn delete_torn(client: &mut Client) {
    let topic = DeleteTopicState::default().with_name(Some(text("torn").into()));
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000);
    let deleted = client.call(6, request).await;
    assert_eq!(deleted.responses[0].error_code, 0);
}
