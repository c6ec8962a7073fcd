//! AlterPartitionReassignments: v0-1.
//!
//! - v1: whether the number of replicas may change (KIP-860). On one broker it
//!   cannot, so this is only repeated in the answer.
//!
//! Partitions are not moved: they may be assigned to where they are.

use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_base::{BrokerId, ErrorCode, PartitionId, TopicName};
use ottla_controller::{Image, Topic, assigned};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use ottla_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use super::Outcome;
use crate::api::error::KafkaError as _;
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct AlterPartitionReassignments;

impl Handler for AlterPartitionReassignments {
    type Request = AlterPartitionReassignmentsRequest;
    const SERVED: RangeInclusive<i16> = 0..=1;

    async fn handle(
        cx: Cx,
        request: AlterPartitionReassignmentsRequest,
    ) -> Result<AlterPartitionReassignmentsResponse, Refusal> {
        let image = cx.broker.image();
        // As in Kafka, where an answer about nothing is made elsewhere.
        let message = request.topics.is_empty().then(StrBytes::default);
        let topics = request.topics.into_iter();
        let responses = topics.map(|topic| answer(&image, topic));
        Ok(AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(request.allow_replication_factor_change)
            .with_error_message(message)
            .with_responses(responses.collect()))
    }

    fn refuse(error: ErrorCode) -> AlterPartitionReassignmentsResponse {
        AlterPartitionReassignmentsResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.text())))
    }
}

fn answer(image: &Image, asked: ReassignableTopic) -> ReassignableTopicResponse {
    let topic = image.topic(&TopicName::from(asked.name.as_str()));
    let partitions = asked.partitions.iter().map(|partition| {
        let outcome = reassign(image, topic.map(Arc::as_ref), partition);
        ReassignablePartitionResponse::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(outcome.code.code())
            .with_error_message(outcome.message)
    });
    ReassignableTopicResponse::default()
        .with_partitions(partitions.collect())
        .with_name(asked.name)
}

fn reassign(image: &Image, topic: Option<&Topic>, asked: &ReassignablePartition) -> Outcome {
    let id = PartitionId(asked.partition_index);
    let Some(partition) = topic.and_then(|topic| topic.partition(id)) else {
        return ErrorCode::UnknownTopicOrPartition.into();
    };
    let Some(replicas) = &asked.replicas else {
        return ErrorCode::NoReassignmentInProgress.into();
    };
    let replicas: Vec<_> = replicas.iter().map(|replica| BrokerId(replica.0)).collect();
    match assigned(image, id, &replicas) {
        Err(error) => Outcome::failed(error.code(), error.to_string()),
        Ok(assigned) if assigned.replicas == partition.replicas => Outcome::DONE,
        Ok(_elsewhere) => Outcome::failed(
            ErrorCode::InvalidReplicaAssignment,
            "partitions cannot be moved to another broker",
        ),
    }
}
