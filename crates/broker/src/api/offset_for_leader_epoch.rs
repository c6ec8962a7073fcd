//! OffsetForLeaderEpoch: v2-4.
//!
//! - v3: says who asks. v4: flexible encodings.
//!
//! Asked by consumers that look for truncation (KIP-320). Replicas have a
//! protocol of their own here.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, LeaderEpoch, Offset};
use ottla_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use ottla_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use super::{Cx, Handler, Refusal, admit, cell_of};

#[derive(Debug)]
pub(super) struct OffsetForLeaderEpoch;

impl Handler for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    const SERVED: RangeInclusive<i16> = 2..=4;

    async fn handle(
        cx: Cx,
        request: OffsetForLeaderEpochRequest,
    ) -> Result<OffsetForLeaderEpochResponse, Refusal> {
        let topics = request.topics.into_iter().map(|topic| {
            let ends = topic.partitions.iter().map(|partition| {
                let end = epoch_end(&cx, topic.topic.as_str(), partition);
                to_wire(partition.partition, end)
            });
            let ends = ends.collect();
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(ends)
        });
        Ok(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }

    fn refuse(_error: ErrorCode) -> OffsetForLeaderEpochResponse {
        // Every refusal is a partition's.
        OffsetForLeaderEpochResponse::default()
    }
}

fn epoch_end(
    cx: &Cx,
    topic: &str,
    partition: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, Offset), ErrorCode> {
    let cell = cell_of(cx, topic, partition.partition)?;
    let (view, end) = cell.end_offset_for(LeaderEpoch(partition.leader_epoch));
    admit(&view, LeaderEpoch(partition.current_leader_epoch), false)?;
    Ok(end.map_or((LeaderEpoch::NONE, Offset::NONE), |end| {
        (end.epoch, end.end)
    }))
}

fn to_wire(partition: i32, end: Result<(LeaderEpoch, Offset), ErrorCode>) -> EpochEndOffset {
    let (code, (epoch, offset)) = match end {
        Ok(end) => (ErrorCode::None, end),
        Err(code) => (code, (LeaderEpoch::NONE, Offset::NONE)),
    };
    EpochEndOffset::default()
        .with_error_code(code.code())
        .with_partition(partition)
        .with_leader_epoch(epoch.0)
        .with_end_offset(offset.0)
}
