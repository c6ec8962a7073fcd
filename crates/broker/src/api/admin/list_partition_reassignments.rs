//! ListPartitionReassignments: v0.
//!
//! A topic or partition that does not exist is left out like every other that is not
//! being moved, as in Kafka.

use std::ops::RangeInclusive;

use ottla_base::{BrokerId, ErrorCode, PartitionId, TopicName};
use ottla_controller::{Partition, Topic};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use ottla_protocol::messages::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

use crate::api::{Cx, Handler, Refusal, wire_topic};

#[derive(Debug)]
pub(in crate::api) struct ListPartitionReassignments;

impl Handler for ListPartitionReassignments {
    type Request = ListPartitionReassignmentsRequest;
    const SERVED: RangeInclusive<i16> = 0..=0;
    const BY_CONTROLLER: bool = true;

    async fn handle(
        cx: Cx,
        request: ListPartitionReassignmentsRequest,
    ) -> Result<ListPartitionReassignmentsResponse, Refusal> {
        let image = cx.broker.image();
        let topics: Vec<_> = match request.topics {
            None => image
                .topics()
                .filter_map(|topic| to_wire(topic, topic.partitions()))
                .collect(),
            Some(asked) => asked
                .iter()
                .filter_map(|asked| {
                    let topic = image.topic(&TopicName::from(asked.name.as_str()))?;
                    let ids = asked.partition_indexes.iter().map(|id| PartitionId(*id));
                    let partitions = ids.filter_map(|id| Some((id, topic.partition(id)?)));
                    to_wire(topic, partitions)
                })
                .collect(),
        };
        Ok(ListPartitionReassignmentsResponse::default()
            .with_error_message(None)
            .with_topics(topics))
    }

    fn refuse(error: ErrorCode) -> ListPartitionReassignmentsResponse {
        ListPartitionReassignmentsResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.text())))
    }
}

/// None where nothing is being moved.
fn to_wire<'a>(
    topic: &Topic,
    partitions: impl Iterator<Item = (PartitionId, &'a Partition)>,
) -> Option<OngoingTopicReassignment> {
    let moving = partitions.filter(|(_, partition)| partition.is_reassigning());
    let brokers = |ids: &[BrokerId]| ids.iter().map(|id| id.0.into()).collect();
    let moving: Vec<_> = moving
        .map(|(id, partition)| {
            OngoingPartitionReassignment::default()
                .with_partition_index(id.0)
                .with_replicas(brokers(&partition.replicas))
                .with_adding_replicas(brokers(&partition.adding))
                .with_removing_replicas(brokers(&partition.removing))
        })
        .collect();
    (!moving.is_empty()).then(|| {
        OngoingTopicReassignment::default()
            .with_name(wire_topic(&topic.name))
            .with_partitions(moving)
    })
}
