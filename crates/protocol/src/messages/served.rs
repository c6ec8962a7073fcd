//! The list of the APIs that we serve with the messages of `kafka-protocol`.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::{Codec, WireClient, WireRequest, fit};
use crate::{ApiKey, WireError};

/// One row per API: what it is called, which versions we decode, and how a
/// response is cut down to what a version can say. Another API of the crate is
/// another row, and its golden bodies another row in `tests/golden/messages.py`.
macro_rules! served {
    ($(
        $key:ident $versions:expr, $fit:path:
        $request_module:ident::$request:ident -> $response_module:ident::$response:ident;
    )*) => {
        /// The codecs of this list.
        pub(super) const SERVED: &[Codec] = &[$( Codec::of::<$request>(), )*];

        $(
            pub use kafka_protocol::messages::{
                $request, $request_module, $response, $response_module,
            };

            impl WireRequest for $request {
                const KEY: ApiKey = ApiKey::$key;
                const VERSIONS: RangeInclusive<i16> = $versions;
                type Response = $response;

                fn decode(body: &mut Bytes, version: i16) -> Result<Self, WireError> {
                    check::<Self>(version)?;
                    <Self as Decodable>::decode(body, layout::<Self>(version))
                        .map_err(malformed::<Self>)
                }

                fn encode(
                    response: &$response,
                    version: i16,
                    out: &mut BytesMut,
                ) -> Result<(), WireError> {
                    check::<Self>(version)?;
                    let response: Cow<'_, $response> = $fit(response, version);
                    Encodable::encode(response.as_ref(), out, layout::<Self>(version))
                        .map_err(malformed::<Self>)
                }
            }

            impl WireClient for $request {
                fn encode_request(
                    &self,
                    version: i16,
                    out: &mut BytesMut,
                ) -> Result<(), WireError> {
                    check::<Self>(version)?;
                    Encodable::encode(self, out, layout::<Self>(version))
                        .map_err(malformed::<Self>)
                }

                fn decode_response(
                    body: &mut Bytes,
                    version: i16,
                ) -> Result<$response, WireError> {
                    check::<Self>(version)?;
                    <$response as Decodable>::decode(body, layout::<Self>(version))
                        .map_err(malformed::<Self>)
                }
            }
        )*
    };
}

