//! Three brokers that replicate, by real connections between them: what one has taken is
//! on the others, byte for byte.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_base::config::StartSettings;
use ottla_base::{BrokerId, ClusterId, ErrorCode, LeaderEpoch, Millis, PartitionId, TopicName};
use ottla_broker::format::Bootstrap;
use ottla_broker::wiring::{self, Running, StartParts};
use ottla_controller::{Image, Partition, Resource};
use ottla_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_protocol::messages::describe_producers_request::TopicRequest;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use ottla_protocol::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DescribeProducersRequest,
    IncrementalAlterConfigsRequest, OffsetForLeaderEpochRequest,
};
use ottla_protocol::records::BatchBuilder;
use ottla_store::{Durability, LogStore, Op, memory, rocks};

use crate::harness::{CLUSTER, Client, copy_directory};
use crate::requests::{
    batch, fetch_from, fetched, idempotent, offsets_of, produce_to, produced, put, text,
};

/// Nothing here takes as long, or it never happens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at something that comes about elsewhere.
const LOOK: Duration = Duration::from_millis(5);

/// Broker 1 is the controller too; a broker that is not running has none.
struct Cluster {
    controller_port: u16,
    running: [Option<Running>; 3],
}

impl Cluster {
    async fn start() -> Self {
        let mut cluster = Self::of_one().await;
        cluster.start_broker(2, in_memory()).await;
        cluster.start_broker(3, in_memory()).await;
        cluster
    }

    async fn of_one() -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let mut cluster = Self {
            controller_port: port.expect("a free port").port(),
            running: [None, None, None],
        };
        cluster.start_broker(1, in_memory()).await;
        cluster
    }

    async fn start_broker(&mut self, id: usize, store: Arc<dyn LogStore>) {
        let port = self.controller_port;
        let mut settings = StartSettings::new();
        let (roles, listeners) = match id {
            1 => (
                "broker,controller",
                format!("PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:{port}"),
            ),
            _ => ("broker", "PLAINTEXT://127.0.0.1:0".to_owned()),
        };
        settings.add("process.roles", roles);
        settings.add("node.id", &id.to_string());
        settings.add("listeners", &listeners);
        settings.add("advertised.listeners", "PLAINTEXT://127.0.0.1:0");
        settings.add("controller.listener.names", "CONTROLLER");
        settings.add("controller.quorum.voters", &format!("1@127.0.0.1:{port}"));
        settings.add(
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        );
        settings.add("replica.lag.time.max.ms", "500");
        let parts = StartParts {
            settings: settings.finish().expect("the settings are right"),
            cluster_id: ClusterId::from(CLUSTER),
            directory: id.to_string(),
            bootstrap: Bootstrap::default(),
            store,
            host_default: "localhost".to_owned(),
        };
        let started = tokio::time::timeout(PATIENCE, wiring::start(parts)).await;
        let running = started.expect("it starts in time").expect("it starts");
        self.running[id - 1] = Some(running);
    }

    async fn stop(&mut self, id: usize) {
        let running = self.running[id - 1].take().expect("it is running");
        let stopped = tokio::time::timeout(PATIENCE, running.stop()).await;
        stopped.expect("it stops in time");
    }

    fn connect(&self, id: usize) -> Client {
        let (client, server) = tokio::io::duplex(1 << 20);
        let running = self.running[id - 1].as_ref().expect("it is running");
        running.serve(server, "PLAINTEXT");
        Client::over(client)
    }

    fn image(&self, id: usize) -> Arc<Image> {
        let running = self.running[id - 1].as_ref().expect("it is running");
        running.image()
    }

    /// Waits until every running broker knows that of partition 0 of `t`.
    async fn until(&self, what: &str, holds: impl Fn(&Partition) -> bool) {
        let image = |running: &Running| {
            let image = running.image();
            let topic = image.topic(&TopicName::from("t"));
            topic.and_then(|topic| topic.partition(PartitionId(0)).cloned())
        };
        let holds = async || {
            let mut known = self.running.iter().flatten().map(image);
            known.all(|known| known.is_some_and(|known| holds(&known)))
        };
        eventually(what, holds).await;
    }

    async fn all_in_sync(&self) {
        self.until("all are in sync", |known| known.isr.len() == 3)
            .await;
    }

    /// Waits until a broker hands out the same bytes as its leader.
    async fn has_copied(&self, id: usize, bytes: &Bytes) {
        let same = async || all_of(&mut self.connect(id), "t").await == *bytes;
        eventually("its copy is the same", same).await;
    }
}

