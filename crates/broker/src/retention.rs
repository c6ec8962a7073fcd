//! Which records of a log are too old or too many: `retention.ms` and
//! `retention.bytes`. Goes by whole batches, where Kafka goes by segments.

use ottla_base::config::TopicConfig;
use ottla_base::{Millis, Offset};
use ottla_partition::View;
use ottla_protocol::records::BatchHeader;
use ottla_store::ReadError;
use tracing::{debug, warn};

use crate::partitions::{Cell, is_leader};

/// Batch headers that are looked at in one go.
const HEADERS_AT_ONCE: usize = 512;

/// What is known of a log's oldest batch, so that a log is read again only when
/// that batch may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Oldest {
    /// Where the log starts.
    start: Offset,
    /// The batch's latest; below 0 if it has none.
    timestamp: i64,
    /// When the batch was first seen to be the oldest. A batch without a timestamp
    /// counts from then, as Kafka takes the time of the file for it.
    seen: Millis,
    /// Everything below was there at that time.
    end: Offset,
}

/// Whether some of the log may go; says no without reading it.
pub(crate) fn is_due(cell: &Cell, oldest: Option<Oldest>, now: Millis) -> bool {
    let (view, config) = (cell.view(), cell.config());
    if !is_leader(&view) || !config.cleanup_policy.delete || view.log_start >= view.high_watermark {
        return false;
    }
    let Some(oldest) = oldest.filter(|oldest| oldest.start == view.log_start) else {
        return true;
    };
    is_over(oldest.since(), &config, now) || surplus(cell, &config) > 0
}

/// Lets the log start where retention says, and tells what is its oldest batch
/// then. Blocks on the disk.
pub(crate) fn retain(cell: &Cell, oldest: Option<Oldest>, now: Millis) -> Option<Oldest> {
    let view = cell.view();
    let oldest = oldest.filter(|oldest| oldest.start == view.log_start);
    match kept(cell, &view, oldest, now) {
        Ok(Kept { start, first }) => {
            if start > view.log_start {
                debug!(topic = %cell.topic, partition = %cell.topic_partition.partition, %start, "retention moves the log's start");
                cell.advance_start(start);
            }
            let first = first?;
            let is_known = oldest.filter(|oldest| oldest.start == start);
            Some(is_known.unwrap_or(Oldest {
                start,
                timestamp: first.max_timestamp,
                seen: now,
                end: view.high_watermark,
            }))
        }
        Err(error) => {
            warn!(topic = %cell.topic, partition = %cell.topic_partition.partition, %error, "retention cannot read the log");
            None
        }
    }
}

/// What is left of a log.
struct Kept {
    start: Offset,
    /// None if nothing is.
    first: Option<BatchHeader>,
}

/// Never past the high watermark, and stops at the first batch that is neither too
/// old nor too much.
fn kept(cell: &Cell, view: &View, oldest: Option<Oldest>, now: Millis) -> Result<Kept, ReadError> {
    let config = cell.config();
    let mut surplus = surplus(cell, &config);
    let is_old = |header: &BatchHeader| match header.max_timestamp {
        timestamp @ 0.. => is_over(Millis(timestamp), &config, now),
        _ => oldest.is_some_and(|oldest| {
            oldest.timestamp < 0
                && header.next_offset() <= oldest.end
                && is_over(oldest.seen, &config, now)
        }),
    };
    let mut start = view.log_start;
    while start < view.high_watermark {
        let headers = cell.store.headers(cell.log, start, HEADERS_AT_ONCE)?;
        if headers.is_empty() {
            break;
        }
        for header in headers {
            // Kafka keeps a segment that would take the log below its bound.
            let is_surplus = header.size.0 <= surplus;
            let is_committed = header.next_offset() <= view.high_watermark;
            if !is_committed || !(is_surplus || is_old(&header)) {
                let first = Some(header);
                return Ok(Kept { start, first });
            }
            surplus = surplus.saturating_sub(header.size.0);
            start = header.next_offset();
        }
    }
    Ok(Kept { start, first: None })
}

/// Bytes of the log beyond what it may hold.
fn surplus(cell: &Cell, config: &TopicConfig) -> u64 {
    match u64::try_from(config.retention_bytes) {
        Ok(bytes_max) => cell.store.size(cell.log).0.saturating_sub(bytes_max),
        Err(_) => 0,
    }
}

fn is_over(since: Millis, config: &TopicConfig, now: Millis) -> bool {
    config.retention_ms >= 0 && now.since(since) > config.retention_ms
}

impl Oldest {
    const fn since(&self) -> Millis {
        match self.timestamp {
            timestamp @ 0.. => Millis(timestamp),
            _ => self.seen,
        }
    }
}
