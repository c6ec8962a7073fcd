//! Batches of values.

use bytes::{Bytes, BytesMut};
use ottla_base::{
    ByteSize, LeaderEpoch, Millis, Offset, ProducerEpoch, ProducerId, Sequence,
};
use ottla_protocol::records::{Attributes, BatchHeader, RecordBatch};

use crate::fact::Value;

pub(crate) fn batch_of(
    values: &[Value],
    producer: Option<(ProducerId, ProducerEpoch, Sequence)>,
    now: Millis,
) -> RecordBatch {
    let none = (ProducerId::NONE, ProducerEpoch::NONE, Sequence::NONE);
    let (producer_id, producer_epoch, base_sequence) = producer.unwrap_or(none);
    let count = i32::try_from(values.len()).expect("few");
    let header = BatchHeader {
        base_offset: Offset::ZERO,
        size: ByteSize(61 + 8 * values.len() as u64),
        leader_epoch: LeaderEpoch::NONE,
        crc: 0,
        attributes: Attributes::default(),
        last_offset_delta: count - 1,
        base_timestamp: now.0,
        max_timestamp: now.0,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count: count,
    };
    let mut bytes = BytesMut::from(&header.write()[..]);
    for value in values {
        bytes.extend_from_slice(&value.to_bytes());
    }
    RecordBatch::from_bytes(Bytes::from(bytes)).expect("sizes agree")
}

pub(crate) fn values_of(batch: &RecordBatch) -> Vec<(Offset, Value)> {
    let payload = batch.payload();
    let values = payload.chunks(8).map(|bytes| Value::from_bytes(bytes).expect("8 bytes"));
    (batch.header().base_offset.0..).map(Offset).zip(values).collect()
}
