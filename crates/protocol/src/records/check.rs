//! What a client's batch must be before it is appended, by the rules of Kafka's
//! `ProduceRequest`, `UnifiedLog` and `LogValidator`.

use std::io::BufRead;

use bytes::Bytes;
use ottla_base::{ByteSize, Millis, Offset};

use super::compression::Decompressor;
use super::recode::{RecodeError, recode};
use super::record::timestamp;
use super::walk::{Shape, Walk, unreadable};
use super::{BatchError, BatchHeader, Compression, Level, RecordBatch, TimestampType};

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
    /// records that are: the first [`RECORD_ERRORS_MAX`] of them.
    pub records: Vec<(i32, String)>,
    pub message: String,
}

/// Which rule a batch broke; each has its error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalKind {
    /// There is not one batch of this format, all there: INVALID_RECORD.
    NotOne,
    /// CRC, size or magic number: CORRUPT_MESSAGE.
    Corrupt,
    /// The batch or a record breaks a rule of form: INVALID_RECORD.
    Invalid,
    /// A timestamp is out of bounds, or not the producer's: INVALID_TIMESTAMP.
    Timestamp,
    /// More than `max.message.bytes`, or more than is decompressed:
    /// MESSAGE_TOO_LARGE, at which producers split the batch.
    TooLarge,
    /// More than `segment.bytes`: RECORD_LIST_TOO_LARGE.
    ListTooLarge,
    /// A codec that the request's version does not have:
    /// UNSUPPORTED_COMPRESSION_TYPE.
    Compression,
    /// The records do not decompress, or name no codec: UNKNOWN_SERVER_ERROR in
    /// Kafka, which has no case for it.
    Undecodable,
}

impl RefusalKind {
    /// Whether Kafka finds it only when the log takes the batch. A client is then
    /// told where the log starts.
    pub fn is_of_log(self) -> bool {
        match self {
            Self::Invalid | Self::Timestamp | Self::Undecodable => true,
            Self::NotOne
            | Self::Corrupt
            | Self::TooLarge
            | Self::ListTooLarge
            | Self::Compression => false,
        }
    }
}

/// How many records a refusal blames, so that an answer does not outgrow the
/// request. Kafka has no limit.
pub const RECORD_ERRORS_MAX: usize = 1_000;

/// The first version of Produce that may bring zstd (KIP-110).
const ZSTD_VERSION_MIN: i16 = 7;

/// Checks what a Produce request holds for one partition, and gives the batch to
/// append: the bytes as they came, unless the topic stamps them, wants another
/// codec, or the record offsets have to be put right.
///
/// It differs from Kafka where Kafka would keep what consumers trip over: a
/// compressed record must be as long as it says, and offsets are put right in
/// uncompressed batches as well.
pub fn check_batch(
    bytes: Bytes,
    rules: &BatchRules,
    api_version: i16,
    now: Millis,
) -> Result<RecordBatch, BatchRefusal> {
    let batch = only_batch(bytes, api_version)?;
    check_form(&batch, rules)?;
    let codec = check_claims(batch.header())?;
    let found = check_records(&batch, codec, rules, now)?;
    let kept = keep(batch, codec, &found, rules, now)?;
    if kept.size() > rules.segment_bytes {
        return Err(refuse(
            RefusalKind::ListTooLarge,
            format!(
                "the batch has {}, a segment {}",
                kept.size(),
                rules.segment_bytes
            ),
        ));
    }
    Ok(kept)
}

/// The one batch of a partition. Bytes behind it that do not make a whole batch
/// are dropped, as Kafka does.
fn only_batch(mut bytes: Bytes, api_version: i16) -> Result<RecordBatch, BatchRefusal> {
    let Some(size) = batch_size(&bytes)? else {
        return Err(refuse(RefusalKind::NotOne, "there is no whole batch"));
    };
    let behind = bytes.split_off(size);
    let header = match BatchHeader::parse(&bytes) {
        Ok(header) => header,
        Err(error @ BatchError::Magic(_)) => return Err(refuse(RefusalKind::NotOne, error)),
        Err(error) => return Err(refuse(RefusalKind::Corrupt, error)),
    };
    let is_zstd = header.attributes.compression() == Some(Compression::Zstd);
    if is_zstd && api_version < ZSTD_VERSION_MIN {
        return Err(refuse(
            RefusalKind::Compression,
            format!("Produce {api_version} may not bring zstd"),
        ));
    }
    if batch_size(&behind)?.is_some() {
        return Err(refuse(RefusalKind::NotOne, "there is more than one batch"));
    }
    RecordBatch::from_bytes(bytes).map_err(|error| refuse(RefusalKind::Corrupt, error))
}

