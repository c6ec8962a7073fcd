//! A record batch as it is kept: the producer's bytes, under our offsets.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use ottla_base::{ByteSize, LeaderEpoch, Offset};

use super::{BatchError, BatchHeader, Records};

/// How many bytes at the front the broker may rewrite without a new CRC: base
/// offset, length and leader epoch.
pub const PREFIX_SIZE: usize = 16;

/// A batch whose bytes are kept verbatim, but for its first 16.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    /// From the magic byte on.
    rest: Bytes,
}

impl RecordBatch {
    /// The batch that `bytes` hold, no more and no less. Only the header is
    /// looked at: not the CRC, not the records.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(&bytes)?;
        if bytes.len() as u64 != header.size.0 {
            return Err(BatchError::Size {
                declared: header.size,
                actual: ByteSize(bytes.len() as u64),
            });
        }
        Ok(Self {
            header,
            rest: bytes.slice(PREFIX_SIZE..),
        })
    }

    /// The batch of a header and the bytes behind the first 16, as a store keeps
    /// them.
    pub fn from_parts(prefix: [u8; PREFIX_SIZE], rest: Bytes) -> Result<Self, BatchError> {
        let mut front = [0; BatchHeader::SIZE];
        let behind = rest
            .first_chunk::<{ BatchHeader::SIZE - PREFIX_SIZE }>()
            .ok_or(BatchError::Short)?;
        front[..PREFIX_SIZE].copy_from_slice(&prefix);
        front[PREFIX_SIZE..].copy_from_slice(behind);
        let header = BatchHeader::parse(&front)?;
        let actual = (PREFIX_SIZE + rest.len()) as u64;
        if actual != header.size.0 {
            return Err(BatchError::Size {
                declared: header.size,
                actual: ByteSize(actual),
            });
        }
        Ok(Self { header, rest })
    }

    /// The batch of a header and of records that stand behind room for it; size
    /// and CRC are filled in.
    pub(super) fn seal(mut header: BatchHeader, mut bytes: Vec<u8>) -> Self {
        header.size = ByteSize(bytes.len() as u64);
        bytes[..BatchHeader::SIZE].copy_from_slice(&header.write());
        header.crc = crc32c::crc32c(&bytes[PREFIX_SIZE + ATTRIBUTES_IN_REST..]);
        let crc = PREFIX_SIZE + 1..PREFIX_SIZE + ATTRIBUTES_IN_REST;
        bytes[crc].copy_from_slice(&header.crc.to_be_bytes());
        Self {
            header,
            rest: Bytes::from(bytes).slice(PREFIX_SIZE..),
        }
    }

    /// The same records under another header: copies.
    pub(super) fn with_header(&self, header: BatchHeader) -> Self {
        let mut bytes = Vec::with_capacity(PREFIX_SIZE + self.rest.len());
        bytes.extend_from_slice(&[0; PREFIX_SIZE]);
        bytes.extend_from_slice(&self.rest);
        Self::seal(header, bytes)
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    pub fn size(&self) -> ByteSize {
        self.header.size
    }

    /// The first 16 bytes: base offset, length, leader epoch.
    pub fn prefix(&self) -> [u8; PREFIX_SIZE] {
        *self
            .header
            .write()
            .first_chunk()
            .expect("the prefix lies within the header")
    }

    /// Everything behind the first 16 bytes.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    /// The same batch at another place in a log.
    #[must_use]
    pub fn at(mut self, base_offset: Offset, leader_epoch: LeaderEpoch) -> Self {
        self.header.base_offset = base_offset;
        self.header.leader_epoch = leader_epoch;
        self
    }

    /// The same batch in memory of its own, which it does not share with the
    /// buffer that it was read into: copies.
    #[must_use]
    pub fn detached(self) -> Self {
        Self {
            rest: Bytes::copy_from_slice(&self.rest),
            ..self
        }
    }

    /// Whether the CRC fits the bytes.
    pub fn verify_crc(&self) -> bool {
        crc32c::crc32c(&self.rest[ATTRIBUTES_IN_REST..]) == self.header.crc
    }

    /// The batch in one piece: copies.
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(PREFIX_SIZE + self.rest.len());
        bytes.put_slice(&self.prefix());
        bytes.put_slice(&self.rest);
        bytes.freeze()
    }

    /// The batch in two pieces, the larger of which is shared.
    pub fn chunks(&self) -> [Bytes; 2] {
        [Bytes::copy_from_slice(&self.prefix()), self.rest.clone()]
    }

    /// The records, decompressed if need be.
    pub fn records(&self) -> Result<Records, BatchError> {
        Records::of(self)
    }

    /// The bytes behind the header, as they were sent.
    pub fn payload(&self) -> Bytes {
        self.rest.slice(BatchHeader::SIZE - PREFIX_SIZE..)
    }
}

/// Where the attributes are, counted from the magic byte: behind it and the CRC.
const ATTRIBUTES_IN_REST: usize = 5;

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RecordBatch").field(&self.header).finish()
    }
}

/// Cuts a run of batches apart: what a fetch returns, or a file holds. A batch
/// that is cut off at the end is left out, as in Kafka's clients.
pub fn batches(mut bytes: Bytes) -> impl Iterator<Item = Result<RecordBatch, BatchError>> {
    std::iter::from_fn(move || {
        if bytes.len() < BatchHeader::SIZE {
            return None;
        }
        let header = match BatchHeader::parse(&bytes) {
            Ok(header) => header,
            Err(error) => {
                bytes.clear();
                return Some(Err(error));
            }
        };
        let size = usize::try_from(header.size.0).ok()?;
        if bytes.len() < size {
            return None;
        }
        Some(RecordBatch::from_bytes(bytes.split_to(size)))
    })
}
