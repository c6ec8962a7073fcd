//! From a stored log to a partition that can serve.

use bytes::Bytes;
use ottla_base::{BrokerId, Millis};
use ottla_partition::{CHECKPOINT_KEY, Partition, Recovery, Settings};
use ottla_protocol::records::{BatchError, Record};
use ottla_store::{LogId, LogStore, Op, ReadError, ReadMode, ReadOutcome};
use tracing::warn;

/// Batch headers that recovery takes from the index at once.
const HEADERS_AT_ONCE: usize = 4_096;

/// Record bytes that a coordinator's load reads at once.
const LOAD_BYTES_AT_ONCE: usize = 1 << 20;

/// Why a stored log cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("a stored batch is damaged: {0}")]
    Batch(#[from] BatchError),
}

/// Recovers the partition whose log is `log`: its last checkpoint, then the
/// headers behind it. The log ends where the partition does after that.
pub(crate) fn recover(
    store: &dyn LogStore,
    log: LogId,
    now: Millis,
    broker: BrokerId,
    settings: Settings,
) -> Result<Partition, RecoverError> {
    let bounds = store.bounds(log)?;
    let mut recovery = match store.state(log, CHECKPOINT_KEY)? {
        Some(checkpoint) => Recovery::from_checkpoint(&checkpoint, bounds.start, bounds.end)
            .unwrap_or_else(|error| {
                warn!(%log, %error, "a checkpoint is of no use, so the whole log is replayed");
                Recovery::from_start(bounds.start)
            }),
        None => Recovery::from_start(bounds.start),
    };
    while recovery.next() < bounds.end {
        let headers = store.headers(log, recovery.next(), HEADERS_AT_ONCE)?;
        if headers.is_empty() {
            break;
        }
        headers.iter().for_each(|header| recovery.feed(header));
    }
    let partition = recovery.finish(now, broker, settings);
    if let Some(to) = partition.excess(bounds.end) {
        store.submit(Op::Truncate { log, to });
        store.drain();
    }
    Ok(partition)
}

/// Hands every record of a log to `apply`: key and value. Blocks on the disk.
pub(crate) fn replay(
    store: &dyn LogStore,
    log: LogId,
    mut apply: impl FnMut(Option<Bytes>, Option<Bytes>),
) -> Result<(), RecoverError> {
    let bounds = store.bounds(log)?;
    let mut next = bounds.start;
    while next < bounds.end {
        let read = store.read(
            log,
            next,
            bounds.end,
            LOAD_BYTES_AT_ONCE,
            true,
            ReadMode::Blocking,
        )?;
        let ReadOutcome::Ready(batches) = read else {
            unreachable!("a blocking read does not ask to be repeated");
        };
        let Some(last) = batches.last() else {
            return Ok(());
        };
        next = last.header().next_offset();
        for batch in batches {
            if batch.header().attributes.is_control() {
                continue;
            }
            for record in batch.records()? {
                let Record { key, value, .. } = record?;
                apply(key, value);
            }
        }
    }
    Ok(())
}
