//! What a version cannot say is taken out of a response before it is encoded.
//!
//! The crate's encoder refuses a field that the version does not have, unless
//! the schema calls it ignorable. A handler fills in what it knows in the shape
//! of the newest version, and here is the one place that cuts it down.

use std::borrow::Cow;

use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
};
use kafka_protocol::messages::produce_response::LeaderIdAndEpoch;
use kafka_protocol::messages::{
    DescribeClusterResponse, DescribeGroupsResponse, DescribeQuorumResponse, ElectLeadersResponse,
    FindCoordinatorResponse, InitProducerIdResponse, JoinGroupResponse, LeaveGroupResponse,
    ListOffsetsResponse, MetadataResponse, OffsetFetchResponse, ProduceResponse,
};

/// What stands for operations that nobody asked about.
const NO_OPERATIONS: i32 = i32::MIN;

/// Every field that an older version lacks is ignorable.
pub(super) fn as_is<R: Clone>(response: &R, _version: i16) -> Cow<'_, R> {
    Cow::Borrowed(response)
}

/// Copies the response only where something must change.
fn mend<R: Clone>(response: &R, is_unfit: bool, change: impl FnOnce(&mut R)) -> Cow<'_, R> {
    if !is_unfit {
        return Cow::Borrowed(response);
    }
    let mut fitting = response.clone();
    change(&mut fitting);
    Cow::Owned(fitting)
}

/// Where the leader is came with version 10 (KIP-951).
pub(super) fn produce(response: &ProduceResponse, version: i16) -> Cow<'_, ProduceResponse> {
    mend(response, version < 10, |response| {
        response.node_endpoints.clear();
        for topic in &mut response.responses {
            for partition in &mut topic.partition_responses {
                partition.current_leader = LeaderIdAndEpoch::default();
            }
        }
    })
}

/// The leader epoch came with version 4.
pub(super) fn list_offsets(
    response: &ListOffsetsResponse,
    version: i16,
) -> Cow<'_, ListOffsetsResponse> {
    mend(response, version < 4, |response| {
        for topic in &mut response.topics {
            for partition in &mut topic.partitions {
                partition.leader_epoch = -1;
            }
        }
    })
}

/// Authorized operations came with version 8; those of the cluster went to
/// DescribeCluster after version 10. A topic always has a name before version
/// 12.
pub(super) fn metadata(response: &MetadataResponse, version: i16) -> Cow<'_, MetadataResponse> {
    let is_unfit = match version {
        8..=10 => response.topics.iter().any(|topic| topic.name.is_none()),
        11 => true,
        12.. => response.cluster_authorized_operations != NO_OPERATIONS,
        _ => true,
    };
    mend(response, is_unfit, |response| {
        if !(8..=10).contains(&version) {
            response.cluster_authorized_operations = NO_OPERATIONS;
        }
        for topic in &mut response.topics {
            if version < 8 {
                topic.topic_authorized_operations = NO_OPERATIONS;
            }
            if version < 12 {
                topic.name.get_or_insert_default();
            }
        }
    })
}

/// Several keys at once came with version 4 (KIP-699): before, the answer holds
/// one coordinator itself.
pub(super) fn find_coordinator(
    response: &FindCoordinatorResponse,
    version: i16,
) -> Cow<'_, FindCoordinatorResponse> {
    let has_single = response.error_code != 0
        || *response.node_id != 0
        || !response.host.is_empty()
        || response.port != 0;
    let is_unfit = if version < 4 {
        !response.coordinators.is_empty()
    } else {
        has_single
    };
    mend(response, is_unfit, |response| {
        let empty = FindCoordinatorResponse::default();
        let coordinators = std::mem::take(&mut response.coordinators);
        if version >= 4 {
            let throttle_time_ms = response.throttle_time_ms;
            *response = empty
                .with_throttle_time_ms(throttle_time_ms)
                .with_coordinators(coordinators);
        } else if let Some(one) = coordinators.into_iter().next() {
            response.error_code = one.error_code;
            response.error_message = one.error_message;
            response.node_id = one.node_id;
            response.host = one.host;
            response.port = one.port;
        }
    })
}