/// The size of the batch at the front of `bytes`, if it is all there.
fn batch_size(bytes: &[u8]) -> Result<Option<usize>, BatchRefusal> {
    /// Up to and with the magic byte.
    const FRONT: usize = 17;
    /// What a batch of the oldest format has behind its length.
    const COUNTED_MIN: i32 = 14;
    let Some(front) = bytes.first_chunk::<FRONT>() else {
        return Ok(None);
    };
    let counted = i32::from_be_bytes([front[8], front[9], front[10], front[11]]);
    if counted < COUNTED_MIN {
        return Err(refuse(RefusalKind::Corrupt, BatchError::Length(counted)));
    }
    if front[16] > BatchHeader::MAGIC {
        return Err(refuse(RefusalKind::Corrupt, BatchError::Magic(front[16])));
    }
    let size = usize::try_from(counted).map_or(usize::MAX, |counted| counted.saturating_add(12));
    Ok((bytes.len() >= size).then_some(size))
}

/// What can be said without looking at what the batch says of its records.
fn check_form(batch: &RecordBatch, rules: &BatchRules) -> Result<(), BatchRefusal> {
    let header = batch.header();
    if header.base_offset != Offset::ZERO {
        return Err(refuse(
            RefusalKind::Invalid,
            format!("the base offset is {}, not 0", header.base_offset),
        ));
    }
    if batch.size() > rules.max_message_bytes {
        return Err(too_large(rules, batch.size()));
    }
    if !batch.verify_crc() {
        return Err(refuse(
            RefusalKind::Corrupt,
            format!("the bytes do not have the CRC {:#010x}", header.crc),
        ));
    }
    Ok(())
}

/// What the header may say.
fn check_claims(header: &BatchHeader) -> Result<Compression, BatchRefusal> {
    let invalid = |message: String| Err(refuse(RefusalKind::Invalid, message));
    let Some(codec) = header.attributes.compression() else {
        let error = BatchError::Codec(header.attributes.0 & 7);
        return Err(refuse(RefusalKind::Undecodable, error));
    };
    let (count, last) = (header.record_count, header.last_offset_delta);
    if count <= 0 {
        return invalid(format!("the batch declares {count} records"));
    }
    if last != count - 1 {
        return invalid(format!(
            "{count} records cannot have the last offset {last}"
        ));
    }
    if header.attributes.is_control() {
        return invalid("clients do not write control records".to_owned());
    }
    if header.has_producer() && header.base_sequence.0 < 0 {
        let (id, sequence) = (header.producer_id, header.base_sequence);
        return invalid(format!("producer {id} sends the sequence {sequence}"));
    }
    Ok(codec)
}

/// What the records turned out to be.
struct Found {
    timestamp_max: i64,
    /// Whether the records are numbered 0, 1, 2, …
    is_numbered: bool,
}

fn check_records(
    batch: &RecordBatch,
    codec: Compression,
    rules: &BatchRules,
    now: Millis,
) -> Result<Found, BatchRefusal> {
    let header = batch.header();
    let payload = batch.payload();
    if codec == Compression::None {
        return check_each(header, &payload[..], rules, now);
    }
    let input =
        Decompressor::new(codec, &payload).map_err(|error| refuse_read(unreadable(error)))?;
    check_each(header, input, rules, now)
}

/// One loop for records in the batch itself, and one for those that come out of
/// a decompressor.
fn check_each(
    header: &BatchHeader,
    input: impl BufRead,
    rules: &BatchRules,
    now: Millis,
) -> Result<Found, BatchRefusal> {
    let mut walk = Walk::new(input);
    let mut faults = Faults::default();
    let mut found = Found {
        timestamp_max: -1,
        is_numbered: true,
    };
    for index in 0..header.record_count {
        let shape = walk.next_shape().map_err(refuse_read)?;
        let timestamp = timestamp(header, shape.timestamp_delta);
        if let Some(fault) = fault(header, &shape, timestamp, rules, now) {
            faults.add(index, fault, timestamp);
            if faults.records.len() == RECORD_ERRORS_MAX {
                break;
            }
        }
        found.timestamp_max = found.timestamp_max.max(timestamp);
        found.is_numbered &= shape.offset_delta == index;
    }
    faults.into_result()?;
    walk.finish().map_err(refuse_read)?;
    Ok(found)
}

/// What may be wrong with one record.
#[derive(Clone, Copy)]
enum Fault {
    Keyless,
    OutOfRange,
    Stamped,
}