fn in_memory() -> Arc<dyn LogStore> {
    Arc::new(memory::open(memory::Options {
        durability: Durability::Fsync,
        stepping: memory::Stepping::Thread,
    }))
}

fn on_disk(directory: &Path) -> Arc<dyn LogStore> {
    let options = rocks::Options::new(BrokerId(3), ClusterId::from(CLUSTER));
    Arc::new(rocks::open(directory, options).expect("the store opens"))
}

/// What a broker that has stopped left in a directory. The directory itself is free only
/// when its process has ended, and this one goes on.
fn left_in(directory: &Path) -> PathBuf {
    let left = directory.with_extension("left");
    copy_directory(directory, &left);
    left
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, look).await;
    assert!(came.is_ok(), "it does not come about that {what}");
}

/// A topic `t` with one partition on these brokers, of which the first leads.
async fn create(client: &mut Client, replicas: &[i32], settings: &[(&str, &str)]) {
    let replicas = replicas.iter().map(|id| (*id).into()).collect();
    let assignment = CreatableReplicaAssignment::default()
        .with_partition_index(0)
        .with_broker_ids(replicas);
    let configs = settings.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(text(key))
            .with_value(Some(text(value)))
    });
    let topic = CreatableTopic::default()
        .with_name(text("t").into())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_assignments(vec![assignment])
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default()
        .with_topics(vec![topic])
        .with_timeout_ms(5_000);
    let response = client.call(7, request).await;
    assert_eq!(response.topics[0].error_code, 0, "the topic is created");
}

/// The committed bytes of partition 0, as this broker hands them out.
async fn all_of(client: &mut Client, topic: &str) -> Bytes {
    let first = fetched(client, 12, fetch_from(topic, 0)).await;
    if first.error_code == ErrorCode::OffsetOutOfRange.code() {
        let from = first.log_start_offset.max(0);
        let rest = fetched(client, 12, fetch_from(topic, from)).await;
        return rest.records.concat().into();
    }
    first.records.concat().into()
}

#[tokio::test]
async fn what_all_have_acknowledged_is_on_all_byte_for_byte() {
    let cluster = Cluster::start().await;
    let mut leader = cluster.connect(2);
    create(&mut leader, &[2, 1, 3], &[("min.insync.replicas", "3")]).await;
    cluster.all_in_sync().await;
    for n in 0..50 {
        let value = n.to_string();
        put(&mut leader, "t", batch(&[&value, "more"])).await;
    }
    let bytes = all_of(&mut leader, "t").await;
    assert!(bytes.len() > 50 * 61, "all are committed");
    cluster.has_copied(1, &bytes).await;
    cluster.has_copied(3, &bytes).await;
}

#[tokio::test]
async fn a_broker_that_was_away_catches_up_and_is_in_sync_again() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = root.path().join("third");
    let mut cluster = Cluster::of_one().await;
    cluster.start_broker(2, in_memory()).await;
    cluster.start_broker(3, on_disk(&directory)).await;
    let mut leader = cluster.connect(2);
    create(&mut leader, &[2, 1, 3], &[("min.insync.replicas", "2")]).await;
    cluster.all_in_sync().await;
    put(&mut leader, "t", batch(&["before"])).await;
    cluster.stop(3).await;
    cluster
        .until("it has left", |known| known.isr.len() == 2)
        .await;
    put(&mut leader, "t", batch(&["while it was away"])).await;
    cluster.start_broker(3, on_disk(&left_in(&directory))).await;
    cluster.all_in_sync().await;
    put(&mut leader, "t", batch(&["after"])).await;
    let bytes = all_of(&mut leader, "t").await;
    cluster.has_copied(3, &bytes).await;
}

