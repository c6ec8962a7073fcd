//! ElectLeaders: v0-2.
//!
//! - v1: the kind of election, and an error of the whole request. v2: flexible.
//!
//! No election is ever held. A partition that has the leader it should have is
//! told that it needs none, or left out where all partitions are asked for.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, PartitionId, TopicName};
use ottla_controller::{Partition, Topic};
use ottla_protocol::messages::elect_leaders_request::TopicPartitions;
use ottla_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use ottla_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

use super::Outcome;
use crate::api::{Cx, Handler, Refusal, wire_topic};

#[derive(Debug)]
pub(in crate::api) struct ElectLeaders;

impl Handler for ElectLeaders {
    type Request = ElectLeadersRequest;
    const SERVED: RangeInclusive<i16> = 0..=2;

    async fn handle(cx: Cx, request: ElectLeadersRequest) -> Result<ElectLeadersResponse, Refusal> {
        let image = cx.broker.image();
        let Some(election) = Election::from_wire(request.election_type) else {
            let topics = request.topic_partitions.unwrap_or_default().into_iter();
            let results = topics.map(|topic| answer(topic, |_, _| ErrorCode::InvalidRequest));
            return Ok(ElectLeadersResponse::default()
                .with_error_code(ErrorCode::InvalidRequest.code())
                .with_replica_election_results(results.collect()));
        };
        let results = match request.topic_partitions {
            None => image.topics().map(|topic| unled(topic, election)).collect(),
            Some(topics) => topics
                .into_iter()
                .map(|topic| {
                    answer(topic, |name, id| {
                        let partition = image.topic(name).and_then(|topic| topic.partition(id));
                        partition.map_or(ErrorCode::UnknownTopicOrPartition, |partition| {
                            election.refusal(partition)
                        })
                    })
                })
                .collect(),
        };
        Ok(ElectLeadersResponse::default().with_replica_election_results(results))
    }

    fn refuse(error: ErrorCode) -> ElectLeadersResponse {
        ElectLeadersResponse::default().with_error_code(error.code())
    }
}

#[derive(Clone, Copy, Debug)]
enum Election {
    /// The first of the replicas shall lead.
    Preferred,
    /// Any replica may lead where none does, whatever is lost.
    Unclean,
}

impl Election {
    fn from_wire(kind: i8) -> Option<Self> {
        match kind {
            0 => Some(Self::Preferred),
            1 => Some(Self::Unclean),
            _ => None,
        }
    }

    /// Why no leader is elected.
    fn refusal(self, partition: &Partition) -> ErrorCode {
        let leader = partition.leader;
        match self {
            Self::Preferred
                if leader.is_some() && leader.as_ref() == partition.replicas.first() =>
            {
                ErrorCode::ElectionNotNeeded
            }
            Self::Preferred => ErrorCode::PreferredLeaderNotAvailable,
            Self::Unclean if leader.is_some() => ErrorCode::ElectionNotNeeded,
            Self::Unclean => ErrorCode::EligibleLeadersNotAvailable,
        }
    }
}

/// The topic with those of its partitions that do need a leader. It is there
/// without any too, as in Kafka.
fn unled(topic: &Topic, election: Election) -> ReplicaElectionResult {
    let partitions = topic.partitions();
    let refusals = partitions.map(|(id, partition)| (id, election.refusal(partition)));
    let unled = refusals.filter(|(_, code)| *code != ErrorCode::ElectionNotNeeded);
    ReplicaElectionResult::default()
        .with_topic(wire_topic(&topic.name))
        .with_partition_result(unled.map(|(id, code)| to_wire(id, code)).collect())
}

fn answer(
    asked: TopicPartitions,
    code: impl Fn(&TopicName, PartitionId) -> ErrorCode,
) -> ReplicaElectionResult {
    let name = TopicName::from(asked.topic.as_str());
    let results = asked.partitions.into_iter().map(|index| {
        let id = PartitionId(index);
        to_wire(id, code(&name, id))
    });
    ReplicaElectionResult::default()
        .with_partition_result(results.collect())
        .with_topic(asked.topic)
}

fn to_wire(id: PartitionId, code: ErrorCode) -> PartitionResult {
    let outcome = Outcome::from(code);
    PartitionResult::default()
        .with_partition_id(id.0)
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
}