#[inline]
fn fault(
    header: &BatchHeader,
    shape: &Shape,
    timestamp: i64,
    rules: &BatchRules,
    now: Millis,
) -> Option<Fault> {
    if rules.require_key && !shape.has_key {
        return Some(Fault::Keyless);
    }
    if rules.timestamp_type == TimestampType::CreateTime && timestamp != -1 {
        let age = now.0.saturating_sub(timestamp);
        let is_out = age > rules.timestamp_before_max_ms
            || age.saturating_neg() > rules.timestamp_after_max_ms;
        return is_out.then_some(Fault::OutOfRange);
    }
    let stamped = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    stamped.then_some(Fault::Stamped)
}

/// The records that are to blame so far.
#[derive(Default)]
struct Faults {
    records: Vec<(i32, String)>,
    is_timestamp: bool,
}

impl Faults {
    #[cold]
    fn add(&mut self, index: i32, fault: Fault, timestamp: i64) {
        self.is_timestamp |= !matches!(fault, Fault::Keyless);
        let message = match fault {
            Fault::Keyless => "a compacted topic takes no record without a key".to_owned(),
            Fault::OutOfRange => format!("the timestamp {timestamp} is out of range"),
            Fault::Stamped => "a producer does not set LogAppendTime".to_owned(),
        };
        self.records.push((index, message));
    }

    fn into_result(self) -> Result<(), BatchRefusal> {
        let Some((index, first)) = self.records.first() else {
            return Ok(());
        };
        // Of the timestamps Kafka says only this, and clients show it; which record is
        // to blame for what stands beside it.
        let (kind, message) = if self.is_timestamp {
            let words = "One or more records have been rejected due to invalid timestamp";
            (RefusalKind::Timestamp, words.to_owned())
        } else {
            let refused = self.records.len();
            let message = format!("{refused} records are refused; record {index}: {first}");
            (RefusalKind::Invalid, message)
        };
        Err(BatchRefusal {
            kind,
            message,
            records: self.records,
        })
    }
}

/// The batch as it is kept.
fn keep(
    batch: RecordBatch,
    codec: Compression,
    found: &Found,
    rules: &BatchRules,
    now: Millis,
) -> Result<RecordBatch, BatchRefusal> {
    let max_timestamp = match rules.timestamp_type {
        TimestampType::CreateTime => found.timestamp_max,
        TimestampType::LogAppendTime => now.0,
    };
    let attributes = batch.header().attributes;
    let attributes = attributes.with_timestamp_type(rules.timestamp_type);
    let header = BatchHeader {
        attributes,
        max_timestamp,
        ..*batch.header()
    };
    let (target, level) = match rules.compression {
        TargetCompression::Producer => (codec, Level::Default),
        TargetCompression::Codec(target, level) => (target, level),
    };
    if target != codec || !found.is_numbered {
        let size_max = usize::try_from(rules.max_message_bytes.0).unwrap_or(usize::MAX);
        let numbered = recode(&batch, &header, target, level, size_max);
        return numbered.map_err(|error| match error {
            RecodeError::TooLarge => too_large_anew(rules),
            RecodeError::Unreadable(error) => refuse_read(error),
        });
    }
    if header == *batch.header() {
        return Ok(batch);
    }
    Ok(batch.with_header(header))
}

fn refuse_read(error: BatchError) -> BatchRefusal {
    let kind = match error {
        BatchError::TooLarge(_) => RefusalKind::TooLarge,
        BatchError::Compressed(_) | BatchError::Codec(_) => RefusalKind::Undecodable,
        BatchError::Short
        | BatchError::Magic(_)
        | BatchError::Length(_)
        | BatchError::Size { .. }
        | BatchError::Record { .. }
        | BatchError::Count(_)
        | BatchError::Trailing { .. } => RefusalKind::Invalid,
    };
    refuse(kind, error)
}

fn too_large(rules: &BatchRules, size: ByteSize) -> BatchRefusal {
    refuse(
        RefusalKind::TooLarge,
        format!(
            "the batch has {size}, {} are allowed",
            rules.max_message_bytes
        ),
    )
}

fn too_large_anew(rules: &BatchRules) -> BatchRefusal {
    refuse(
        RefusalKind::TooLarge,
        format!(
            "written anew the batch has more than {}",
            rules.max_message_bytes
        ),
    )
}

fn refuse(kind: RefusalKind, message: impl ToString) -> BatchRefusal {
    BatchRefusal {
        kind,
        records: Vec::new(),
        message: message.to_string(),
    }
}