#[tokio::test]
async fn a_history_of_its_own_is_cut_and_healed() {
    let root = tempfile::tempdir().expect("a directory");
    let directory = root.path().join("third");
    let mut cluster = Cluster::of_one().await;
    cluster.start_broker(2, in_memory()).await;
    cluster.start_broker(3, on_disk(&directory)).await;
    create(&mut cluster.connect(2), &[2, 1, 3], &[]).await;
    cluster.all_in_sync().await;
    put(&mut cluster.connect(2), "t", batch(&["common"])).await;
    let common = all_of(&mut cluster.connect(2), "t").await;
    cluster.has_copied(3, &common).await;
    cluster.stop(3).await;
    let directory = left_in(&directory);
    append_of_its_own(&directory);
    // The next leader writes in an epoch of its own.
    cluster.stop(2).await;
    let led_by_1 = |known: &Partition| known.leader == Some(BrokerId(1));
    cluster.until("another leads", led_by_1).await;
    put(&mut cluster.connect(1), "t", batch(&["of the next leader"])).await;
    cluster.start_broker(3, on_disk(&directory)).await;
    let is_back = |known: &Partition| known.isr.contains(&BrokerId(3));
    cluster.until("it is back", is_back).await;
    put(&mut cluster.connect(1), "t", batch(&["after"])).await;
    let bytes = all_of(&mut cluster.connect(1), "t").await;
    cluster.has_copied(3, &bytes).await;
}

/// What a broker has that nobody acknowledged: its leader sent it and was lost.
fn append_of_its_own(directory: &Path) {
    let store = on_disk(directory);
    let logs = store.logs();
    let log = logs
        .iter()
        .find(|log| log.end.0 == 1)
        .expect("the log of t");
    let mut batch = BatchBuilder::new();
    batch.push(Millis(1), None, Some(b"never acknowledged"));
    let batch = batch.build().expect("a batch");
    store.submit(Op::Append {
        log: log.id,
        incarnation: 0,
        batch: batch.at(log.end, LeaderEpoch(0)),
        sync: true,
    });
    store.close();
}

#[tokio::test]
async fn a_follower_that_is_gone_leaves_and_lets_the_others_go_on() {
    let mut cluster = Cluster::start().await;
    let mut leader = cluster.connect(1);
    create(&mut leader, &[1, 2, 3], &[("min.insync.replicas", "2")]).await;
    cluster.all_in_sync().await;
    cluster.stop(2).await;
    put(&mut leader, "t", batch(&["without the second"])).await;
    cluster
        .until("it has left", |known| known.isr.len() == 2)
        .await;
    cluster.stop(3).await;
    cluster
        .until("both have left", |known| known.isr.len() == 1)
        .await;
    let refused = produced(&mut leader, 9, produce_to("t", 0, -1, batch(&["alone"]))).await;
    assert_eq!(refused.error_code, ErrorCode::NotEnoughReplicas.code());
}

#[tokio::test]
async fn deleted_records_are_deleted_on_followers() {
    let cluster = Cluster::start().await;
    let mut leader = cluster.connect(2);
    create(&mut leader, &[2, 1, 3], &[]).await;
    cluster.all_in_sync().await;
    for value in ["a", "b", "c"] {
        put(&mut leader, "t", batch(&[value])).await;
    }
    let bytes = all_of(&mut leader, "t").await;
    cluster.has_copied(1, &bytes).await;
    cluster.has_copied(3, &bytes).await;
    let partition = DeleteRecordsPartition::default().with_offset(2);
    let topic = DeleteRecordsTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default()
        .with_timeout_ms(5_000)
        .with_topics(vec![topic]);
    let response = leader.call(2, request).await;
    assert_eq!(response.topics[0].partitions[0].low_watermark, 2);
    let starts_there = async |id| {
        let found = fetched(&mut cluster.connect(id), 12, fetch_from("t", 2)).await;
        found.log_start_offset == 2
    };
    eventually("the first starts there", async || starts_there(1).await).await;
    eventually("the third starts there", async || starts_there(3).await).await;
}

