//! What a log store promises: the trait, its operations and its refusals.
//!
//! Must not know how anything is stored.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_base::{ByteSize, Millis, Offset, TopicPartition};
use ottla_protocol::records::{BatchHeader, RecordBatch};

/// Names one log for as long as the store exists; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log {}", self.0)
    }
}

/// The record batches and small state of many partitions.
///
/// Operations are carried out in the order they were submitted, over all logs.
/// What is read is always a state that some prefix of them leads to, and after a
/// crash the store holds such a prefix too: at least everything that was synced.
/// Only a loss of power where nobody waits for the disk may leave a log with a later
/// start that was asked for, or the name of a log that was created later.
pub trait LogStore: Send + Sync + fmt::Debug {
    /// Every log that exists, in the order of their ids.
    fn logs(&self) -> Vec<LogSummary>;

    /// A new, empty log that starts at offset 0. It survives a crash whenever
    /// something that was submitted after it does.
    fn create(&self, tp: TopicPartition) -> Result<LogId, StoreError>;

    /// From now on `listener` hears about appends of `incarnation`. Appends of a
    /// lower incarnation that wait in the queue are dropped without a word. Whoever
    /// attaches again after appends were submitted calls [`LogStore::drain`] before
    /// it looks at the log; after `on_failed` that is not needed, because a log that
    /// failed takes nothing more from that incarnation.
    fn attach(&self, log: LogId, incarnation: u64, listener: Arc<dyn LogListener>);

    /// Queues an operation; nothing happens to it before [`LogStore::work`]. Never
    /// blocks and never fails: refusals reach the listener. The caller bounds the
    /// bytes that it has in flight.
    fn queue(&self, op: Op);

    /// Sees to it that what was queued is carried out. Where that takes no wait for
    /// a disk it may be done by the time this returns, and listeners were called by
    /// this very thread: never call it while holding a lock that a listener takes.
    fn work(&self);

    /// Queues an operation and sees to it that it is carried out.
    fn submit(&self, op: Op) {
        self.queue(op);
        self.work();
    }

    /// Whole batches from the one that holds `from` on, those that lie wholly below
    /// `until`, at most `max_bytes` of them; the first one is exempt from that bound
    /// if `at_least_one`.
    fn read(
        &self,
        log: LogId,
        from: Offset,
        until: Offset,
        max_bytes: usize,
        at_least_one: bool,
        mode: ReadMode,
    ) -> Result<ReadOutcome, ReadError>;

    /// The headers of at most `max` batches, from the one that holds `from` on. From
    /// the index alone.
    fn headers(&self, log: LogId, from: Offset, max: usize) -> Result<Vec<BatchHeader>, ReadError>;

    /// First and next offset of a log.
    fn bounds(&self, log: LogId) -> Result<Bounds, ReadError>;

    /// Bytes of the batches that are within the bounds; 0 for an unknown log.
    fn size(&self, log: LogId) -> ByteSize;

    /// The first batch with an offset in `from..until` whose greatest timestamp is
    /// not below `timestamp`.
    fn first_batch_since(
        &self,
        log: LogId,
        timestamp: i64,
        from: Offset,
        until: Offset,
    ) -> Result<Option<BatchHeader>, ReadError>;

    /// The batch that has an offset at or above `from`, lies wholly below `until` and
    /// has the greatest timestamp; the first of several.
    fn max_timestamp_batch(
        &self,
        log: LogId,
        from: Offset,
        until: Offset,
    ) -> Result<Option<BatchHeader>, ReadError>;

    /// What was last stored under `key` by [`Op::State`].
    fn state(&self, log: LogId, key: &[u8]) -> Result<Option<Bytes>, ReadError>;

    /// The log is compacted by these rules from now on, or not at all. They are not
    /// kept: whoever wants a log compacted says so again and again, as things change. A
    /// store may take its time, and one that keeps nothing need not compact.
    fn set_compaction(&self, log: LogId, compaction: Option<Compaction>);

    /// How much the store may do beside what it is asked for.
    fn set_rewriting(&self, rewriting: Rewriting);

    /// Waits until everything that was submitted before is carried out and durable.
    /// Never call it while holding a lock that a listener takes.
    fn drain(&self);

    /// Why the store accepts nothing any more, if so.
    fn failure(&self) -> Option<StoreFailure>;

    /// Drains, makes everything durable and stops. What is submitted later is lost.
    fn close(&self);
}

/// By which rules a log is compacted, as of a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compaction {
    /// When that was.
    pub now: Millis,
    /// Records at or above are left alone: they are not committed, or what they did to
    /// their partition's state is nowhere but in them.
    pub until: Offset,
    /// A file of a log would be so large in Kafka; the last one is not compacted.
    pub segment_bytes: u64,
    /// A file would be followed by another when its first batch is so old.
    pub segment_ms: i64,
    pub min_lag_ms: i64,
    pub max_lag_ms: i64,
    pub min_dirty_ratio: f64,
    /// For how long a marker of deletion stays.
    pub delete_retention_ms: i64,
    /// A producer that was silent for so long is forgotten.
    pub producer_expiration_ms: i64,
}

