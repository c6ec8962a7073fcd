//! OffsetFetch: v1-10.
//!
//! - v2: null topics mean all, and the answer has an error of its own. v3:
//!   throttle time. v5: leader epochs. v6: flexible encodings.
//! - v7: the client may refuse offsets that are not stable (KIP-447). Answers here
//!   always are: they wait for the log, and no transaction is open.
//! - v8: several groups at once. v9: member epochs, which the groups here do not
//!   have. v10: topics by id, in both directions.

use std::ops::RangeInclusive;

use futures::future::join_all;
use ottla_base::{ErrorCode, GroupId, LeaderEpoch, Offset, PartitionId, TopicId};
use ottla_controller::Image;
use ottla_coordinator::offsets::{FetchOffsets, FetchedOffset, Wanted, WantedOffset};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use ottla_protocol::{StrBytes, Uuid};

use super::{ask, group_id, text};
use crate::api::{Cx, Handler, Refusal, wire_topic};

/// The first version in which a group has an error of its own.
const GROUP_ERROR_SINCE: i16 = 2;

/// The first version that asks for several groups.
const BATCH_SINCE: i16 = 8;

/// The first version in which null means all topics.
const NULL_IS_ALL_SINCE: i16 = 2;

/// The first version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 10;

#[derive(Debug)]
pub(in crate::api) struct OffsetFetch;

impl Handler for OffsetFetch {
    type Request = OffsetFetchRequest;
    const SERVED: RangeInclusive<i16> = 1..=10;

    async fn handle(cx: Cx, request: OffsetFetchRequest) -> Result<OffsetFetchResponse, Refusal> {
        if cx.version < NULL_IS_ALL_SINCE && request.topics.is_none() {
            return Err(Refusal::Close);
        }
        let groups = groups(cx.version, request);
        let groups = join_all(groups.into_iter().map(|group| fetch(&cx, group))).await;
        Ok(OffsetFetchResponse::default().with_groups(groups))
    }

    fn refuse(_error: ErrorCode) -> OffsetFetchResponse {
        // Every refusal is a group's.
        OffsetFetchResponse::default()
    }
}

/// The request in the shape of the newest versions.
fn groups(version: i16, request: OffsetFetchRequest) -> Vec<OffsetFetchRequestGroup> {
    if version >= BATCH_SINCE {
        return request.groups;
    }
    let topics = request.topics.map(|topics| {
        let topics = topics.into_iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name)
                .with_partition_indexes(topic.partition_indexes)
        });
        topics.collect()
    });
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(request.group_id)
        .with_topics(topics);
    vec![group]
}

async fn fetch(cx: &Cx, asked: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let image = cx.broker.image();
    let by_id = cx.version >= TOPIC_IDS_SINCE;
    let group = group_id(&asked.group_id);
    let answer = OffsetFetchResponseGroup::default().with_group_id(asked.group_id);
    let topics = match &asked.topics {
        None => fetch_all(cx, &group).await.map(|fetched| {
            let topics = by_topic(fetched).into_iter();
            let with_id = topics.map(|topic| with_id(&image, topic));
            let can_be_said =
                |topic: &OffsetFetchResponseTopics| !by_id || !topic.topic_id.is_nil();
            with_id.filter(can_be_said).collect()
        }),
        Some(topics) => fetch_these(cx, &group, &image, topics).await,
    };
    match topics {
        Ok(topics) => answer.with_topics(topics),
        // Before groups had errors, each partition carries it.
        Err(code) if cx.version < GROUP_ERROR_SINCE => answer
            .with_error_code(code.code())
            .with_topics(asked.topics.into_iter().flatten().map(nothing).collect()),
        Err(code) => answer.with_error_code(code.code()),
    }
}

async fn fetch_all(cx: &Cx, group: &GroupId) -> Result<Vec<FetchedOffset>, ErrorCode> {
    ask_offsets(cx, group, Wanted::All).await
}

