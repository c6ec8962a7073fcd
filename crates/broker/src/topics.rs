//! Topics that the broker itself creates: those that a client merely mentions,
//! and the internal ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::{TopicId, TopicName};
use ottla_controller::{Input, Mode, NewTopic, Reply};
use tracing::{debug, info};
use uuid::Uuid;

use crate::broker::{Broker, Settings};

/// Where groups and their offsets are kept.
pub(crate) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The id of the metadata log, as Kafka has it.
pub(crate) const METADATA_TOPIC_ID: TopicId =
    TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

const INTERNAL: [&str; 3] = [OFFSETS_TOPIC, "__transaction_state", "__share_group_state"];

/// Whether the broker keeps its own state in a topic of this name.
pub(crate) fn is_internal(name: &TopicName) -> bool {
    INTERNAL.contains(&name.as_str())
}

/// A fresh topic id. Ids that print with a leading dash confuse command lines, so
/// there are none, as in Kafka.
pub(crate) fn fresh_topic_id() -> TopicId {
    loop {
        let id = TopicId(*Uuid::new_v4().as_bytes());
        if !id.to_string().starts_with('-') {
            return id;
        }
    }
}

/// Creates the topics that are missing, without anybody waiting for it.
pub(crate) fn create_in_background(broker: &Arc<Broker>, names: Vec<TopicName>) {
    let creator = broker.clone();
    broker.tasks.spawn("auto-create", async move {
        create(&creator, names).await;
    });
}

/// Creates the topics that are missing and returns when they can be used.
pub(crate) async fn create(broker: &Broker, names: Vec<TopicName>) {
    let settings = broker.settings();
    let brokers = broker.image().brokers().len();
    let topics = names.into_iter();
    let topics: Vec<_> = topics
        .map(|name| new_topic(&settings, brokers, name))
        .collect();
    let reply = broker.controller.ask(|token| Input::CreateTopics {
        token,
        mode: Mode::Apply,
        topics,
    });
    match reply.await {
        Ok(Reply::CreateTopics(results)) => {
            for result in results {
                match result {
                    Ok(topic) => info!(topic = %topic.name, "topic created automatically"),
                    Err(refusal) => debug!(%refusal, "topic not created automatically"),
                }
            }
        }
        Ok(other) => unreachable!("the controller answered with {other:?}"),
        Err(error) => debug!(%error, "topics not created automatically"),
    }
}

fn new_topic(settings: &Settings, brokers: usize, name: TopicName) -> NewTopic {
    let config = &settings.broker;
    let mut topic = NewTopic {
        id: fresh_topic_id(),
        partitions: None,
        replication_factor: None,
        assignments: Vec::new(),
        configs: BTreeMap::new(),
        name,
    };
    if topic.name.as_str() == OFFSETS_TOPIC {
        topic.partitions = Some(config.offsets_topic_num_partitions);
        // Kafka's default of 3 suits a cluster; a single broker serves groups too.
        let brokers = i16::try_from(brokers).unwrap_or(i16::MAX);
        topic.replication_factor = Some(config.offsets_topic_replication_factor.min(brokers));
        let segment_bytes = config.offsets_topic_segment_bytes.to_string();
        let configs = [
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", segment_bytes),
        ];
        let configs = configs.map(|(key, value)| (key.to_owned(), Some(value)));
        topic.configs = configs.into();
    }
    topic
}
