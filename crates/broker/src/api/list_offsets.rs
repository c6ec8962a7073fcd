//! ListOffsets: v1-11.
//!
//! - v2: isolation level. v4: leader epochs. v6: flexible encodings.
//! - v7: the offset of the greatest timestamp. v8: earliest local offset.
//!   v9: last tiered offset. v10: a time limit. v11: earliest pending upload.
//!
//! There is no tiered storage, so the earliest local offset is the earliest, and
//! the last tiered one and the earliest pending upload are none.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ottla_base::{ErrorCode, LeaderEpoch, Offset};
use ottla_partition::View;
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use ottla_protocol::records::BatchHeader;
use ottla_store::{ReadMode, ReadOutcome};

use super::error::{KafkaError as _, unexpected};
use super::{Cx, Handler, Refusal, admit, cell_of, surely_leads};
use crate::partitions::Cell;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Older versions know no OFFSET_NOT_AVAILABLE.
const OFFSET_NOT_AVAILABLE_SINCE: i16 = 5;

#[derive(Debug)]
pub(super) struct ListOffsets;

impl Handler for ListOffsets {
    type Request = ListOffsetsRequest;
    const SERVED: RangeInclusive<i16> = 1..=11;

    async fn handle(cx: Cx, request: ListOffsetsRequest) -> Result<ListOffsetsResponse, Refusal> {
        let read_committed = request.isolation_level == 1;
        let repeated = repeated_partitions(&request.topics);
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let name = topic.name.as_str();
                let is_repeated = repeated.contains(&(name.to_owned(), partition.partition_index));
                let found = match is_repeated {
                    true => Err(ErrorCode::InvalidRequest),
                    false => find(&cx, name, partition, read_committed).await,
                };
                partitions.push(to_wire(partition.partition_index, found));
            }
            let response = ListOffsetsTopicResponse::default()
                .with_name(topic.name)
                .with_partitions(partitions);
            // A topic without partitions is left out, as in Kafka.
            if !response.partitions.is_empty() {
                topics.push(response);
            }
        }
        Ok(ListOffsetsResponse::default().with_topics(topics))
    }

    fn refuse(_error: ErrorCode) -> ListOffsetsResponse {
        // Every refusal is a partition's.
        ListOffsetsResponse::default()
    }
}

/// An offset with the timestamp and the leader epoch of its record.
#[derive(Clone, Copy, Debug)]
struct Located {
    offset: Offset,
    timestamp: i64,
    epoch: LeaderEpoch,
}

impl Located {
    const NOWHERE: Self = Self {
        offset: Offset::NONE,
        timestamp: -1,
        epoch: LeaderEpoch::NONE,
    };
}

/// What is looked for, freed of the versions' numbers.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Latest,
    Earliest,
    GreatestTimestamp,
    /// Something of tiered storage, which there is not.
    Tiered,
    /// The first record at or after this time.
    Since(i64),
}

impl Wanted {
    fn from_wire(version: i16, timestamp: i64) -> Option<Self> {
        let since = |first: i16, wanted| (version >= first).then_some(wanted);
        match timestamp {
            0.. => Some(Self::Since(timestamp)),
            LATEST => Some(Self::Latest),
            EARLIEST => Some(Self::Earliest),
            MAX_TIMESTAMP => since(7, Self::GreatestTimestamp),
            EARLIEST_LOCAL => since(8, Self::Earliest),
            LATEST_TIERED => since(9, Self::Tiered),
            EARLIEST_PENDING_UPLOAD => since(11, Self::Tiered),
            _ => None,
        }
    }

    /// Whether another answer is right once another leader has committed more.
    fn rests_on_end(self) -> bool {
        match self {
            Self::Latest | Self::GreatestTimestamp | Self::Since(_) => true,
            Self::Earliest | Self::Tiered => false,
        }
    }
}

fn repeated_partitions(topics: &[ListOffsetsTopic]) -> BTreeSet<(String, i32)> {
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for topic in topics {
        for partition in &topic.partitions {
            let key = (topic.name.as_str().to_owned(), partition.partition_index);
            if !seen.insert(key.clone()) {
                repeated.insert(key);
            }
        }
    }
    repeated
}

