//! What a broker has answered is there after a loss of power: every kind of change,
//! on a store that loses whatever it was not told to flush.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use ottla_protocol::messages::{
    CreatePartitionsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, MetadataRequest, OffsetCommitRequest,
    OffsetFetchRequest,
};
use ottla_store::{Durability, LogStore, memory};

use crate::harness::{Client, TestBroker};
use crate::requests::{batch, listed, produce_to, produced, put, text};

/// How often everything that runs is given a turn before the store gets one: an
/// answer that does not wait for the store has left by then.
const TURNS: u32 = 100;
/// More turns than any of the cases needs.
const TURNS_MAX: u32 = 1_000_000;

const EARLIEST: i64 = -2;
const LATEST: i64 = -1;

/// A store that flushes nothing by itself within a test.
const PAGE_CACHE: Durability = Durability::PageCache {
    flush_interval: Duration::from_secs(3_600),
};

/// Something that a client changes and sees.
#[derive(Clone, Copy, Debug)]
enum Case {
    Produced { acks: i16 },
    RecordsDeleted,
    TopicCreated,
    TopicDeleted,
    PartitionsAdded,
    SettingChanged,
    OffsetCommitted,
}

const CASES: [Case; 8] = [
    Case::Produced { acks: 1 },
    Case::Produced { acks: -1 },
    Case::RecordsDeleted,
    Case::TopicCreated,
    Case::TopicDeleted,
    Case::PartitionsAdded,
    Case::SettingChanged,
    Case::OffsetCommitted,
];

#[test]
fn what_was_answered_survives_a_loss_of_power() {
    for case in CASES {
        let store = Store::open(Durability::Fsync);
        store.life(async |client| {
            prepare(case, client).await;
            put(client, "t", batch(&["a", "b"])).await;
        });
        let before = store.life(async |client| see(case, client).await);
        store.life(async |client| change(case, client).await);
        let after = store.life(async |client| see(case, client).await);
        assert_eq!(before, case.before(), "{case:?}");
        assert_eq!(after, case.after(), "{case:?}");
    }
}

/// What is only in the page cache does not, so that the test above sees a
/// difference; what the cluster agreed on does even so, as with Kafka.
#[test]
fn the_page_cache_does_not_survive_a_loss_of_power() {
    for case in CASES {
        let store = Store::open(PAGE_CACHE);
        store.life(async |client| prepare(case, client).await);
        let seen = store.life(async |client| {
            put(client, "t", batch(&["a", "b"])).await;
            change(case, client).await;
            see(case, client).await
        });
        assert_eq!(seen, case.after(), "{case:?}");
        let left = store.life(async |client| see(case, client).await);
        let left = left.as_deref();
        match case {
            Case::Produced { .. } => assert_eq!(left, Some("0")),
            Case::RecordsDeleted => assert_eq!(left, Some("0")),
            Case::OffsetCommitted => assert_eq!(left, Some("-1")),
            Case::TopicCreated
            | Case::TopicDeleted
            | Case::PartitionsAdded
            | Case::SettingChanged => assert_eq!(left, case.after().as_deref(), "{case:?}"),
        }
    }
}

/// A topic may ask for more than the policy of the broker.
#[test]
fn a_topic_is_flushed_by_its_own_settings() {
    for (settings, records, left) in [
        (&[][..], 7, 0),
        (&[("flush.messages", "1")], 1, 1),
        (&[("flush.messages", "3")], 2, 0),
        (&[("flush.messages", "3")], 3, 3),
        (&[("flush.messages", "3")], 5, 3),
        (&[("flush.messages", "3")], 6, 6),
        (&[("flush.ms", "1000")], 1, 1),
        (&[("flush.ms", "0")], 1, 1),
    ] {
        let store = Store::open(PAGE_CACHE);
        store.life(async |client| {
            client.create_topic_with("t", settings).await;
            for _ in 0..records {
                put(client, "t", batch(&["a"])).await;
            }
            // What was asked for beside the appends is carried out too.
            for _ in 0..4 * TURNS {
                tokio::task::yield_now().await;
            }
        });
        let end = store.life(async |client| offset(client, LATEST).await);
        assert_eq!(end, left.to_string(), "{records} with {settings:?}");
    }
}

#[test]
fn no_producer_id_is_given_twice_though_power_is_lost() {
    let store = Store::open(Durability::Fsync);
    let mut given = Vec::new();
    for _ in 0..3 {
        given.push(store.life(async |client| {
            let request = InitProducerIdRequest::default().with_transactional_id(None);
            let response = client.call(4, request).await;
            assert_eq!(response.error_code, 0);
            response.producer_id.0
        }));
    }
    assert!(given.is_sorted_by(|a, b| a < b), "{given:?}");
}

/// A disk whose every operation waits until it is told to go on.
struct Store(Arc<memory::MemoryStore>);

impl Store {
    fn open(durability: Durability) -> Self {
        Self(Arc::new(memory::open(memory::Options {
            durability,
            stepping: memory::Stepping::Manual,
        })))
    }

