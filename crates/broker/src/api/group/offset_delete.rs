//! OffsetDelete: v0.
//!
//! Offsets of topics that a member reads are kept: GROUP_SUBSCRIBED_TO_TOPIC.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, PartitionId, ReplyToken};
use ottla_coordinator::offsets::{DeleteOffsets, NamedPartition};
use ottla_coordinator::{Input, Reply};
use ottla_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use ottla_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use super::{ask, group_id};
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct OffsetDelete;

impl Handler for OffsetDelete {
    type Request = OffsetDeleteRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;

    async fn handle(cx: Cx, request: OffsetDeleteRequest) -> Result<OffsetDeleteResponse, Refusal> {
        let group = group_id(&request.group_id);
        let named = request.topics.iter().flat_map(partitions);
        let (known, unknown) = named.partition::<Vec<_>, _>(|named| is_known(&cx, named));
        let partitions = known.clone();
        let delete = |token: ReplyToken| {
            Input::DeleteOffsets(DeleteOffsets {
                token,
                group: group.clone(),
                partitions,
            })
        };
        let Reply::DeleteOffsets(result) = ask(&cx, &group, delete).await? else {
            unreachable!("a deletion of offsets is answered as one");
        };
        let results = result.map_err(|error| error.code())?;
        let codes = results
            .into_iter()
            .map(|result| result.map_or_else(|refusal| refusal.code(), |()| ErrorCode::None));
        let unknown = unknown
            .into_iter()
            .map(|named| (named, ErrorCode::UnknownTopicOrPartition));
        Ok(to_wire(known.into_iter().zip(codes).chain(unknown)))
    }

    fn refuse(error: ErrorCode) -> OffsetDeleteResponse {
        OffsetDeleteResponse::default().with_error_code(error.code())
    }
}

fn partitions(topic: &OffsetDeleteRequestTopic) -> impl Iterator<Item = NamedPartition> {
    topic.partitions.iter().map(|partition| NamedPartition {
        topic: topic.name.as_str().into(),
        partition: PartitionId(partition.partition_index),
    })
}

fn is_known(cx: &Cx, named: &NamedPartition) -> bool {
    let image = cx.broker.image();
    let topic = image.topic(&named.topic);
    topic.is_some_and(|topic| topic.partition(named.partition).is_some())
}

fn to_wire(results: impl Iterator<Item = (NamedPartition, ErrorCode)>) -> OffsetDeleteResponse {
    let mut topics = Vec::<OffsetDeleteResponseTopic>::new();
    for (named, code) in results {
        let partition = OffsetDeleteResponsePartition::default()
            .with_partition_index(named.partition.0)
            .with_error_code(code.code());
        let name = crate::api::wire_topic(&named.topic);
        match topics.iter_mut().find(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(
                OffsetDeleteResponseTopic::default()
                    .with_name(name)
                    .with_partitions(vec![partition]),
            ),
        }
    }
    OffsetDeleteResponse::default().with_topics(topics)
}