#[tokio::test]
async fn every_replica_describes_producers() {
    let cluster = Cluster::start().await;
    let mut leader = cluster.connect(2);
    create(&mut leader, &[2, 1], &[]).await;
    let both = |known: &Partition| known.isr.len() == 2;
    cluster.until("both are in sync", both).await;
    put(&mut leader, "t", idempotent(9, 2, 7)).await;
    let topic = TopicRequest::default()
        .with_name(text("t").into())
        .with_partition_indexes(vec![0]);
    let request = DescribeProducersRequest::default().with_topics(vec![topic]);
    let described = async |id| {
        let response = cluster.connect(id).call(0, request.clone()).await;
        let partition = &response.topics[0].partitions[0];
        let producers = partition.active_producers.iter();
        let ids: Vec<_> = producers.map(|producer| producer.producer_id.0).collect();
        (partition.error_code, ids)
    };
    for replica in [1, 2] {
        let knows = async || described(replica).await == (0, vec![9]);
        eventually("the replica knows the producer", knows).await;
    }
    let nowhere = (ErrorCode::NotLeaderOrFollower.code(), Vec::new());
    assert_eq!(described(3).await, nowhere);
}

#[tokio::test]
async fn a_partition_that_is_elsewhere_is_told_from_one_that_is_nowhere() {
    let cluster = Cluster::start().await;
    create(&mut cluster.connect(2), &[2, 3], &[]).await;
    cluster.until("it is known", |_| true).await;
    let codes = [
        (1, 0, ErrorCode::NotLeaderOrFollower),
        (3, 0, ErrorCode::NotLeaderOrFollower),
        (2, 0, ErrorCode::None),
        (1, 1, ErrorCode::UnknownTopicOrPartition),
        (2, 1, ErrorCode::UnknownTopicOrPartition),
    ];
    for (id, partition, code) in codes {
        let request = produce_to("t", partition, 1, batch(&["x"]));
        let answer = produced(&mut cluster.connect(id), 9, request).await;
        assert_eq!(answer.error_code, code.code(), "broker {id}, {partition}");
    }
    assert_eq!(cluster.image(1).brokers().len(), 3);
}

/// What a broker answers that is asked for partition 0 of `t` by a client that knows this
/// leader epoch: a fetch, a latest offset, and where epoch 0 ends.
async fn codes_of(client: &mut Client, current_epoch: i32) -> [i16; 3] {
    let mut fetch = fetch_from("t", 0);
    fetch.topics[0].partitions[0].current_leader_epoch = current_epoch;
    let fetch = fetched(client, 12, fetch).await;
    let mut latest = offsets_of("t", &[(0, -1)]);
    latest.topics[0].partitions[0].current_leader_epoch = current_epoch;
    let latest = client.call(7, latest).await;
    let end = end_of(client, current_epoch, 0).await;
    [
        fetch.error_code,
        latest.topics[0].partitions[0].error_code,
        end.error_code,
    ]
}

async fn end_of(client: &mut Client, current_epoch: i32, epoch: i32) -> EpochEndOffset {
    let end = OffsetForLeaderPartition::default()
        .with_current_leader_epoch(current_epoch)
        .with_leader_epoch(epoch);
    let end = OffsetForLeaderTopic::default()
        .with_topic(text("t").into())
        .with_partitions(vec![end]);
    let request = OffsetForLeaderEpochRequest::default().with_topics(vec![end]);
    let mut response = client.call(4, request).await;
    response.topics.remove(0).partitions.remove(0)
}

