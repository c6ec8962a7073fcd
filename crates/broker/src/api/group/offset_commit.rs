//! OffsetCommit: v2-10.
//!
//! - v2-4: the client may set how long its offsets are kept. v3: throttle time.
//! - v6: leader epochs. v7: static members (KIP-345). v8: flexible encodings.
//! - v9: a group that does not exist is GROUP_ID_NOT_FOUND, before it was
//!   ILLEGAL_GENERATION. v10: topics by id, in both directions.
//!
//! Member epochs of the newer group protocol are not served, as there are no such
//! groups.

use std::ops::RangeInclusive;

use ottla_base::{
    ErrorCode, Generation, GroupId, LeaderEpoch, MemberId, Offset, PartitionId, ReplyToken, TopicId,
};
use ottla_controller::{Image, Topic};
use ottla_coordinator::offsets::{Commit, CommitOffset, UnknownGroup};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::{ask, group_id, instance_id};
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

/// The first version in which an unknown group has an error of its own.
const UNKNOWN_GROUP_SINCE: i16 = 9;

/// The first version that names topics by id.
const TOPIC_IDS_SINCE: i16 = 10;

#[derive(Debug)]
pub(in crate::api) struct OffsetCommit;

impl Handler for OffsetCommit {
    type Request = OffsetCommitRequest;
    const SERVED: RangeInclusive<i16> = 2..=10;

    async fn handle(
        cx: Cx,
        mut request: OffsetCommitRequest,
    ) -> Result<OffsetCommitResponse, Refusal> {
        let image = cx.broker.image();
        let topics = std::mem::take(&mut request.topics);
        let (topics, offsets) = check_topics(&cx, &image, topics);
        if offsets.is_empty() {
            return Ok(to_wire(topics, &mut std::iter::empty()));
        }
        let group = group_id(&request.group_id);
        let count = offsets.len();
        let results = commit(&cx, &group, request, offsets).await;
        let results = results.unwrap_or_else(|code| vec![code; count]);
        Ok(to_wire(topics, &mut results.into_iter()))
    }

    fn refuse(_error: ErrorCode) -> OffsetCommitResponse {
        // Every refusal is a partition's.
        OffsetCommitResponse::default()
    }
}

/// A topic of the request, with what is known of its partitions before the
/// coordinator is asked: it decides about those that are right so far.
#[derive(Debug)]
struct Checked {
    answer: OffsetCommitResponseTopic,
    partitions: Vec<(i32, Result<(), ErrorCode>)>,
}

/// What can be committed of the request, in its order, if the coordinator agrees.
fn check_topics(
    cx: &Cx,
    image: &Image,
    topics: Vec<OffsetCommitRequestTopic>,
) -> (Vec<Checked>, Vec<CommitOffset>) {
    let mut offsets = Vec::new();
    let topics = topics.into_iter().map(|asked| {
        let known = find_topic(cx.version, image, &asked);
        let partitions = asked.partitions.into_iter().map(|partition| {
            let index = partition.partition_index;
            let offset = known.and_then(|topic| offset_of(topic, partition));
            (index, offset.map(|offset| offsets.push(offset)))
        });
        let partitions = partitions.collect();
        Checked {
            answer: OffsetCommitResponseTopic::default()
                .with_name(asked.name)
                .with_topic_id(asked.topic_id),
            partitions,
        }
    });
    (topics.collect(), offsets)
}

fn find_topic<'a>(
    version: i16,
    image: &'a Image,
    asked: &OffsetCommitRequestTopic,
) -> Result<&'a Topic, ErrorCode> {
    if version >= TOPIC_IDS_SINCE {
        let topic = image.topic_by_id(TopicId(*asked.topic_id.as_bytes()));
        return topic.map(AsRef::as_ref).ok_or(ErrorCode::UnknownTopicId);
    }
    let topic = image.topic(&asked.name.as_str().into());
    topic
        .map(AsRef::as_ref)
        .ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn offset_of(
    topic: &Topic,
    asked: OffsetCommitRequestPartition,
) -> Result<CommitOffset, ErrorCode> {
    let partition = PartitionId(asked.partition_index);
    if topic.partition(partition).is_none() {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    Ok(CommitOffset {
        topic: topic.name.clone(),
        topic_id: topic.id,
        partition,
        offset: Offset(asked.committed_offset),
        leader_epoch: LeaderEpoch(asked.committed_leader_epoch),
        metadata: asked.committed_metadata.unwrap_or_default().as_str().into(),
    })
}

/// How each offset went, or how all did.
async fn commit(
    cx: &Cx,
    group: &GroupId,
    request: OffsetCommitRequest,
    offsets: Vec<CommitOffset>,
) -> Result<Vec<ErrorCode>, ErrorCode> {
    let version = cx.version;
    let commit = |token| Input::Commit(from_wire(version, request, offsets, token));
    let Reply::Commit(result) = ask(cx, group, commit).await? else {
        unreachable!("a commit is answered as one");
    };
    let results = result.map_err(|error| error.code())?.into_iter();
    let code = |result: Result<(), _>| result.map_or_else(code_of, |()| ErrorCode::None);
    Ok(results.map(code).collect())
}

fn code_of(refusal: ottla_coordinator::offsets::OffsetRefusal) -> ErrorCode {
    refusal.code()
}

fn from_wire(
    version: i16,
    request: OffsetCommitRequest,
    offsets: Vec<CommitOffset>,
    token: ReplyToken,
) -> Commit {
    Commit {
        token,
        group: group_id(&request.group_id),
        member: Some(request.member_id)
            .filter(|member| !member.is_empty())
            .map(|member| MemberId::from(member.as_str())),
        instance: instance_id(request.group_instance_id),
        generation: Some(request.generation_id_or_member_epoch)
            .filter(|generation| *generation >= 0)
            .map(Generation),
        unknown_group: if version < UNKNOWN_GROUP_SINCE {
            UnknownGroup::IsIllegalGeneration
        } else {
            UnknownGroup::IsNotFound
        },
        retention_ms: Some(request.retention_time_ms).filter(|ms| *ms >= 0),
        offsets,
    }
}

/// `results` has one code for each partition that the coordinator decided about.
fn to_wire(
    topics: Vec<Checked>,
    results: &mut dyn Iterator<Item = ErrorCode>,
) -> OffsetCommitResponse {
    // A topic without partitions is left out, as in Kafka.
    let topics = topics
        .into_iter()
        .filter(|topic| !topic.partitions.is_empty());
    let topics = topics.map(|topic| {
        let partitions = topic.partitions.into_iter().map(|(index, checked)| {
            let code = match checked {
                Ok(()) => results.next().expect("one result per offset"),
                Err(code) => code,
            };
            OffsetCommitResponsePartition::default()
                .with_partition_index(index)
                .with_error_code(code.code())
        });
        topic.answer.with_partitions(partitions.collect())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}
