//! Batches that the broker writes itself: a coordinator's records, markers, and
//! what tests produce.

use std::io::Write;

use bytes::BufMut;
use ottla_base::{ByteSize, LeaderEpoch, Millis, Offset, ProducerEpoch, ProducerId, Sequence};

use super::compression::Compressor;
use super::record::codec;
use super::varint::{put_varint, put_varlong, varint_size};
use super::walk::unreadable;
use super::{Attributes, BatchError, BatchHeader, Compression, Level, RecordBatch, TimestampType};

/// A batch in the making.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    level: Level,
    /// Room for the header, then the records so far, uncompressed.
    bytes: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty, uncompressed batch at offset 0.
    pub fn new() -> Self {
        Self {
            header: BatchHeader {
                base_offset: Offset::ZERO,
                size: ByteSize(0),
                leader_epoch: LeaderEpoch::NONE,
                crc: 0,
                attributes: Attributes::default(),
                last_offset_delta: -1,
                base_timestamp: -1,
                max_timestamp: -1,
                producer_id: ProducerId::NONE,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: Sequence::NONE,
                record_count: 0,
            },
            level: Level::Default,
            bytes: vec![0; BatchHeader::SIZE],
        }
    }

    #[must_use]
    pub fn compressed(mut self, codec: Compression, level: Level) -> Self {
        self.header.attributes = self.header.attributes.with_compression(codec);
        self.level = level;
        self
    }

    /// As an idempotent producer's.
    #[must_use]
    pub fn producer(
        mut self,
        id: ProducerId,
        epoch: ProducerEpoch,
        base_sequence: Sequence,
    ) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// As part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes = self.header.attributes.transactional();
        self
    }

    /// As a batch of control records.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes = self.header.attributes.control();
        self
    }

    /// Stamped by the broker: the records' own timestamps no longer count.
    #[must_use]
    pub fn log_append_time(mut self, now: Millis) -> Self {
        let attributes = self.header.attributes;
        self.header.attributes = attributes.with_timestamp_type(TimestampType::LogAppendTime);
        self.header.max_timestamp = now.0;
        self
    }

    /// Adds a record without headers.
    pub fn push(&mut self, timestamp: Millis, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.push_with_headers(timestamp, key, value, &[]);
    }

    /// Adds a record. The first one's timestamp is what the others are written
    /// relative to.
    ///
    /// # Panics
    ///
    /// If a part is larger than 2 GiB, which no frame can bring.
    pub fn push_with_headers(
        &mut self,
        timestamp: Millis,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        if self.is_empty() {
            self.header.base_timestamp = timestamp.0;
        }
        let stamped = self.header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        if !stamped {
            self.header.max_timestamp = self.header.max_timestamp.max(timestamp.0);
        }
        let timestamp_delta = timestamp.0.wrapping_sub(self.header.base_timestamp);
        let offset_delta = self.header.record_count;

        let out = &mut self.bytes;
        put_record(out, timestamp_delta, offset_delta, key, value, headers);
        self.header.last_offset_delta = offset_delta;
        self.header.record_count = offset_delta + 1;
    }

    /// How many records it holds.
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// What the batch takes, or would without compression.
    pub fn size(&self) -> ByteSize {
        ByteSize(self.bytes.len() as u64)
    }

    /// The batch, at offset 0 and without a leader epoch.
    pub fn build(self) -> Result<RecordBatch, BatchError> {
        let codec = codec(&self.header)?;
        if codec == Compression::None {
            return Ok(RecordBatch::seal(self.header, self.bytes));
        }
        let room = vec![0; BatchHeader::SIZE];
        let mut out = Compressor::new(codec, self.level, room).map_err(unreadable)?;
        let records = &self.bytes[BatchHeader::SIZE..];
        out.write_all(records).map_err(unreadable)?;
        let bytes = out.finish().map_err(unreadable)?;
        Ok(RecordBatch::seal(self.header, bytes))
    }
}

/// Writes one record, whose deltas are to its batch's base timestamp and offset.
pub(super) fn put_record(
    out: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&[u8], Option<&[u8]>)],
) {
    let parts = [key, value].into_iter().map(field_size).sum::<usize>();
    let headers_size = headers
        .iter()
        .map(|(key, value)| field_size(Some(key)) + field_size(*value))
        .sum::<usize>();
    let count = length(headers.len());
    let body = 1
        + varint_size(timestamp_delta)
        + varint_size(i64::from(offset_delta))
        + parts
        + varint_size(i64::from(count))
        + headers_size;

    out.reserve(body + varint_size(i64::from(length(body))));
    put_varint(out, length(body));
    out.put_u8(0);
    put_varlong(out, timestamp_delta);
    put_varint(out, offset_delta);
    put_field(out, key);
    put_field(out, value);
    put_varint(out, count);
    for (key, value) in headers {
        put_field(out, Some(key));
        put_field(out, *value);
    }
}

fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            put_varint(out, length(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}

fn field_size(field: Option<&[u8]>) -> usize {
    match field {
        Some(bytes) => varint_size(i64::from(length(bytes.len()))) + bytes.len(),
        None => 1,
    }
}

fn length(size: usize) -> i32 {
    i32::try_from(size).expect("records are smaller than a frame")
}
