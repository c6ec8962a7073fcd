//! AlterReplicaLogDirs: v1-2.
//!
//! - v2: flexible.
//!
//! There is one directory, the one that DescribeLogDirs tells of: a partition
//! may be put where it is.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, PartitionId, TopicName};
use ottla_partition::RoleKind;
use ottla_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use ottla_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use super::describe_log_dirs::log_dir;
use crate::api::{Cx, Handler, Refusal, no_cell_code, wire_topic};

#[derive(Debug)]
pub(in crate::api) struct AlterReplicaLogDirs;

impl Handler for AlterReplicaLogDirs {
    type Request = AlterReplicaLogDirsRequest;
    const SERVED: RangeInclusive<i16> = 1..=2;

    async fn handle(
        cx: Cx,
        request: AlterReplicaLogDirsRequest,
    ) -> Result<AlterReplicaLogDirsResponse, Refusal> {
        let topics = from_wire(request, &log_dir(&cx));
        let results = topics
            .iter()
            .map(|(name, partitions)| answer(&cx, name, partitions));
        Ok(AlterReplicaLogDirsResponse::default().with_results(results.collect()))
    }

    fn refuse(_error: ErrorCode) -> AlterReplicaLogDirsResponse {
        // Every refusal is a partition's.
        AlterReplicaLogDirsResponse::default()
    }
}

/// Whether each partition is to be in our own directory. Of several directories
/// for one partition, the last is meant.
type Topics = BTreeMap<TopicName, Partitions>;
type Partitions = BTreeMap<i32, bool>;

fn from_wire(request: AlterReplicaLogDirsRequest, own: &str) -> Topics {
    let mut topics = Topics::new();
    for directory in request.dirs {
        let is_own = directory.path.as_str() == own;
        for topic in directory.topics {
            let name = TopicName::from(topic.name.as_str());
            let indexes = topic.partitions.into_iter();
            let partitions = topics.entry(name).or_default();
            partitions.extend(indexes.map(|index| (index, is_own)));
        }
    }
    topics
}

fn answer(cx: &Cx, topic: &TopicName, partitions: &Partitions) -> AlterReplicaLogDirTopicResult {
    let local = cx.broker.registry.topic(topic.as_str());
    let results = partitions.iter().map(|(index, is_own)| {
        let id = PartitionId(*index);
        let code = match &local {
            _ if !is_own => ErrorCode::LogDirNotFound,
            None => ErrorCode::UnknownTopicOrPartition,
            Some(topic) => match topic.cell(id) {
                None => no_cell_code(topic, id),
                Some(cell) if cell.view().role == RoleKind::Failed => ErrorCode::KafkaStorageError,
                Some(_) => ErrorCode::None,
            },
        };
        AlterReplicaLogDirPartitionResult::default()
            .with_partition_index(*index)
            .with_error_code(code.code())
    });
    AlterReplicaLogDirTopicResult::default()
        .with_topic_name(wire_topic(topic))
        .with_partitions(results.collect())
}
