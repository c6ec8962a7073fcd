//! What has to be done now and then: retention.

use std::sync::Arc;
use std::time::Duration;

use ottla_base::{Millis, Offset};
use ottla_store::ReadError;
use tracing::{debug, warn};

use crate::broker::Broker;
use crate::partitions::{Cell, is_leader};
use crate::tasks::Stop;

/// When retention first runs, unless it runs more often than that anyway; as in
/// Kafka (`log.initial.task.delay.ms`).
const FIRST_DELAY: Duration = Duration::from_secs(30);

/// Batch headers that retention looks at in one go.
const HEADERS_AT_ONCE: usize = 512;

/// Runs every job when it is due, until the broker stops.
pub(crate) async fn run(broker: Arc<Broker>, mut stop: Stop) {
    let interval_ms = broker.settings().broker.log_retention_check_interval_ms;
    let interval = Duration::from_millis(u64::try_from(interval_ms).unwrap_or(1));
    let mut wait = FIRST_DELAY.min(interval);
    loop {
        tokio::select! {
            biased;
            () = stop.requested() => return,
            () = tokio::time::sleep(wait) => (),
        }
        wait = interval;
        for topic in broker.registry.topics() {
            for cell in topic.cells() {
                let (cell, now) = (cell.clone(), broker.clock.now());
                broker.read_pool.run(move || retain(&cell, now)).await;
            }
            if stop.is_requested() {
                return;
            }
        }
    }
}

/// Lets the log of a partition start where retention says.
fn retain(cell: &Cell, now: Millis) {
    let view = cell.view();
    if !is_leader(&view) || !cell.config().cleanup_policy.delete {
        return;
    }
    match retained_start(cell, now) {
        Ok(start) if start > view.log_start => {
            debug!(topic = %cell.topic, partition = %cell.topic_partition.partition, %start, "retention moves the log's start");
            cell.advance_start(start);
        }
        Ok(_) => (),
        Err(error) => {
            warn!(topic = %cell.topic, partition = %cell.topic_partition.partition, %error, "retention cannot read the log");
        }
    }
}

/// The first offset that is kept. Goes by whole batches, never past the high
/// watermark, and stops at the first batch that is neither too old nor too much.
fn retained_start(cell: &Cell, now: Millis) -> Result<Offset, ReadError> {
    let (view, config) = (cell.view(), cell.config());
    let mut surplus = match u64::try_from(config.retention_bytes) {
        Ok(bytes_max) => cell.store.size(cell.log).0.saturating_sub(bytes_max),
        Err(_) => 0,
    };
    let is_old = |timestamp: i64| {
        config.retention_ms >= 0
            && timestamp >= 0
            && now.since(Millis(timestamp)) > config.retention_ms
    };
    let mut start = view.log_start;
    while start < view.high_watermark {
        let headers = cell.store.headers(cell.log, start, HEADERS_AT_ONCE)?;
        if headers.is_empty() {
            return Ok(start);
        }
        for header in headers {
            // Kafka keeps a segment that would take the log below its bound.
            let is_surplus = header.size.0 <= surplus;
            let is_committed = header.next_offset() <= view.high_watermark;
            if !is_committed || !(is_surplus || is_old(header.max_timestamp)) {
                return Ok(start);
            }
            surplus = surplus.saturating_sub(header.size.0);
            start = header.next_offset();
        }
    }
    Ok(start)
}
