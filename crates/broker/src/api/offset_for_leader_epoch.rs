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

use super::{Cx, Handler, Refusal, admit, cell_of, surely_leads};

#[derive(Debug)]
pub(super) struct OffsetForLeaderEpoch;

impl Handler for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    const SERVED: RangeInclusive<i16> = 2..=4;

    async fn handle(
        cx: Cx,
        request: OffsetForLeaderEpochRequest,
    ) -> Result<OffsetForLeaderEpochResponse, Refusal> {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut ends = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let end = epoch_end(&cx, topic.topic.as_str(), partition).await;
                ends.push(to_wire(partition.partition, end));
            }
            let result = OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic)
                .with_partitions(ends);
            topics.push(result);
        }
        Ok(OffsetForLeaderEpochResponse::default().with_topics(topics))
    }

    fn refuse(_error: ErrorCode) -> OffsetForLeaderEpochResponse {
        // Every refusal is a partition's.
        OffsetForLeaderEpochResponse::default()
    }
}

async fn epoch_end(
    cx: &Cx,
    topic: &str,
    partition: &OffsetForLeaderPartition,
) -> Result<(LeaderEpoch, Offset), ErrorCode> {
    let cell = cell_of(cx, topic, partition.partition)?;
    let look = || {
        let (view, end) = cell.end_offset_for(LeaderEpoch(partition.leader_epoch));
        let admitted = admit(&view, LeaderEpoch(partition.current_leader_epoch), false);
        admitted.map(|()| end)
    };
    let mut end = look()?;
    if end.is_none() {
        // An epoch that is not known may be that of this leader's successor, and who hears
        // that there is none begins anew.
        let surely = surely_leads(cx, &cell).await;
        surely.map_err(|_| ErrorCode::NotLeaderOrFollower)?;
        end = look()?;
    }
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
