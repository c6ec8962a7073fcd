//! ElectLeaders: v0-2.
//!
//! - v1: the kind of election, and an error of the whole request. v2: flexible.
//!
//! Where all partitions are asked for, those that have the leader they should have
//! are left out.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, PartitionId, TopicName};
use ottla_controller::{Elected, Election, Input, Reply};
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::{Outcome, ask_within};
use crate::api::{Cx, Handler, Refusal, wire_topic};

#[derive(Debug)]
pub(in crate::api) struct ElectLeaders;

impl Handler for ElectLeaders {
    type Request = ElectLeadersRequest;
    const SERVED: RangeInclusive<i16> = 0..=2;
    const BY_CONTROLLER: bool = true;

    async fn handle(cx: Cx, request: ElectLeadersRequest) -> Result<ElectLeadersResponse, Refusal> {
        let Some(kind) = election_from_wire(request.election_type) else {
            let topics = request.topic_partitions.unwrap_or_default();
            return Ok(not_asked(topics, ErrorCode::InvalidRequest));
        };
        let all = request.topic_partitions.is_none();
        let topics = request.topic_partitions.unwrap_or_default();
        let named = topics.iter().flat_map(|topic| {
            let name = TopicName::from(topic.topic.as_str());
            let partitions = topic.partitions.iter();
            partitions.map(move |partition| (name.clone(), PartitionId(*partition)))
        });
        let partitions = (!all).then(|| named.collect());
        let input = |token| Input::ElectLeaders {
            token,
            kind,
            partitions,
        };
        let response = ElectLeadersResponse::default();
        Ok(match ask_within(&cx, request.timeout_ms, input).await {
            Ok(Reply::ElectLeaders(elected)) => {
                let results = if all {
                    every_topic(&cx, &elected)
                } else {
                    as_asked(topics, &elected)
                };
                response.with_replica_election_results(results)
            }
            Ok(other) => unreachable!("the controller answered with {other:?}"),
            Err(code) => not_asked(topics, code),
        })
    }

    fn refuse(error: ErrorCode) -> ElectLeadersResponse {
        ElectLeadersResponse::default().with_error_code(error.code())
    }
}

/// Why the controller has decided nothing, of the whole and of each partition.
fn not_asked(topics: Vec<TopicPartitions>, code: ErrorCode) -> ElectLeadersResponse {
    let results = topics.into_iter().map(|topic| refused(topic, code));
    ElectLeadersResponse::default()
        .with_error_code(code.code())
        .with_replica_election_results(results.collect())
}

fn election_from_wire(kind: i8) -> Option<Election> {
    match kind {
        0 => Some(Election::Preferred),
        1 => Some(Election::Unclean),
        _ => None,
    }
}

/// Every topic is there, also without a partition that needed anything, as in Kafka.
fn every_topic(cx: &Cx, elected: &[Elected]) -> Vec<ReplicaElectionResult> {
    let image = cx.broker.image();
    let topics = image.topics().map(|topic| {
        let own = elected.iter().filter(|elected| elected.topic == topic.name);
        ReplicaElectionResult::default()
            .with_topic(wire_topic(&topic.name))
            .with_partition_result(own.map(to_wire).collect())
    });
    topics.collect()
}

/// The topics of the request in its order, and so are the results.
fn as_asked(topics: Vec<TopicPartitions>, elected: &[Elected]) -> Vec<ReplicaElectionResult> {
    let mut elected = elected.iter();
    let topics = topics.into_iter().map(|topic| {
        let own = elected.by_ref().take(topic.partitions.len());
        ReplicaElectionResult::default()
            .with_partition_result(own.map(to_wire).collect())
            .with_topic(topic.topic)
    });
    topics.collect()
}

fn refused(topic: TopicPartitions, code: ErrorCode) -> ReplicaElectionResult {
    let results = topic.partitions.into_iter();
    let results = results.map(|id| result(PartitionId(id), code.into()));
    ReplicaElectionResult::default()
        .with_partition_result(results.collect())
        .with_topic(topic.topic)
}

fn to_wire(elected: &Elected) -> PartitionResult {
    result(elected.partition, Outcome::of(&elected.result))
}

fn result(id: PartitionId, outcome: Outcome) -> PartitionResult {
    PartitionResult::default()
        .with_partition_id(id.0)
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
}