/// How much the store may do beside what it is asked for: rewrite files, compact logs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rewriting {
    /// Read and written for it.
    pub bytes_per_second: f64,
    /// Between two looks at a store in which nothing was to be done.
    pub pause: Duration,
    /// Memory for the keys that a compaction knows.
    pub keys_memory: ByteSize,
}

impl Default for Rewriting {
    fn default() -> Self {
        Self {
            bytes_per_second: f64::MAX,
            pause: Duration::from_secs(15),
            keys_memory: ByteSize(128 * 1024 * 1024),
        }
    }
}

/// One change of a log.
#[derive(Clone, Debug)]
pub enum Op {
    /// Adds a batch that has its offsets already. Its base is the log's end, or beyond it
    /// where the log is a copy of one that was compacted.
    Append {
        log: LogId,
        incarnation: u64,
        batch: RecordBatch,
        /// Durable before `on_flushed`, whatever the store's policy is.
        sync: bool,
    },
    /// Removes every batch with an offset at or above `to`, which becomes the end.
    Truncate { log: LogId, to: Offset },
    /// Moves the start up to `to` and removes the batches that lie wholly below it.
    /// Beyond the end it moves the end too, and the log is empty. The listener hears
    /// of every move.
    StartOffset { log: LogId, to: Offset },
    /// Removes the log with everything it holds. Its listener hears nothing more.
    Drop { log: LogId },
    /// What was submitted before is durable within this time, if the store's policy
    /// leaves it longer.
    Flush { log: LogId, within: Duration },
    /// Keeps `value` under `key`; an empty value removes the key.
    State {
        log: LogId,
        key: Bytes,
        value: Bytes,
    },
}

impl Op {
    pub const fn log(&self) -> LogId {
        match self {
            Self::Append { log, .. }
            | Self::Truncate { log, .. }
            | Self::StartOffset { log, .. }
            | Self::Drop { log }
            | Self::Flush { log, .. }
            | Self::State { log, .. } => *log,
        }
    }
}

/// Hears what became of the operations on one log. Called by the one thread that
/// carries out operations at the moment, once per log and group of operations, so
/// it must be quick and must not call back into a method that waits.
pub trait LogListener: Send + Sync {
    /// Everything below `end` can be read, and is as durable as the policy asks.
    fn on_flushed(&self, incarnation: u64, end: Offset);

    /// The log starts at `start`, which is as durable as the policy asks.
    fn on_start_moved(&self, start: Offset);

    /// An append of `incarnation` was not carried out, and no later one will be.
    fn on_failed(&self, incarnation: u64, failure: StoreFailure);
}

/// A log as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSummary {
    pub id: LogId,
    pub tp: TopicPartition,
    pub start: Offset,
    pub end: Offset,
    pub size: ByteSize,
    /// Bytes of it failed their checks. It is neither read nor appended to; it can
    /// only be dropped.
    pub damaged: bool,
}

/// Where a log starts and ends; `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    pub start: Offset,
    /// The offset that the next record gets.
    pub end: Offset,
}

impl Bounds {
    pub const EMPTY: Self = Self {
        start: Offset::ZERO,
        end: Offset::ZERO,
    };

    /// Whether a read may begin at `offset`: at the end it finds nothing, and that
    /// is fine.
    pub fn check(self, offset: Offset) -> Result<(), ReadError> {
        let Self { start, end } = self;
        if offset < start || offset > end {
            return Err(ReadError::OutOfRange { offset, start, end });
        }
        Ok(())
    }
}

/// What `on_flushed` promises for an append that does not ask for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It survives a loss of power: one `fdatasync` per group of appends.
    Fsync,
    /// It survives the end of the process. Power may take what was written since
    /// the last flush, which is at most this long ago.
    PageCache { flush_interval: Duration },
}

/// Whether a read may wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadMode {
    NonBlocking,
    Blocking,
}

#[derive(Clone, Debug)]
pub enum ReadOutcome {
    /// In offset order; empty at the end of the log.
    Ready(Vec<RecordBatch>),
    /// The answer needs a disk: ask again where blocking is allowed.
    WouldBlock,
}

/// Why a log was not created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("{tp} has {log} already")]
    Exists { tp: TopicPartition, log: LogId },
    #[error(transparent)]
    Failed(#[from] StoreFailure),
}

/// Why something could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("{0} does not exist")]
    UnknownLog(LogId),
    #[error("offset {offset} is outside of {start}..{end}")]
    OutOfRange {
        offset: Offset,
        start: Offset,
        end: Offset,
    },
    #[error("{0} is damaged and offline")]
    Damaged(LogId),
    #[error("the disk could not be read: {0}")]
    Io(String),
}

/// Why an append was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// Passes by itself once there is space.
    #[error("the disk is full")]
    Full,
    /// Bytes of the log failed their checks, and it is offline.
    #[error("the log is damaged and offline")]
    Damaged,
    /// Final for the whole store: a disk that lied once is not asked again.
    #[error("writing to disk failed: {0}")]
    Io(String),
    #[error("the store is closed")]
    Closed,
}
