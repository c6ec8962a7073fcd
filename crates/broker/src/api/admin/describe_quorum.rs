//! DescribeQuorum: v0-2.
//!
//! - v1: when a replica fetched and was caught up (KIP-836).
//! - v2: messages beside the codes, the directories of replicas, and how to
//!   reach the nodes (KIP-853).
//!
//! The quorum is this node: it has no listener for controllers, and its
//! directory has no id.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, Offset};
use ottla_controller::METADATA_TOPIC;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_quorum_request::TopicData as Asked;
use ottla_protocol::messages::describe_quorum_response::{
    Node, PartitionData, ReplicaState, TopicData,
};
use ottla_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use super::Outcome;
use crate::api::{Cx, Handler, Refusal, not_leader_code};
use crate::partitions::is_leader;

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
        let view = cx.broker.controller.cell().fresh_view();
        if !is_leader(&view) {
            let partition = failed(0, not_leader_code(&view));
            return Ok(of_metadata(partition));
        }
        let own = cx.broker.id.0.into();
        let partition = PartitionData::default()
            .with_error_message(Some(StrBytes::default()))
            .with_leader_id(own)
            .with_leader_epoch(view.leader_epoch.0)
            .with_high_watermark(view.high_watermark.0)
            .with_current_voters(vec![leader(&cx, view.end)]);
        let node = Node::default().with_node_id(own);
        Ok(of_metadata(partition).with_nodes(vec![node]))
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

/// The state of the voter that leads: it is caught up with itself at any time.
fn leader(cx: &Cx, end: Offset) -> ReplicaState {
    let now = cx.broker.clock.now().0;
    ReplicaState::default()
        .with_replica_id(cx.broker.id.0.into())
        .with_log_end_offset(end.0)
        .with_last_fetch_timestamp(now)
        .with_last_caught_up_timestamp(now)
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
