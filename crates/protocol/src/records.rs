//! Record batches of format 2: kept verbatim, checked once, built where the
//! broker itself is the writer.
//!
//! A batch of a client is never decoded and encoded again, but where [`check_batch`]
//! says so and where compaction retains a part of it.

mod batch;
mod builder;
mod check;
mod compression;
mod control;
mod header;
mod recode;
mod record;
mod retain;
mod varint;
mod walk;

use ottla_base::ByteSize;

pub use batch::{PREFIX_SIZE, RecordBatch, batches};
pub use builder::BatchBuilder;
pub use check::{
    BatchRefusal, BatchRules, RECORD_ERRORS_MAX, RefusalKind, TargetCompression, check_batch,
};
pub use compression::{Compression, DECOMPRESSED_MAX, Level};
pub use control::{ControlRecord, EndTransactionMarker};
pub use header::{Attributes, BatchHeader, TimestampType};
pub use record::{Record, RecordHeader, Records};

/// Why bytes are not a record batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("the batch ends within its header")]
    Short,
    #[error("the batch has magic {0}, only 2 is kept")]
    Magic(u8),
    #[error("the batch declares the length {0}")]
    Length(i32),
    #[error("the batch declares {declared} and has {actual}")]
    Size {
        declared: ByteSize,
        actual: ByteSize,
    },
    #[error("no codec has the number {0}")]
    Codec(i16),
    #[error("the records do not decompress: {0}")]
    Compressed(String),
    #[error("the records decompress to more than {0}")]
    TooLarge(ByteSize),
    #[error("record {index} is malformed")]
    Record { index: i32 },
    #[error("the batch declares {0} records")]
    Count(i32),
    #[error("bytes follow the batch's {records} records")]
    Trailing { records: i32 },
}
