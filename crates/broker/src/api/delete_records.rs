//! DeleteRecords: v0-2.
//!
//! - v2: flexible encodings.
//!
//! The log then starts exactly at the wanted offset, also inside a batch.

use std::ops::RangeInclusive;

use ottla_base::{ErrorCode, Millis, Offset};
use ottla_partition::DeleteError;
use ottla_protocol::messages::delete_records_request::{
    DeleteRecordsPartition, DeleteRecordsTopic,
};
use ottla_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};
use tokio::sync::oneshot;

use super::error::KafkaError as _;
use super::{Cx, Handler, Refusal, leading_cell};
use crate::topics::is_internal;

/// Stands for the high watermark.
const EVERYTHING: i64 = -1;

/// Kafka carries out the leader's part whatever time it is given, and a client may give
/// none; here that part ends with the log's new start on disk.
const OWN_PART_MS_MIN: i32 = 5_000;

#[derive(Debug)]
pub(super) struct DeleteRecords;

type Started = Result<oneshot::Receiver<Result<Offset, DeleteError>>, ErrorCode>;

impl Handler for DeleteRecords {
    type Request = DeleteRecordsRequest;
    const SERVED: RangeInclusive<i16> = 0..=2;

    async fn handle(
        cx: Cx,
        request: DeleteRecordsRequest,
    ) -> Result<DeleteRecordsResponse, Refusal> {
        let timeout_ms = request.timeout_ms.max(OWN_PART_MS_MIN);
        let deadline = cx.broker.clock.now().plus_ms(timeout_ms.into());
        let topics = request.topics.into_iter();
        // All are under way before the first is waited for.
        let started: Vec<_> = topics.map(|topic| start(&cx, topic, deadline)).collect();
        let mut topics = Vec::with_capacity(started.len());
        for (name, partitions) in started {
            let mut results = Vec::with_capacity(partitions.len());
            for (index, started) in partitions {
                results.push(to_wire(index, outcome(started).await));
            }
            let response = DeleteRecordsTopicResult::default()
                .with_name(name)
                .with_partitions(results);
            topics.push(response);
        }
        Ok(DeleteRecordsResponse::default().with_topics(topics))
    }

    fn refuse(_error: ErrorCode) -> DeleteRecordsResponse {
        // Every refusal is a partition's.
        DeleteRecordsResponse::default()
    }
}

fn start(cx: &Cx, topic: DeleteRecordsTopic, deadline: Millis) -> (TopicName, Vec<(i32, Started)>) {
    let partitions = topic.partitions.iter();
    let started = partitions.map(|partition| {
        let DeleteRecordsPartition {
            partition_index,
            offset,
            ..
        } = *partition;
        let started = start_one(cx, topic.name.as_str(), partition_index, offset, deadline);
        (partition_index, started)
    });
    let started = started.collect();
    (topic.name, started)
}

fn start_one(cx: &Cx, topic: &str, partition: i32, offset: i64, deadline: Millis) -> Started {
    let cell = leading_cell(cx, topic, partition)?;
    if is_internal(&cell.topic) {
        return Err(ErrorCode::InvalidTopic);
    }
    let before = (offset != EVERYTHING).then_some(Offset(offset));
    Ok(cell.delete_records(before, deadline))
}

async fn outcome(started: Started) -> Result<Offset, ErrorCode> {
    match started?.await {
        Ok(deleted) => deleted.map_err(|error| error.code()),
        // The topic itself was deleted meanwhile.
        Err(_gone) => Err(ErrorCode::UnknownTopicOrPartition),
    }
}

fn to_wire(partition: i32, outcome: Result<Offset, ErrorCode>) -> DeleteRecordsPartitionResult {
    let (code, low_watermark) = match outcome {
        Ok(log_start) => (ErrorCode::None, log_start),
        Err(code) => (code, Offset::NONE),
    };
    DeleteRecordsPartitionResult::default()
        .with_partition_index(partition)
        .with_low_watermark(low_watermark.0)
        .with_error_code(code.code())
}
