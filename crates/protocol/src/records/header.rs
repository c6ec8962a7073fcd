//! The 61 bytes in front of every record batch.

use ottla_base::{ByteSize, LeaderEpoch, Millis, Offset, ProducerEpoch, ProducerId, Sequence};

use super::{BatchError, Compression};

/// What the header of a record batch says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: Offset,
    /// The whole batch with this header.
    pub size: ByteSize,
    pub leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    pub attributes: Attributes,
    /// Kept by compaction, also when the last record is gone.
    pub last_offset_delta: i32,
    pub base_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: ProducerId,
    pub producer_epoch: ProducerEpoch,
    pub base_sequence: Sequence,
    pub record_count: i32,
}

/// What a batch's timestamps mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TimestampType {
    /// Set by the producer, record by record.
    #[default]
    CreateTime,
    /// Set by the broker; every record has the batch's largest timestamp.
    LogAppendTime,
}

/// The bits of a batch's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The codec; none if the number names no codec.
    pub fn compression(self) -> Option<Compression> {
        Compression::from_id(self.0 & Self::COMPRESSION)
    }

    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the delete horizon instead.
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    #[must_use]
    pub fn with_compression(self, codec: Compression) -> Self {
        Self(self.0 & !Self::COMPRESSION | codec.id())
    }

    #[must_use]
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        match kind {
            TimestampType::CreateTime => Self(self.0 & !Self::LOG_APPEND_TIME),
            TimestampType::LogAppendTime => Self(self.0 | Self::LOG_APPEND_TIME),
        }
    }

    #[must_use]
    pub(super) fn with_delete_horizon(self) -> Self {
        Self(self.0 | Self::DELETE_HORIZON)
    }

    #[must_use]
    pub fn transactional(self) -> Self {
        Self(self.0 | Self::TRANSACTIONAL)
    }

    #[must_use]
    pub fn control(self) -> Self {
        Self(self.0 | Self::CONTROL)
    }
}

impl BatchHeader {
    /// Bytes of the header.
    pub const SIZE: usize = 61;
    pub const MAGIC: u8 = 2;

    /// Reads the header at the front of `bytes`, which may hold more or less
    /// than the whole batch behind it. The CRC is not checked.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        // An older format is shorter, so its magic is looked at first.
        let magic = *bytes.get(16).ok_or(BatchError::Short)?;
        if magic != Self::MAGIC {
            return Err(BatchError::Magic(magic));
        }
        let header = bytes.first_chunk::<61>().ok_or(BatchError::Short)?;
        let counted = i32::from_be_bytes(field(header, 8));
        let size = u64::try_from(i64::from(counted) + 12)
            .ok()
            .filter(|size| *size >= 61)
            .ok_or(BatchError::Length(counted))?;
        Ok(Self {
            base_offset: Offset(i64::from_be_bytes(field(header, 0))),
            size: ByteSize(size),
            leader_epoch: LeaderEpoch(i32::from_be_bytes(field(header, 12))),
            crc: u32::from_be_bytes(field(header, 17)),
            attributes: Attributes(i16::from_be_bytes(field(header, 21))),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: ProducerId(i64::from_be_bytes(field(header, 43))),
            producer_epoch: ProducerEpoch(i16::from_be_bytes(field(header, 51))),
            base_sequence: Sequence(i32::from_be_bytes(field(header, 53))),
            record_count: i32::from_be_bytes(field(header, 57)),
        })
    }

    /// The header's bytes.
    pub fn write(&self) -> [u8; Self::SIZE] {
        let mut header = [0; Self::SIZE];
        let counted = self.size.0.saturating_sub(12);
        let counted = i32::try_from(counted).expect("a batch's size fits its length field");
        header[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        header[8..12].copy_from_slice(&counted.to_be_bytes());
        header[12..16].copy_from_slice(&self.leader_epoch.0.to_be_bytes());
        header[16] = Self::MAGIC;
        header[17..21].copy_from_slice(&self.crc.to_be_bytes());
        header[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        header[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        header[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        header[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        header[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        header[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        header[53..57].copy_from_slice(&self.base_sequence.0.to_be_bytes());
        header[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        header
    }

    /// The offset of the last record that the batch was made with.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.plus(i64::from(self.last_offset_delta))
    }

    /// The first offset behind the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().plus(1)
    }

    /// The sequence of the last record that the batch was made with, or none.
    pub fn last_sequence(&self) -> Sequence {
        if self.base_sequence == Sequence::NONE {
            Sequence::NONE
        } else {
            self.base_sequence.plus(self.last_offset_delta)
        }
    }

    /// When the batch's markers of deletion may go, if compaction has met them.
    pub fn delete_horizon(&self) -> Option<Millis> {
        let has = self.attributes.has_delete_horizon();
        has.then_some(Millis(self.base_timestamp))
    }

    /// Whether an idempotent or transactional producer, or a transaction
    /// coordinator, wrote it.
    pub fn has_producer(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }
}

/// `N` bytes of the header from `at` on.
fn field<const N: usize>(header: &[u8; BatchHeader::SIZE], at: usize) -> [u8; N] {
    *header[at..]
        .first_chunk()
        .expect("every field lies within the header")
}
