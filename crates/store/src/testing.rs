//! What the tests of stores share.

use bytes::Bytes;
use ottla_base::{ByteSize, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Sequence};
use ottla_protocol::records::{Attributes, BatchHeader, RecordBatch};

/// A batch of `records` records, one millisecond apart up to `timestamp`, with
/// `payload` bytes that stand for them. Its CRC is right.
pub fn batch(base: Offset, records: i32, timestamp: i64, payload: usize) -> RecordBatch {
    let size = BatchHeader::SIZE + payload;
    let mut header = BatchHeader {
        base_offset: base,
        size: ByteSize(size as u64),
        leader_epoch: LeaderEpoch(1),
        crc: 0,
        attributes: Attributes::default(),
        last_offset_delta: records - 1,
        base_timestamp: timestamp - i64::from(records) + 1,
        max_timestamp: timestamp,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: Sequence::NONE,
        record_count: records,
    };
    let mut bytes = header.write().to_vec();
    let seed = base.0 ^ timestamp;
    bytes.extend(seed.to_le_bytes().iter().cycle().take(payload));
    header.crc = crc32c::crc32c(&bytes[21..]);
    bytes[..BatchHeader::SIZE].copy_from_slice(&header.write());
    RecordBatch::from_bytes(Bytes::from(bytes)).expect("the header was made for these bytes")
}