/// SkipAssignment came with version 9 (KIP-814), and a null protocol with 7.
pub(super) fn join_group(response: &JoinGroupResponse, version: i16) -> Cow<'_, JoinGroupResponse> {
    mend(response, version < 9, |response| {
        response.skip_assignment = false;
        if version < 7 {
            response.protocol_name.get_or_insert_default();
        }
    })
}

/// Members came with version 3 (KIP-345): before, the answer is that of the one
/// member.
pub(super) fn leave_group(
    response: &LeaveGroupResponse,
    version: i16,
) -> Cow<'_, LeaveGroupResponse> {
    mend(response, version < 3, |response| {
        let members = std::mem::take(&mut response.members);
        if response.error_code == 0 {
            let mut errors = members.into_iter().map(|member| member.error_code);
            response.error_code = errors.find(|error| *error != 0).unwrap_or(0);
        }
    })
}

/// Authorized operations came with version 3 (KIP-430), a group's error message
/// with 6 (KIP-1043).
pub(super) fn describe_groups(
    response: &DescribeGroupsResponse,
    version: i16,
) -> Cow<'_, DescribeGroupsResponse> {
    mend(response, version < 6, |response| {
        for group in &mut response.groups {
            group.error_message = None;
            if version < 3 {
                group.authorized_operations = NO_OPERATIONS;
            }
        }
    })
}

/// Endpoint types came with version 1 (KIP-919), fenced brokers with 2
/// (KIP-1073).
pub(super) fn describe_cluster(
    response: &DescribeClusterResponse,
    version: i16,
) -> Cow<'_, DescribeClusterResponse> {
    mend(response, version < 2, |response| {
        if version < 1 {
            response.endpoint_type = 1;
        }
        for broker in &mut response.brokers {
            broker.is_fenced = false;
        }
    })
}

/// An error of the whole request came with version 1 (KIP-460).
pub(super) fn elect_leaders(
    response: &ElectLeadersResponse,
    version: i16,
) -> Cow<'_, ElectLeadersResponse> {
    mend(response, version < 1, |response| response.error_code = 0)
}

/// Nodes, and which directory a replica is in, came with version 2 (KIP-853).
pub(super) fn describe_quorum(
    response: &DescribeQuorumResponse,
    version: i16,
) -> Cow<'_, DescribeQuorumResponse> {
    mend(response, version < 2, |response| {
        response.nodes.clear();
        let topics = response.topics.iter_mut();
        for partition in topics.flat_map(|topic| &mut topic.partitions) {
            let voters = partition.current_voters.iter_mut();
            for replica in voters.chain(&mut partition.observers) {
                replica.replica_directory_id = Default::default();
            }
        }
    })
}

/// A transaction that is under way is named from version 6 on (KIP-939), which
/// is not stable yet.
pub(super) fn init_producer_id(
    response: &InitProducerIdResponse,
    version: i16,
) -> Cow<'_, InitProducerIdResponse> {
    mend(response, version < 6, |response| {
        let none = InitProducerIdResponse::default();
        response.ongoing_txn_producer_id = none.ongoing_txn_producer_id;
        response.ongoing_txn_producer_epoch = none.ongoing_txn_producer_epoch;
    })
}

/// Several groups at once came with version 8 (KIP-709): before, the answer
/// holds the topics of one group itself, and before version 2 not even an error
/// of its own.
pub(super) fn offset_fetch(
    response: &OffsetFetchResponse,
    version: i16,
) -> Cow<'_, OffsetFetchResponse> {
    let is_unfit = if version < 8 {
        !response.groups.is_empty()
    } else {
        !response.topics.is_empty()
    };
    mend(response, is_unfit, |response| {
        let groups = std::mem::take(&mut response.groups);
        if version >= 8 {
            response.topics.clear();
            response.groups = groups;
        } else if let Some(group) = groups.into_iter().next() {
            response.error_code = group.error_code;
            response.topics = single_group(group, version);
        }
    })
}

fn single_group(group: OffsetFetchResponseGroup, version: i16) -> Vec<OffsetFetchResponseTopic> {
    let error_code = if version < 2 { group.error_code } else { 0 };
    let partition = |partition: OffsetFetchResponsePartitions| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_committed_leader_epoch(partition.committed_leader_epoch)
            .with_metadata(partition.metadata)
            .with_error_code(match partition.error_code {
                0 => error_code,
                own => own,
            })
    };
    let topics = group.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(partition);
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(partitions.collect())
    });
    topics.collect()
}
