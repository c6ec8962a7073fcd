//! DescribeQuorum: v0-2.
//!
//! - v1: when a replica fetched and was caught up (KIP-836).
//! - v2: messages beside the codes, the directories of replicas, and how to
//!   reach the nodes (KIP-853).
//!
//! The directories of nodes have no ids, and a node that is alone has no listener for
//! controllers. A voter does not fetch: it counts as fetching when it takes what the
//! leader sends.

use std::ops::RangeInclusive;
use std::time::Duration;

use ottla_base::{BrokerId, ErrorCode, Offset};
use ottla_controller::METADATA_TOPIC;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_quorum_request::TopicData as Asked;
use ottla_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use ottla_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};
use ottla_quorum::VoterStatus;

use super::Outcome;
use crate::api::{Cx, Handler, Refusal};

#[derive(Debug)]
pub(in crate::api) struct DescribeQuorum;

impl Handler for DescribeQuorum {
    type Request = DescribeQuorumRequest;
    const SERVED: RangeInclusive<i16> = 0..=2;
    const BY_CONTROLLER: bool = true;

    async fn handle(
        cx: Cx,
        request: DescribeQuorumRequest,
    ) -> Result<DescribeQuorumResponse, Refusal> {
        if !is_of_metadata(&request.topics) {
            return Ok(unknown(request.topics));
        }
        let Some(voter) = &cx.broker.voter else {
            return Ok(of_metadata(failed(0, ErrorCode::NotLeaderOrFollower)));
        };
        let status = voter.status();
        if status.leader != Some(cx.broker.id) {
            return Ok(of_metadata(failed(0, ErrorCode::NotLeaderOrFollower)));
        }
        let voters = status.voters.iter().map(|voter| state(&cx, voter));
        let partition = PartitionData::default()
            .with_error_message(Some(StrBytes::default()))
            .with_leader_id(cx.broker.id.0.into())
            .with_leader_epoch(status.epoch)
            .with_high_watermark(status.high_watermark.0)
            .with_current_voters(voters.collect());
        let nodes = status.voters.iter().map(|voter| node(&cx, voter.id));
        Ok(of_metadata(partition).with_nodes(nodes.collect()))
    }

    fn refuse(error: ErrorCode) -> DescribeQuorumResponse {
        DescribeQuorumResponse::default()
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.text())))
    }
}

/// Whether the one partition that has a quorum is asked for, and nothing else.
fn is_of_metadata(topics: &[Asked]) -> bool {
    let [topic] = topics else { return false };
    let [partition] = topic.partitions.as_slice() else {
        return false;
    };
    topic.topic_name.as_str() == METADATA_TOPIC && partition.partition_index == 0
}

/// What one voter has of the log.
fn state(cx: &Cx, voter: &VoterStatus) -> ReplicaState {
    let now = cx.broker.clock.now();
    let at = |ago: Option<Duration>| match ago {
        _ if voter.id == cx.broker.id => now.0,
        Some(ago) => now.plus_ms(-i64::try_from(ago.as_millis()).unwrap_or(0)).0,
        None => -1,
    };
    ReplicaState::default()
        .with_replica_id(voter.id.0.into())
        .with_log_end_offset(voter.end.unwrap_or(Offset::NONE).0)
        .with_last_fetch_timestamp(at(voter.took))
        .with_last_caught_up_timestamp(at(voter.caught_up))
}

/// How a voter is reached, as the settings say; nothing for one that is alone.
fn node(cx: &Cx, id: BrokerId) -> Node {
    let listener = cx.broker.controller.voter(id).map(|address| {
        Listener::default()
            .with_name(StrBytes::from_string(cx.broker.controller_listener.clone()))
            .with_host(StrBytes::from_string(address.host.clone()))
            .with_port(address.port)
    });
    Node::default()
        .with_node_id(id.0.into())
        .with_listeners(listener.into_iter().collect())
}

fn of_metadata(partition: PartitionData) -> DescribeQuorumResponse {
    let topic = TopicData::default()
        .with_topic_name(StrBytes::from_static_str(METADATA_TOPIC).into())
        .with_partitions(vec![partition]);
    DescribeQuorumResponse::default()
        .with_error_message(Some(StrBytes::default()))
        .with_topics(vec![topic])
}

fn unknown(topics: Vec<Asked>) -> DescribeQuorumResponse {
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            failed(
                partition.partition_index,
                ErrorCode::UnknownTopicOrPartition,
            )
        });
        TopicData::default()
            .with_partitions(partitions.collect())
            .with_topic_name(topic.topic_name)
    });
    DescribeQuorumResponse::default()
        .with_error_message(Some(StrBytes::default()))
        .with_topics(topics.collect())
}

fn failed(partition: i32, code: ErrorCode) -> PartitionData {
    let outcome = Outcome::from(code);
    PartitionData::default()
        .with_partition_index(partition)
        .with_error_code(outcome.code.code())
        .with_error_message(outcome.message)
}