    /// A broker from its start to the moment at which `work` has its last answer,
    /// where power is lost.
    fn life<T>(&self, work: impl AsyncFnOnce(&mut Client) -> T) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().expect("a runtime");
        let result = runtime.block_on(self.with_power(async {
            let store: Arc<dyn LogStore> = self.0.clone();
            let broker = TestBroker::with_store(store, &[]).await;
            let mut client = broker.connect().await;
            work(&mut client).await
        }));
        self.0.lose_unflushed();
        result
    }

    async fn with_power<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        for turn in 1..TURNS_MAX {
            tokio::select! {
                biased;
                result = &mut work => return result,
                () = tokio::task::yield_now() => (),
            }
            if turn.is_multiple_of(TURNS) {
                self.0.step(1);
            }
        }
        panic!("the broker does not get on");
    }
}

impl Case {
    fn before(self) -> Option<String> {
        let seen = match self {
            Self::Produced { .. } => "2",
            Self::RecordsDeleted => "0",
            Self::TopicCreated => return None,
            Self::TopicDeleted | Self::PartitionsAdded => "1 partitions",
            Self::SettingChanged => "accepted",
            Self::OffsetCommitted => "-1",
        };
        Some(seen.to_owned())
    }

    fn after(self) -> Option<String> {
        let seen = match self {
            Self::Produced { .. } => "3",
            Self::RecordsDeleted => "1",
            Self::TopicCreated => "1 partitions",
            Self::TopicDeleted => return None,
            Self::PartitionsAdded => "4 partitions",
            Self::SettingChanged => "refused",
            Self::OffsetCommitted => "2",
        };
        Some(seen.to_owned())
    }
}

/// What the cluster has to know for a case.
async fn prepare(case: Case, client: &mut Client) {
    client.create_topic("t", 1).await;
    if matches!(case, Case::OffsetCommitted) {
        client.find_coordinator("g").await;
    }
    if matches!(case, Case::TopicDeleted) {
        client.create_topic("u", 1).await;
    }
}

async fn change(case: Case, client: &mut Client) {
    const TIMEOUT_MS: i32 = 600_000;
    match case {
        Case::Produced { acks } => {
            let request = produce_to("t", 0, acks, batch(&["c"])).with_timeout_ms(TIMEOUT_MS);
            assert_eq!(produced(client, 9, request).await.error_code, 0);
        }
        Case::RecordsDeleted => {
            let partition = DeleteRecordsPartition::default().with_offset(1);
            let topic = DeleteRecordsTopic::default()
                .with_name(text("t").into())
                .with_partitions(vec![partition]);
            let request = DeleteRecordsRequest::default()
                .with_timeout_ms(TIMEOUT_MS)
                .with_topics(vec![topic]);
            let response = client.call(2, request).await;
            assert_eq!(response.topics[0].partitions[0].low_watermark, 1);
        }
        Case::TopicCreated => client.create_topic("u", 1).await,
        Case::TopicDeleted => {
            let topic = DeleteTopicState::default().with_name(Some(text("u").into()));
            let request = DeleteTopicsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(TIMEOUT_MS);
            let response = client.call(6, request).await;
            assert_eq!(response.responses[0].error_code, 0);
        }
        Case::PartitionsAdded => {
            let topic = CreatePartitionsTopic::default()
                .with_name(text("t").into())
                .with_count(4)
                .with_assignments(None);
            let request = CreatePartitionsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(TIMEOUT_MS);
            let response = client.call(3, request).await;
            assert_eq!(response.results[0].error_code, 0);
        }
        Case::SettingChanged => {
            let small = AlterableConfig::default()
                .with_name(text("max.message.bytes"))
                .with_value(Some(text("1")));
            let topic = AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text("t"))
                .with_configs(vec![small]);
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![topic]);
            let response = client.call(1, request).await;
            assert_eq!(response.responses[0].error_code, 0);
        }
        Case::OffsetCommitted => commit(client, 2).await,
    }
}

async fn see(case: Case, client: &mut Client) -> Option<String> {
    match case {
        Case::Produced { .. } => Some(offset(client, LATEST).await),
        Case::RecordsDeleted => Some(offset(client, EARLIEST).await),
        Case::TopicCreated | Case::TopicDeleted => known(client, "u").await,
        Case::PartitionsAdded => known(client, "t").await,
        Case::SettingChanged => {
            let request = produce_to("t", 0, -1, batch(&["too large for a byte"]));
            let refused = produced(client, 9, request).await.error_code != 0;
            Some(if refused { "refused" } else { "accepted" }.to_owned())
        }
        Case::OffsetCommitted => Some(committed(client).await),
    }
}

async fn offset(client: &mut Client, timestamp: i64) -> String {
    listed(client, 7, "t", timestamp).await.offset.to_string()
}

/// How many partitions a topic has, if it is there.
async fn known(client: &mut Client, name: &str) -> Option<String> {
    let topic = MetadataRequestTopic::default().with_name(Some(text(name).into()));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    let topic = client.call(9, request).await.topics.remove(0);
    (topic.error_code == 0).then(|| format!("{} partitions", topic.partitions.len()))
}

async fn commit(client: &mut Client, offset: i64) {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(text("t").into())
        .with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(text("g").into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let response = client.call(8, request).await;
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
}

async fn committed(client: &mut Client) -> String {
    let topic = OffsetFetchRequestTopic::default()
        .with_name(text("t").into())
        .with_partition_indexes(vec![0]);
    let request = OffsetFetchRequest::default()
        .with_group_id(text("g").into())
        .with_topics(Some(vec![topic]));
    loop {
        let response = client.call(7, request.clone()).await;
        // The coordinator may still be reading its log.
        if response.error_code == 0 {
            return response.topics[0].partitions[0]
                .committed_offset
                .to_string();
        }
    }
}
