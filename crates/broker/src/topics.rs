//! Topics that the broker itself creates: those that a client merely mentions,
//! and the internal ones.

use std::sync::Arc;

use ottla_base::{TopicId, TopicName};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::CreateTopicsRequest;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use tracing::{debug, info};
use uuid::Uuid;

use crate::broker::{Broker, Settings};
use crate::cluster;

/// The version of CreateTopics that the broker itself uses.
const CREATION_VERSION: i16 = 7;

/// How long the controller may take.
const CREATION_TIMEOUT_MS: i32 = 10_000;

/// Stands for the broker's default.
const DEFAULT: i32 = -1;

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

/// Creates the topics that are missing and returns when they can be used. As in
/// Kafka, the controller is asked as by a client.
pub(crate) async fn create(broker: &Arc<Broker>, names: Vec<TopicName>) {
    let settings = broker.settings();
    let brokers = broker.image().brokers().len();
    let topics = names.into_iter();
    let topics: Vec<_> = topics
        .map(|name| new_topic(&settings, brokers, &name))
        .collect();
    let request = CreateTopicsRequest::default()
        .with_topics(topics)
        .with_timeout_ms(CREATION_TIMEOUT_MS);
    match cluster::submit(broker, &request, CREATION_VERSION).await {
        Ok(response) => {
            for result in response.topics {
                let topic = result.name.as_str();
                match result.error_message {
                    None => info!(topic, "topic created automatically"),
                    Some(refusal) => {
                        debug!(
                            topic,
                            refusal = refusal.as_str(),
                            "topic not created automatically"
                        );
                    }
                }
            }
        }
        Err(code) => debug!(why = code.text(), "topics not created automatically"),
    }
}

fn new_topic(settings: &Settings, brokers: usize, name: &TopicName) -> CreatableTopic {
    let config = &settings.broker;
    let topic = CreatableTopic::default()
        .with_name(StrBytes::from_string(name.as_str().to_owned()).into())
        .with_num_partitions(DEFAULT)
        .with_replication_factor(-1);
    if name.as_str() != OFFSETS_TOPIC {
        return topic;
    }
    // Kafka's default of 3 suits a cluster; a single broker serves groups too.
    let brokers = i16::try_from(brokers).unwrap_or(i16::MAX);
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        (
            "segment.bytes",
            config.offsets_topic_segment_bytes.to_string(),
        ),
    ];
    let configs = configs.into_iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(key))
            .with_value(Some(StrBytes::from_string(value)))
    });
    topic
        .with_num_partitions(config.offsets_topic_num_partitions)
        .with_replication_factor(config.offsets_topic_replication_factor.min(brokers))
        .with_configs(configs.collect())
}
