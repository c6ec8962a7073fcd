//! DescribeTopicPartitions: v0 (KIP-966).
//!
//! Topics come by rising name, pages end within a topic too, and the cursor says
//! where the next one starts. Replicas are told of as in Metadata.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use ottla_base::{BrokerId, ErrorCode, PartitionId, TopicName};
use ottla_controller::{Image, Topic};
use ottla_protocol::Uuid;
use ottla_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use crate::api::replicas::Replicas;
use crate::api::{Cx, Handler, NO_OPERATIONS, Refusal, TOPIC_OPERATIONS, wire_topic};
use crate::topics::is_internal;

#[derive(Debug)]
pub(in crate::api) struct DescribeTopicPartitions;

impl Handler for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;

    async fn handle(
        cx: Cx,
        request: DescribeTopicPartitionsRequest,
    ) -> Result<DescribeTopicPartitionsResponse, Refusal> {
        let limit_max = cx.broker.settings().broker.max_request_partition_size_limit;
        let limit = request.response_partition_limit.min(limit_max);
        let room = usize::try_from(limit).unwrap_or(0).max(1);
        let names = names(&request);
        match Start::from_wire(&request, &names) {
            Ok(start) => Ok(describe(&cx, &names, start, room)),
            Err(code) => Ok(refused(&names, code)),
        }
    }

    fn refuse(_error: ErrorCode) -> DescribeTopicPartitionsResponse {
        // Every refusal is a topic's.
        DescribeTopicPartitionsResponse::default()
    }
}

/// The topics that are asked for; none for all.
fn names(request: &DescribeTopicPartitionsRequest) -> BTreeSet<TopicName> {
    let topics = request.topics.iter();
    topics
        .map(|topic| TopicName::from(topic.name.as_str()))
        .collect()
}

/// Where a page starts.
#[derive(Debug)]
struct Start {
    topic: TopicName,
    /// Within `topic`; later topics start at their first partition.
    partition: PartitionId,
}

impl Start {
    fn from_wire(
        request: &DescribeTopicPartitionsRequest,
        names: &BTreeSet<TopicName>,
    ) -> Result<Self, ErrorCode> {
        let Some(cursor) = &request.cursor else {
            return Ok(Self {
                topic: TopicName::from(""),
                partition: PartitionId(0),
            });
        };
        let start = Self {
            topic: TopicName::from(cursor.topic_name.as_str()),
            partition: PartitionId(cursor.partition_index),
        };
        let is_named = names.is_empty() || names.contains(&start.topic);
        if !is_named || start.partition.0 < 0 {
            return Err(ErrorCode::InvalidRequest);
        }
        Ok(start)
    }
}

/// One page, of `room` partitions at most.
fn describe(
    cx: &Cx,
    names: &BTreeSet<TopicName>,
    start: Start,
    mut room: usize,
) -> DescribeTopicPartitionsResponse {
    let image = cx.broker.image();
    let mut response = DescribeTopicPartitionsResponse::default();
    for (name, topic) in topics_from(&image, names, &start.topic) {
        if room == 0 {
            return response.with_next_cursor(Some(cursor(name, PartitionId(0))));
        }
        let Some(topic) = topic else {
            response.topics.push(unknown(name));
            continue;
        };
        let first = if *name == start.topic {
            start.partition
        } else {
            PartitionId(0)
        };
        let mut partitions = Replicas::of(cx, &image, topic).skip_while(|next| next.id < first);
        let page: Vec<_> = partitions
            .by_ref()
            .take(room)
            .map(|replicas| partition_to_wire(&replicas))
            .collect();
        room -= page.len();
        response.topics.push(topic_to_wire(topic, page));
        if let Some(next) = partitions.next() {
            return response.with_next_cursor(Some(cursor(name, next.id)));
        }
    }
    response
}

/// What was asked for from `first` on, by rising name.
fn topics_from<'a>(
    image: &'a Image,
    names: &'a BTreeSet<TopicName>,
    first: &'a TopicName,
) -> Box<dyn Iterator<Item = (&'a TopicName, Option<&'a Topic>)> + 'a> {
    if names.is_empty() {
        let topics = image.topics_from(first);
        return Box::new(topics.map(|topic| (&topic.name, Some(&**topic))));
    }
    let names = names.range::<TopicName, _>(first..);
    Box::new(names.map(|name| (name, image.topic(name).map(|topic| &**topic))))
}

fn refused(names: &BTreeSet<TopicName>, code: ErrorCode) -> DescribeTopicPartitionsResponse {
    let topics = names.iter().map(|name| failed(name, code));
    DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
}

fn unknown(name: &TopicName) -> DescribeTopicPartitionsResponseTopic {
    if name.is_legal() {
        // What a client may do with it does not depend on its being there.
        failed(name, ErrorCode::UnknownTopicOrPartition)
            .with_topic_authorized_operations(TOPIC_OPERATIONS)
    } else {
        failed(name, ErrorCode::InvalidTopic)
    }
}

fn failed(name: &TopicName, code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(code.code())
        .with_name(Some(wire_topic(name)))
        .with_is_internal(is_internal(name))
        .with_topic_authorized_operations(NO_OPERATIONS)
}

fn topic_to_wire(
    topic: &Topic,
    partitions: Vec<DescribeTopicPartitionsResponsePartition>,
) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(wire_topic(&topic.name)))
        .with_topic_id(Uuid::from_bytes(topic.id.0))
        .with_is_internal(topic.is_internal())
        .with_partitions(partitions)
        .with_topic_authorized_operations(TOPIC_OPERATIONS)
}

fn partition_to_wire(replicas: &Replicas<'_>) -> DescribeTopicPartitionsResponsePartition {
    let Replicas { id, partition, .. } = *replicas;
    let leader = replicas.leader();
    let code = match leader {
        Some(_) => ErrorCode::None,
        None => ErrorCode::LeaderNotAvailable,
    };
    let brokers = |ids: &[BrokerId]| ids.iter().map(|id| id.0.into()).collect();
    let offline = replicas.offline();
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(code.code())
        .with_partition_index(id.0)
        .with_leader_id(leader.map_or(-1, |leader| leader.0).into())
        .with_leader_epoch(partition.leader_epoch.0)
        .with_replica_nodes(brokers(&partition.replicas))
        .with_isr_nodes(brokers(&partition.isr))
        .with_offline_replicas(offline.map(|id| id.0.into()).collect())
        .with_eligible_leader_replicas(Some(brokers(&partition.elr)))
        .with_last_known_elr(Some(brokers(&partition.last_known_elr)))
}

fn cursor(topic: &TopicName, partition: PartitionId) -> Cursor {
    Cursor::default()
        .with_topic_name(wire_topic(topic))
        .with_partition_index(partition.0)
}