served! {
    Produce 3..=13, fit::produce: produce_request::ProduceRequest -> produce_response::ProduceResponse;
    ListOffsets 1..=11, fit::list_offsets: list_offsets_request::ListOffsetsRequest -> list_offsets_response::ListOffsetsResponse;
    Metadata 0..=13, fit::metadata: metadata_request::MetadataRequest -> metadata_response::MetadataResponse;
    FindCoordinator 0..=6, fit::find_coordinator: find_coordinator_request::FindCoordinatorRequest -> find_coordinator_response::FindCoordinatorResponse;
    JoinGroup 0..=9, fit::join_group: join_group_request::JoinGroupRequest -> join_group_response::JoinGroupResponse;
    Heartbeat 0..=4, fit::as_is: heartbeat_request::HeartbeatRequest -> heartbeat_response::HeartbeatResponse;
    LeaveGroup 0..=5, fit::leave_group: leave_group_request::LeaveGroupRequest -> leave_group_response::LeaveGroupResponse;
    SyncGroup 0..=5, fit::as_is: sync_group_request::SyncGroupRequest -> sync_group_response::SyncGroupResponse;
    DescribeGroups 0..=6, fit::describe_groups: describe_groups_request::DescribeGroupsRequest -> describe_groups_response::DescribeGroupsResponse;
    ListGroups 0..=5, fit::as_is: list_groups_request::ListGroupsRequest -> list_groups_response::ListGroupsResponse;
    SaslHandshake 0..=1, fit::as_is: sasl_handshake_request::SaslHandshakeRequest -> sasl_handshake_response::SaslHandshakeResponse;
    ApiVersions 0..=4, fit::as_is: api_versions_request::ApiVersionsRequest -> api_versions_response::ApiVersionsResponse;
    CreateTopics 2..=7, fit::as_is: create_topics_request::CreateTopicsRequest -> create_topics_response::CreateTopicsResponse;
    DeleteTopics 1..=6, fit::as_is: delete_topics_request::DeleteTopicsRequest -> delete_topics_response::DeleteTopicsResponse;
    DeleteRecords 0..=2, fit::as_is: delete_records_request::DeleteRecordsRequest -> delete_records_response::DeleteRecordsResponse;
    InitProducerId 0..=5, fit::init_producer_id: init_producer_id_request::InitProducerIdRequest -> init_producer_id_response::InitProducerIdResponse;
    OffsetForLeaderEpoch 2..=4, fit::as_is: offset_for_leader_epoch_request::OffsetForLeaderEpochRequest -> offset_for_leader_epoch_response::OffsetForLeaderEpochResponse;
    DescribeConfigs 1..=4, fit::as_is: describe_configs_request::DescribeConfigsRequest -> describe_configs_response::DescribeConfigsResponse;
    AlterConfigs 0..=2, fit::as_is: alter_configs_request::AlterConfigsRequest -> alter_configs_response::AlterConfigsResponse;
    AlterReplicaLogDirs 1..=2, fit::as_is: alter_replica_log_dirs_request::AlterReplicaLogDirsRequest -> alter_replica_log_dirs_response::AlterReplicaLogDirsResponse;
    SaslAuthenticate 0..=2, fit::as_is: sasl_authenticate_request::SaslAuthenticateRequest -> sasl_authenticate_response::SaslAuthenticateResponse;
    CreatePartitions 0..=3, fit::as_is: create_partitions_request::CreatePartitionsRequest -> create_partitions_response::CreatePartitionsResponse;
    DeleteGroups 0..=2, fit::as_is: delete_groups_request::DeleteGroupsRequest -> delete_groups_response::DeleteGroupsResponse;
    ElectLeaders 0..=2, fit::elect_leaders: elect_leaders_request::ElectLeadersRequest -> elect_leaders_response::ElectLeadersResponse;
    IncrementalAlterConfigs 0..=1, fit::as_is: incremental_alter_configs_request::IncrementalAlterConfigsRequest -> incremental_alter_configs_response::IncrementalAlterConfigsResponse;
    AlterPartitionReassignments 0..=1, fit::as_is: alter_partition_reassignments_request::AlterPartitionReassignmentsRequest -> alter_partition_reassignments_response::AlterPartitionReassignmentsResponse;
    ListPartitionReassignments 0..=0, fit::as_is: list_partition_reassignments_request::ListPartitionReassignmentsRequest -> list_partition_reassignments_response::ListPartitionReassignmentsResponse;
    OffsetDelete 0..=0, fit::as_is: offset_delete_request::OffsetDeleteRequest -> offset_delete_response::OffsetDeleteResponse;
    DescribeUserScramCredentials 0..=0, fit::as_is: describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest -> describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse;
    AlterUserScramCredentials 0..=0, fit::as_is: alter_user_scram_credentials_request::AlterUserScramCredentialsRequest -> alter_user_scram_credentials_response::AlterUserScramCredentialsResponse;
    DescribeQuorum 0..=2, fit::describe_quorum: describe_quorum_request::DescribeQuorumRequest -> describe_quorum_response::DescribeQuorumResponse;
    DescribeCluster 0..=2, fit::describe_cluster: describe_cluster_request::DescribeClusterRequest -> describe_cluster_response::DescribeClusterResponse;
    DescribeProducers 0..=0, fit::as_is: describe_producers_request::DescribeProducersRequest -> describe_producers_response::DescribeProducersResponse;
    UnregisterBroker 0..=0, fit::as_is: unregister_broker_request::UnregisterBrokerRequest -> unregister_broker_response::UnregisterBrokerResponse;
    ListConfigResources 0..=1, fit::as_is: list_config_resources_request::ListConfigResourcesRequest -> list_config_resources_response::ListConfigResourcesResponse;
    DescribeTopicPartitions 0..=0, fit::as_is: describe_topic_partitions_request::DescribeTopicPartitionsRequest -> describe_topic_partitions_response::DescribeTopicPartitionsResponse;
}

/// Refuses a version that the API does not have.
pub(super) fn check<R: WireRequest>(version: i16) -> Result<(), WireError> {
    if R::VERSIONS.contains(&version) {
        Ok(())
    } else {
        Err(WireError::UnsupportedVersion {
            key: R::KEY,
            version,
        })
    }
}

/// The version of `kafka-protocol` whose bytes this version has.
///
/// ListOffsets 11 only allows one more special timestamp (KIP-1023); its bytes
/// are those of version 10, the last that the crate knows.
fn layout<R: WireRequest>(version: i16) -> i16 {
    if R::KEY == ApiKey::ListOffsets {
        version.min(10)
    } else {
        version
    }
}

/// Gives the crate's untyped errors a type.
pub(super) fn malformed<R: WireRequest>(error: impl ToString) -> WireError {
    WireError::Malformed {
        what: R::KEY.name(),
        reason: error.to_string(),
    }
}
