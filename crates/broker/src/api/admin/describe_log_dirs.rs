//! DescribeLogDirs: v1-5.
//!
//! - v2: flexible. v3: a top-level error. v4: the size of the volume.
//! - v5: cordoned directories; none is ever.
//!
//! There is one directory. Kept in memory, its volume has no size (-1).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_base::ErrorCode;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};

use crate::api::{Cx, Handler, Refusal};
use crate::partitions::LocalTopic;

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
        let topics = topics.iter().filter_map(|topic| to_wire(&cx, topic, &wanted));
        let volume = Volume::of(&cx);
        let directory = DescribeLogDirsResult {
            log_dir: StrBytes::from_string(volume.path),
            topics: topics.collect(),
            total_bytes: volume.total,
            usable_bytes: volume.usable,
            ..DescribeLogDirsResult::default()
        };
        Ok(DescribeLogDirsResponse {
            results: vec![directory],
            ..DescribeLogDirsResponse::default()
        })
    }
}
