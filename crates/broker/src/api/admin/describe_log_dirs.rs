//! DescribeLogDirs: v1-5.
//!
//! - v2: flexible. v3: a top-level error. v4: the size of the volume.
//! - v5: cordoned directories; none is ever.
//!
//! There is one directory, told by its whole path. Kept in memory, its volume has no
//! size (-1).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use ottla_base::ErrorCode;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::api::{Cx, Handler, Refusal, wire_topic};
use crate::partitions::LocalTopic;
use crate::serve::DATA_IN_MEMORY;

/// What Kafka writes where it does not know.
const UNKNOWN_BYTES: i64 = -1;

#[derive(Debug)]
pub(in crate::api) struct DescribeLogDirs;

impl Handler for DescribeLogDirs {
    type Request = DescribeLogDirsRequest;
    const SERVED: RangeInclusive<i16> = 1..=5;

    async fn handle(
        cx: Cx,
        request: DescribeLogDirsRequest,
    ) -> Result<DescribeLogDirsResponse, Refusal> {
        let wanted = Wanted::from_wire(request);
        let topics = cx.broker.registry.topics();
        let topics = topics
            .iter()
            .filter_map(|topic| to_wire(&cx, topic, &wanted));
        let directory = Directory::of(&cx);
        let result = DescribeLogDirsResult {
            log_dir: StrBytes::from_string(directory.path),
            topics: topics.collect(),
            total_bytes: directory.total_bytes,
            usable_bytes: directory.usable_bytes,
            ..DescribeLogDirsResult::default()
        };
        Ok(DescribeLogDirsResponse {
            results: vec![result],
            ..DescribeLogDirsResponse::default()
        })
    }

    fn refuse(error: ErrorCode) -> DescribeLogDirsResponse {
        DescribeLogDirsResponse {
            error_code: error.code(),
            ..DescribeLogDirsResponse::default()
        }
    }
}

/// The partitions that are asked for.
#[derive(Debug)]
enum Wanted {
    All,
    These(BTreeSet<(String, i32)>),
}

impl Wanted {
    fn from_wire(request: DescribeLogDirsRequest) -> Self {
        let Some(topics) = request.topics else {
            return Self::All;
        };
        let partitions = topics.iter().flat_map(|topic| {
            let indexes = topic.partitions.iter();
            indexes.map(|index| (topic.topic.as_str().to_owned(), *index))
        });
        Self::These(partitions.collect())
    }

    fn contains(&self, topic: &str, partition: i32) -> bool {
        match self {
            Self::All => true,
            Self::These(partitions) => partitions.contains(&(topic.to_owned(), partition)),
        }
    }
}

/// Where the data lies, and the volume that it lies on.
#[derive(Debug)]
struct Directory {
    path: String,
    total_bytes: i64,
    usable_bytes: i64,
}

impl Directory {
    fn of(cx: &Cx) -> Self {
        let path = log_dir(cx);
        let volume = (path != DATA_IN_MEMORY)
            .then(|| rustix::fs::statvfs(path.as_str()).ok())
            .flatten();
        let bytes = |blocks: u64, size: u64| i64::try_from(blocks.saturating_mul(size));
        Self {
            total_bytes: volume.as_ref().map_or(UNKNOWN_BYTES, |volume| {
                bytes(volume.f_blocks, volume.f_frsize).unwrap_or(i64::MAX)
            }),
            usable_bytes: volume.as_ref().map_or(UNKNOWN_BYTES, |volume| {
                bytes(volume.f_bavail, volume.f_frsize).unwrap_or(i64::MAX)
            }),
            path,
        }
    }
}

/// What clients know the one directory by.
pub(super) fn log_dir(cx: &Cx) -> String {
    let settings = cx.broker.settings();
    let named = settings.broker.data_dirs().first();
    match named.map_or(DATA_IN_MEMORY, String::as_str) {
        DATA_IN_MEMORY => DATA_IN_MEMORY.to_owned(),
        named => {
            let path = std::path::absolute(named).unwrap_or_else(|_| named.into());
            path.to_string_lossy().into_owned()
        }
    }
}

/// The topic with those of its partitions that are wanted.
fn to_wire(cx: &Cx, topic: &LocalTopic, wanted: &Wanted) -> Option<DescribeLogDirsTopic> {
    let name = topic.name.as_str();
    let cells = topic.cells().filter(|cell| !cell.is_damaged());
    let cells = cells.filter(|cell| wanted.contains(name, cell.topic_partition.partition.0));
    let partitions: Vec<_> = cells
        .map(|cell| DescribeLogDirsPartition {
            partition_index: cell.topic_partition.partition.0,
            partition_size: i64::try_from(cx.broker.store.size(cell.log).0).unwrap_or(i64::MAX),
            ..DescribeLogDirsPartition::default()
        })
        .collect();
    (!partitions.is_empty()).then(|| DescribeLogDirsTopic {
        name: wire_topic(&topic.name),
        partitions,
    })
}
