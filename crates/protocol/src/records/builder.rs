//! Batches that the broker writes itself: a coordinator's records, markers, and
//! what tests produce.

use bytes::{BufMut, Bytes, BytesMut};
use ottla_base::{ByteSize, LeaderEpoch, Millis, Offset, ProducerEpoch, ProducerId, Sequence};

use super::{Attributes, BatchError, BatchHeader, Compression, Level, RecordBatch, TimestampType};

/// A batch in the making. The first record's timestamp is the base.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    level: Level,
    /// The records so far, uncompressed.
    payload: BytesMut,
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
                size: ByteSize(61),
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
            payload: BytesMut::new(),
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

    /// Stamped by the broker.
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

    /// Adds a record.
    pub fn push_with_headers(
        &mut self,
        _timestamp: Millis,
        _key: Option<&[u8]>,
        value: Option<&[u8]>,
        _headers: &[(&[u8], Option<&[u8]>)],
    ) {
        self.payload.put_slice(value.unwrap_or_default());
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
        ByteSize((BatchHeader::SIZE + self.payload.len()) as u64)
    }

    /// The batch, at offset 0 and without a leader epoch.
    pub fn build(self) -> Result<RecordBatch, BatchError> {
        let mut bytes = BytesMut::new();
        bytes.put_slice(&self.header.write());
        bytes.put(self.payload);
        RecordBatch::from_bytes(Bytes::from(bytes))
    }
}
