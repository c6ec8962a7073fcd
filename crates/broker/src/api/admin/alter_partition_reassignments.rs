//! AlterPartitionReassignments: v0-1.
//!
//! - v1: whether the number of replicas may change (KIP-860).

use std::ops::RangeInclusive;

use ottla_base::{BrokerId, ErrorCode, PartitionId, TopicName};
use ottla_controller::{Input, Reassignment, ReplicationFactor, Reply};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::alter_partition_reassignments_request::ReassignableTopic;
use ottla_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use ottla_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
};

use super::{Outcome, ask_within};
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct AlterPartitionReassignments;

impl Handler for AlterPartitionReassignments {
    type Request = AlterPartitionReassignmentsRequest;
    const SERVED: RangeInclusive<i16> = 0..=1;
    const BY_CONTROLLER: bool = true;

    async fn handle(
        cx: Cx,
        request: AlterPartitionReassignmentsRequest,
    ) -> Result<AlterPartitionReassignmentsResponse, Refusal> {
        let factor = match request.allow_replication_factor_change {
            true => ReplicationFactor::Free,
            false => ReplicationFactor::Kept,
        };
        let items: Vec<_> = request.topics.iter().flat_map(from_wire).collect();
        let count = items.len();
        let input = |token| Input::Reassign {
            token,
            factor,
            items,
        };
        let (whole, outcomes): (_, Vec<_>) = match ask_within(&cx, request.timeout_ms, input).await
        {
            Ok(Reply::Reassign(results)) => {
                (ErrorCode::None, results.iter().map(Outcome::of).collect())
            }
            Ok(other) => unreachable!("the controller answered with {other:?}"),
            Err(code) => (code, vec![code.into(); count]),
        };
        let mut outcomes = outcomes.into_iter();
        let message = if whole == ErrorCode::None {
            // As in Kafka, where an answer about nothing is made elsewhere.
            request.topics.is_empty().then(StrBytes::default)
        } else {
            Some(StrBytes::from_static_str(whole.text()))
        };
        let topics = request.topics.into_iter();
        let responses = topics.map(|topic| to_wire(topic, &mut outcomes));
        Ok(AlterPartitionReassignmentsResponse::default()
            .with_allow_replication_factor_change(request.allow_replication_factor_change)
            .with_error_code(whole.code())
            .with_error_message(message)
            .with_responses(responses.collect()))
    }

    fn refuse(error: ErrorCode) -> AlterPartitionReassignmentsResponse {
        AlterPartitionReassignmentsResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.text())))
    }
}

fn from_wire(topic: &ReassignableTopic) -> impl Iterator<Item = Reassignment> {
    let name = TopicName::from(topic.name.as_str());
    topic.partitions.iter().map(move |partition| Reassignment {
        topic: name.clone(),
        partition: PartitionId(partition.partition_index),
        replicas: partition.replicas.as_ref().map(|replicas| {
            let replicas = replicas.iter();
            replicas.map(|replica| BrokerId(replica.0)).collect()
        }),
    })
}

/// The topic with the next of the outcomes, one for each of its partitions.
fn to_wire(
    topic: ReassignableTopic,
    outcomes: &mut impl Iterator<Item = Outcome>,
) -> ReassignableTopicResponse {
    let partitions = topic.partitions.iter().zip(outcomes);
    let partitions = partitions.map(|(partition, outcome)| {
        ReassignablePartitionResponse::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(outcome.code.code())
            .with_error_message(outcome.message)
    });
    ReassignableTopicResponse::default()
        .with_partitions(partitions.collect())
        .with_name(topic.name)
}
