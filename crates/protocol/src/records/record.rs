//! The records inside a batch.

use std::io::Read;

use bytes::{Buf, Bytes};
use ottla_base::Offset;

use super::compression::Decompressor;
use super::varint::{read_varint, read_varlong};
use super::walk::{Walk, unreadable};
use super::{BatchError, BatchHeader, Compression, DECOMPRESSED_MAX, RecordBatch, TimestampType};

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
    header: BatchHeader,
    /// What was not read yet, decompressed.
    rest: Bytes,
    index: i32,
    is_over: bool,
}

impl Records {
    pub(super) fn of(batch: &RecordBatch) -> Result<Self, BatchError> {
        let header = *batch.header();
        if header.record_count < 0 {
            return Err(BatchError::Count(header.record_count));
        }
        let codec = codec(&header)?;
        let rest = if codec == Compression::None {
            batch.payload()
        } else {
            decompress(codec, &batch.payload())?
        };
        Ok(Self {
            header,
            rest,
            index: 0,
            is_over: false,
        })
    }

    fn record(&mut self) -> Option<Record> {
        let size = usize::try_from(self.varint()?).ok()?;
        if size > self.rest.len() {
            return None;
        }
        let behind = self.rest.len() - size;
        // The attributes of a record mean nothing.
        self.rest.try_get_u8().ok()?;
        let timestamp_delta = self.varlong()?;
        let offset_delta = self.varint()?;
        let key = self.field()?;
        let value = self.field()?;
        let headers = self.headers()?;
        if self.rest.len() != behind {
            return None;
        }
        Some(Record {
            offset: self.header.base_offset.plus(i64::from(offset_delta)),
            timestamp: timestamp(&self.header, timestamp_delta),
            key,
            value,
            headers,
        })
    }

    fn headers(&mut self) -> Option<Vec<RecordHeader>> {
        let count = usize::try_from(self.varint()?).ok()?;
        // Each takes at least two bytes.
        if count > self.rest.len() {
            return None;
        }
        let mut headers = Vec::with_capacity(count.min(16));
        for _ in 0..count {
            headers.push(RecordHeader {
                key: self.field()??,
                value: self.field()?,
            });
        }
        Some(headers)
    }

    /// A field's bytes, or none within: there is no such field.
    #[expect(clippy::option_option, reason = "malformed and absent are two things")]
    fn field(&mut self) -> Option<Option<Bytes>> {
        let Ok(size) = usize::try_from(self.varint()?) else {
            return Some(None);
        };
        if size > self.rest.len() {
            return None;
        }
        Some(Some(self.rest.split_to(size)))
    }

    fn varint(&mut self) -> Option<i32> {
        let (value, size) = read_varint(&self.rest)?;
        self.rest.advance(size);
        Some(value)
    }

    fn varlong(&mut self) -> Option<i64> {
        let (value, size) = read_varlong(&self.rest)?;
        self.rest.advance(size);
        Some(value)
    }
}

impl Iterator for Records {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        if self.index == self.header.record_count {
            self.is_over = true;
            let trailing = BatchError::Trailing {
                records: self.index,
            };
            return (!self.rest.is_empty()).then_some(Err(trailing));
        }
        let record = self
            .record()
            .ok_or(BatchError::Record { index: self.index });
        self.index += 1;
        self.is_over = record.is_err();
        Some(record)
    }
}

impl RecordBatch {
    /// Where the first record is that is not older than `timestamp`, and when
    /// that is. It decompresses piece by piece and keeps nothing.
    pub fn first_since(&self, timestamp_min: i64) -> Result<Option<(Offset, i64)>, BatchError> {
        let header = self.header();
        let payload = self.payload();
        let input = Decompressor::new(codec(header)?, &payload).map_err(unreadable)?;
        let mut walk = Walk::new(input);
        for _ in 0..header.record_count {
            let shape = walk.next_shape()?;
            let timestamp = timestamp(header, shape.timestamp_delta);
            if timestamp >= timestamp_min {
                let offset = header.base_offset.plus(i64::from(shape.offset_delta));
                return Ok(Some((offset, timestamp)));
            }
        }
        Ok(None)
    }
}

/// The codec that a header names.
pub(super) fn codec(header: &BatchHeader) -> Result<Compression, BatchError> {
    let codec = header.attributes.compression();
    codec.ok_or(BatchError::Codec(header.attributes.0 & 7))
}

/// When a record was made, by what its batch says of timestamps.
pub(super) fn timestamp(header: &BatchHeader, delta: i64) -> i64 {
    match header.attributes.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp.wrapping_add(delta),
        TimestampType::LogAppendTime => header.max_timestamp,
    }
}

fn decompress(codec: Compression, payload: &[u8]) -> Result<Bytes, BatchError> {
    let input = Decompressor::new(codec, payload).map_err(unreadable)?;
    let mut out = Vec::new();
    input
        .take(DECOMPRESSED_MAX.0 + 1)
        .read_to_end(&mut out)
        .map_err(unreadable)?;
    if out.len() as u64 > DECOMPRESSED_MAX.0 {
        return Err(BatchError::TooLarge(DECOMPRESSED_MAX));
    }
    Ok(Bytes::from(out))
}
