//! CreatePartitions: v0-3.
//!
//! - v2: flexible. v3: quota errors, which never occur.

use std::ops::RangeInclusive;

use ottla_base::{BrokerId, ErrorCode, TopicName};
use ottla_controller::{Input, NewPartitions, Reply};
use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use super::{Outcome, ask_within, first_time, mode};
use crate::api::{Cx, Handler, Refusal, wire_topic};

#[derive(Debug)]
pub(in crate::api) struct CreatePartitions;

impl Handler for CreatePartitions {
    type Request = CreatePartitionsRequest;
    const SERVED: RangeInclusive<i16> = 0..=3;
    const BY_CONTROLLER: bool = true;

    async fn handle(
        cx: Cx,
        request: CreatePartitionsRequest,
    ) -> Result<CreatePartitionsResponse, Refusal> {
        let mode = mode(request.validate_only);
        let topics: Vec<_> = request.topics.into_iter().map(from_wire).collect();
        let names: Vec<_> = topics.iter().map(|topic| topic.topic.clone()).collect();
        let input = |token| Input::CreatePartitions {
            token,
            mode,
            topics,
        };
        let outcomes: Vec<_> = match ask_within(&cx, request.timeout_ms, input).await {
            Ok(Reply::CreatePartitions(results)) => results.iter().map(Outcome::of).collect(),
            Ok(other) => unreachable!("the controller answered with {other:?}"),
            Err(code) => vec![code.into(); names.len()],
        };
        let mut first_time = first_time();
        let results = names.iter().zip(outcomes);
        let results = results
            .filter(|(name, _)| first_time(name))
            .map(|(name, outcome)| to_wire(name, outcome));
        Ok(CreatePartitionsResponse::default().with_results(results.collect()))
    }

    fn refuse(_error: ErrorCode) -> CreatePartitionsResponse {
        // Every refusal is a topic's.
        CreatePartitionsResponse::default()
    }
}

fn from_wire(topic: CreatePartitionsTopic) -> NewPartitions {
    let brokers = |ids: Vec<_>| {
        ids.into_iter()
            .map(|id: ottla_protocol::messages::BrokerId| BrokerId(id.0))
    };
    let assignments = topic.assignments.map(|assignments| {
        let assignments = assignments.into_iter();
        assignments
            .map(|assignment| brokers(assignment.broker_ids).collect())
            .collect()
    });
    NewPartitions {
        topic: TopicName::from(topic.name.as_str()),
        count: topic.count,
        assignments,
    }
}

fn to_wire(name: &TopicName, outcome: Outcome) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(wire_topic(name))
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
}