async fn fetch_these(
    cx: &Cx,
    group: &GroupId,
    image: &Image,
    topics: &[OffsetFetchRequestTopics],
) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
    let named: Vec<_> = topics
        .iter()
        .map(|topic| name_of(cx, image, topic))
        .collect();
    let wanted = topics.iter().zip(&named).filter_map(|(topic, name)| {
        let (name, id) = name.as_ref()?;
        Some(topic.partition_indexes.iter().map(|index| WantedOffset {
            topic: name.clone(),
            topic_id: *id,
            partition: PartitionId(*index),
        }))
    });
    let fetched = ask_offsets(cx, group, Wanted::These(wanted.flatten().collect())).await?;
    let mut fetched = fetched.into_iter();
    let mut answers = Vec::with_capacity(topics.len());
    let mut unknown = Vec::new();
    for (topic, name) in topics.iter().zip(named) {
        if name.is_none() {
            unknown.push(nothing_known(topic));
            continue;
        }
        let partitions = fetched.by_ref().take(topic.partition_indexes.len());
        let answer = OffsetFetchResponseTopics::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.map(partition_to_wire).collect());
        answers.push(answer);
    }
    // As in Kafka, what cannot be looked up comes after what can.
    answers.append(&mut unknown);
    Ok(answers)
}

async fn ask_offsets(
    cx: &Cx,
    group: &GroupId,
    wanted: Wanted,
) -> Result<Vec<FetchedOffset>, ErrorCode> {
    let fetch = |token| {
        Input::FetchOffsets(FetchOffsets {
            token,
            group: group.clone(),
            wanted,
        })
    };
    let Reply::FetchOffsets(fetched) = ask(cx, group, fetch).await? else {
        unreachable!("a fetch of offsets is answered as one");
    };
    Ok(fetched)
}

/// A topic's name and, where the client gave one, its id. `None` for an id that
/// is no topic's.
fn name_of(
    cx: &Cx,
    image: &Image,
    asked: &OffsetFetchRequestTopics,
) -> Option<(ottla_base::TopicName, TopicId)> {
    if cx.version < TOPIC_IDS_SINCE {
        return Some((asked.name.as_str().into(), TopicId::ZERO));
    }
    let topic = image.topic_by_id(TopicId(*asked.topic_id.as_bytes()))?;
    Some((topic.name.clone(), topic.id))
}

fn by_topic(fetched: Vec<FetchedOffset>) -> Vec<(TopicId, OffsetFetchResponseTopics)> {
    let mut topics = Vec::<(TopicId, OffsetFetchResponseTopics)>::new();
    for offset in fetched {
        let id = offset
            .committed
            .as_ref()
            .map_or(TopicId::ZERO, |committed| committed.topic_id);
        let name = wire_topic(&offset.topic);
        let partition = partition_to_wire(offset);
        match topics.last_mut() {
            Some((_, last)) if last.name == name => last.partitions.push(partition),
            Some(_) | None => {
                let topic = OffsetFetchResponseTopics::default()
                    .with_name(name)
                    .with_partitions(vec![partition]);
                topics.push((id, topic));
            }
        }
    }
    topics
}

/// Offsets that were committed without an id have that of the topic of today.
fn with_id(
    image: &Image,
    (committed, topic): (TopicId, OffsetFetchResponseTopics),
) -> OffsetFetchResponseTopics {
    let id = match committed {
        TopicId::ZERO => image
            .topic(&topic.name.as_str().into())
            .map_or(TopicId::ZERO, |known| known.id),
        committed => committed,
    };
    topic.with_topic_id(Uuid::from_bytes(id.0))
}

fn partition_to_wire(offset: FetchedOffset) -> OffsetFetchResponsePartitions {
    let partition = OffsetFetchResponsePartitions::default()
        .with_partition_index(offset.partition.0)
        .with_metadata(Some(StrBytes::default()));
    match offset.committed {
        Some(committed) => partition
            .with_committed_offset(committed.offset.0)
            .with_committed_leader_epoch(committed.leader_epoch.0)
            .with_metadata(Some(text(committed.metadata))),
        None => partition
            .with_committed_offset(Offset::NONE.0)
            .with_committed_leader_epoch(LeaderEpoch::NONE.0),
    }
}

/// A topic of which nothing is known.
fn nothing(topic: OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let partitions = topic.partition_indexes.into_iter().map(|index| {
        partition_to_wire(FetchedOffset {
            topic: "".into(),
            partition: PartitionId(index),
            committed: None,
        })
    });
    OffsetFetchResponseTopics::default()
        .with_name(topic.name)
        .with_topic_id(topic.topic_id)
        .with_partitions(partitions.collect())
}

fn nothing_known(topic: &OffsetFetchRequestTopics) -> OffsetFetchResponseTopics {
    let mut answer = nothing(topic.clone());
    for partition in &mut answer.partitions {
        partition.error_code = ErrorCode::UnknownTopicId.code();
    }
    answer
}