async fn find(
    cx: &Cx,
    topic: &str,
    partition: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<Located, ErrorCode> {
    let wanted = Wanted::from_wire(cx.version, partition.timestamp);
    let wanted = wanted.ok_or(ErrorCode::UnsupportedVersion)?;
    let cell = cell_of(cx, topic, partition.partition_index)?;
    let epoch = LeaderEpoch(partition.current_leader_epoch);
    admit(&cell.view(), epoch, false)?;
    if wanted.rests_on_end() {
        let surely = surely_leads(cx, &cell).await;
        surely.map_err(|_| ErrorCode::NotLeaderOrFollower)?;
    }
    let view = cell.view();
    admit(&view, epoch, false)?;
    let until = match read_committed {
        true => view.last_stable,
        false => view.high_watermark,
    };
    let not_yet = match cx.version {
        OFFSET_NOT_AVAILABLE_SINCE.. => ErrorCode::OffsetNotAvailable,
        _ => ErrorCode::LeaderNotAvailable,
    };
    match wanted {
        Wanted::Earliest => Ok(at(&view, view.log_start)),
        Wanted::Tiered => Ok(Located::NOWHERE),
        Wanted::Latest if view.knows_latest() => Ok(at(&view, until)),
        Wanted::Since(timestamp) if view.knows_latest() => {
            search(cx, cell, view.log_start, until, Some(timestamp)).await
        }
        Wanted::GreatestTimestamp if view.knows_latest() => {
            search(cx, cell, view.log_start, until, None).await
        }
        Wanted::Latest | Wanted::Since(_) | Wanted::GreatestTimestamp => Err(not_yet),
    }
}

fn at(view: &View, offset: Offset) -> Located {
    Located {
        offset,
        timestamp: -1,
        epoch: view.leader_epoch,
    }
}

/// Finds the first record since `timestamp`, or the first with the greatest
/// timestamp of all.
async fn search(
    cx: &Cx,
    cell: Arc<Cell>,
    start: Offset,
    until: Offset,
    timestamp: Option<i64>,
) -> Result<Located, ErrorCode> {
    let located = cx
        .broker
        .read_pool
        .run(move || search_log(&cell, start, until, timestamp))
        .await?;
    Ok(located.unwrap_or(Located::NOWHERE))
}

fn search_log(
    cell: &Cell,
    start: Offset,
    until: Offset,
    timestamp: Option<i64>,
) -> Result<Option<Located>, ErrorCode> {
    match timestamp {
        Some(timestamp) => first_since(cell, timestamp, start, until),
        None => greatest(cell, start, until),
    }
}

fn first_since(
    cell: &Cell,
    timestamp: i64,
    start: Offset,
    until: Offset,
) -> Result<Option<Located>, ErrorCode> {
    let (store, log) = (&cell.store, cell.log);
    let mut from = start;
    loop {
        let batch = store.first_batch_since(log, timestamp, from, until);
        let Some(header) = batch.map_err(|error| error.code())? else {
            return Ok(None);
        };
        let mut records = records_from(cell, &header, start, until)?.into_iter();
        if let Some(found) = records.find(|record| record.timestamp >= timestamp) {
            return Ok(Some(found));
        }
        // What made this batch a candidate was deleted from its front.
        from = header.next_offset();
    }
}

fn greatest(cell: &Cell, start: Offset, until: Offset) -> Result<Option<Located>, ErrorCode> {
    let (store, log) = (&cell.store, cell.log);
    let mut best: Option<Located> = None;
    let mut from = start;
    loop {
        let batch = store.max_timestamp_batch(log, from, until);
        let Some(header) = batch.map_err(|error| error.code())? else {
            return Ok(best);
        };
        let records = records_from(cell, &header, start, until)?;
        for record in records {
            if best.is_none_or(|best| record.timestamp > best.timestamp) {
                best = Some(record);
            }
        }
        if header.base_offset >= start {
            return Ok(best);
        }
        // The greatest of this batch may have been deleted from its front.
        from = header.next_offset();
    }
}

/// The records of a batch that have not been deleted.
fn records_from(
    cell: &Cell,
    header: &BatchHeader,
    start: Offset,
    until: Offset,
) -> Result<Vec<Located>, ErrorCode> {
    let from = header.base_offset.max(start);
    let read = cell
        .store
        .read(cell.log, from, until, 0, true, ReadMode::Blocking)
        .map_err(|error| error.code())?;
    let ReadOutcome::Ready(batches) = read else {
        unreachable!("a blocking read gives a result");
    };
    let Some(batch) = batches.first() else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for record in batch.records().map_err(|error| unexpected(&error))? {
        let record = record.map_err(|error| unexpected(&error))?;
        if record.offset >= start {
            found.push(Located {
                offset: record.offset,
                timestamp: record.timestamp,
                epoch: header.leader_epoch,
            });
        }
    }
    Ok(found)
}

fn to_wire(partition: i32, found: Result<Located, ErrorCode>) -> ListOffsetsPartitionResponse {
    let (code, located) = match found {
        Ok(located) => (ErrorCode::None, located),
        Err(code) => (code, Located::NOWHERE),
    };
    ListOffsetsPartitionResponse::default()
        .with_partition_index(partition)
        .with_error_code(code.code())
        .with_timestamp(located.timestamp)
        .with_offset(located.offset.0)
        .with_leader_epoch(located.epoch.0)
}