#[tokio::test]
async fn a_leader_epoch_is_looked_at_before_who_leads() {
    let mut cluster = Cluster::start().await;
    create(&mut cluster.connect(2), &[2, 3, 1], &[]).await;
    cluster.all_in_sync().await;
    cluster.stop(2).await;
    let led_by_3 = |known: &Partition| known.leader == Some(BrokerId(3));
    cluster.until("another leads", led_by_3).await;
    let epoch = cluster.image(1).topic(&TopicName::from("t")).map(|topic| {
        let partition = topic.partition(PartitionId(0));
        partition.map(|known| known.leader_epoch.0)
    });
    let epoch = epoch.flatten().expect("the partition is known");
    let all = |code: ErrorCode| [code.code(); 3];
    let not_leader = ErrorCode::NotLeaderOrFollower.code();
    let cases = [
        (3, epoch, all(ErrorCode::None)),
        (1, epoch, [0, not_leader, not_leader]),
        (1, -1, [0, not_leader, not_leader]),
        (3, epoch - 1, all(ErrorCode::FencedLeaderEpoch)),
        (1, epoch - 1, all(ErrorCode::FencedLeaderEpoch)),
        (3, epoch + 1, all(ErrorCode::UnknownLeaderEpoch)),
        (1, epoch + 1, all(ErrorCode::UnknownLeaderEpoch)),
    ];
    for (id, epoch, expected) in cases {
        // The image is published before the partitions have heard.
        let told = async || codes_of(&mut cluster.connect(id), epoch).await == expected;
        eventually(&format!("{id} in {epoch}: {expected:?}"), told).await;
    }
}

/// What broker 2 says of an offset and of a leader epoch of `t`.
async fn said_of(cluster: &Cluster, offset: i64, epoch: i32) -> (i16, (i16, i64)) {
    let mut client = cluster.connect(2);
    let fetch = fetched(&mut client, 12, fetch_from("t", offset)).await;
    let end = end_of(&mut client, -1, epoch).await;
    (fetch.error_code, (end.error_code, end.end_offset))
}

#[tokio::test]
async fn a_leader_that_may_lead_no_more_does_not_say_what_there_is_not() {
    let mut cluster = Cluster::start().await;
    let mut leader = cluster.connect(2);
    create(&mut leader, &[2, 1, 3], &[]).await;
    cluster.all_in_sync().await;
    put(&mut leader, "t", batch(&["a", "b"])).await;
    let out_of_range = ErrorCode::OffsetOutOfRange.code();
    assert_eq!(said_of(&cluster, 2, 0).await, (0, (0, 2)));
    assert_eq!(said_of(&cluster, 3, 1).await, (out_of_range, (0, -1)));
    // Neither controllers nor followers tell it whether it leads still.
    cluster.stop(3).await;
    cluster.stop(1).await;
    let not_leader = ErrorCode::NotLeaderOrFollower.code();
    let is_sent_away = async || said_of(&cluster, 3, 1).await == (not_leader, (not_leader, -1));
    eventually("another is to be asked", is_sent_away).await;
    assert_eq!(said_of(&cluster, 2, 0).await, (0, (0, 2)));
}

#[tokio::test]
async fn a_brokers_own_settings_are_changed_by_that_broker_alone() {
    let cluster = Cluster::start().await;
    for asked in 1..=3 {
        for named in 1..=3 {
            let code = match named == asked {
                true => ErrorCode::None,
                false => ErrorCode::InvalidRequest,
            };
            let answer = set_retention(&mut cluster.connect(asked), named).await;
            assert_eq!(answer, code.code(), "broker {asked} is asked for {named}");
        }
        let own = Resource::Broker(BrokerId(i32::try_from(asked).expect("it is small")));
        assert!(cluster.image(asked).overrides(&own).is_some());
    }
}

async fn set_retention(client: &mut Client, broker: usize) -> i16 {
    const BROKER: i8 = 4;
    let config = AlterableConfig::default()
        .with_name(text("log.retention.ms"))
        .with_value(Some(text("86400000")));
    let resource = AlterConfigsResource::default()
        .with_resource_type(BROKER)
        .with_resource_name(text(&broker.to_string()))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.call(1, request).await.responses[0].error_code
}
