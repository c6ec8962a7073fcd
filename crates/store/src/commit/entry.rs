//! The bytes of the commit log's entries. `docs/reference/on-disk.md` is their
//! specification.
//!
//! Must not know files or the index.

use std::cmp::Ordering;

use bytes::Bytes;
use ottla_base::{Offset, PartitionId, TopicId, TopicPartition};
use ottla_protocol::records::{BatchHeader, RecordBatch};

use crate::LogId;

/// Bytes in front of every payload.
pub(crate) const HEADER_SIZE: usize = 32;
pub(crate) const VERSION: u8 = 1;
const MAGIC: [u8; 2] = *b"OL";
/// How much of a batch the entry's CRC covers: what lies in front of the bytes that
/// the batch's own CRC covers.
const BATCH_FRONT: usize = 21;
/// Up to here a batch's bytes are copied next to its header, because one more
/// segment in a vectored write costs more than the copy.
const COPY_MAX: usize = 1024;

/// Names one file of entries. The commit log's own files count from 1, and grow by
/// one with each. Those that the rewrite job made are *sorted* files, which have the
/// highest bit set and come before all of the commit log: what lies in them was
/// written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileNumber(pub u32);

impl FileNumber {
    const SORTED: u32 = 1 << 31;

    pub(crate) const fn sorted(number: u32) -> Self {
        Self(number | Self::SORTED)
    }

    /// Whether the rewrite job made it: no replay ever reads it.
    pub const fn is_sorted(self) -> bool {
        self.0 & Self::SORTED != 0
    }

    /// Among those of its kind.
    pub(crate) const fn within_kind(self) -> u32 {
        self.0 & !Self::SORTED
    }

    /// What the file is called.
    pub fn file_name(self) -> String {
        let extension = if self.is_sorted() { "sorted" } else { "log" };
        format!("{:020}.{extension}", self.within_kind())
    }
}

impl Ord for FileNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0 ^ Self::SORTED).cmp(&(other.0 ^ Self::SORTED))
    }
}

impl PartialOrd for FileNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for FileNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_sorted() { "s" } else { "" };
        write!(f, "{kind}{}", self.within_kind())
    }
}

/// A place in the commit log. Places are ordered as the entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub file: FileNumber,
    pub at: u32,
}

impl Position {
    pub const START: Self = Self {
        file: FileNumber(1),
        at: 0,
    };

    pub(crate) const fn to_bytes(self) -> [u8; 8] {
        let [a, b, c, d] = self.file.0.to_be_bytes();
        let [e, f, g, h] = self.at.to_be_bytes();
        [a, b, c, d, e, f, g, h]
    }

    pub(crate) const fn from_bytes([a, b, c, d, e, f, g, h]: [u8; 8]) -> Self {
        Self {
            file: FileNumber(u32::from_be_bytes([a, b, c, d])),
            at: u32::from_be_bytes([e, f, g, h]),
        }
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.at)
    }
}

/// What an entry says about its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Create(TopicPartition),
    Batch(RecordBatch),
    Truncate(Offset),
    StartOffset(Offset),
    Drop,
    State {
        key: Bytes,
        value: Bytes,
    },
    /// The last entry of its file; of log 0.
    Seal,
}

impl Entry {
    const fn kind(&self) -> u8 {
        match self {
            Self::Create(_) => 1,
            Self::Batch(_) => 2,
            Self::Truncate(_) => 3,
            Self::StartOffset(_) => 4,
            Self::Drop => 5,
            Self::State { .. } => 6,
            Self::Seal => 7,
        }
    }

    /// Bytes of the entry with its header; none if no entry can hold that much.
    pub(crate) fn size(&self) -> Option<u32> {
        let payload = match self {
            Self::Create(_) => 20,
            Self::Batch(batch) => batch.header().size.0,
            Self::Truncate(_) | Self::StartOffset(_) => 8,
            Self::Drop | Self::Seal => 0,
            Self::State { key, value } => 4 + key.len() as u64 + value.len() as u64,
        };
        u32::try_from(payload + HEADER_SIZE as u64).ok()
    }
}

/// Entries on their way to disk: small parts copied side by side, large ones as
/// they came.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    small: Vec<u8>,
    /// Each is written in front of what `small` holds from this index on.
    large: Vec<(usize, Bytes)>,
    size: usize,
}

impl Outgoing {
    pub(crate) fn clear(&mut self) {
        self.small.clear();
        self.large.clear();
        self.size = 0;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Adds an entry that will lie in `file`; everything below `synced` is durable
    /// by now.
    pub(crate) fn push(&mut self, log: LogId, entry: &Entry, file: FileNumber, synced: Position) {
        let size = entry.size().expect("the caller found room for the entry");
        let start = self.small.len();
        self.small.extend_from_slice(&MAGIC);
        self.small.extend_from_slice(&[VERSION, entry.kind()]);
        let payload = size - 32;
        self.small.extend_from_slice(&payload.to_be_bytes());
        self.small.extend_from_slice(&[0; 4]);
        self.small.extend_from_slice(&file.0.to_be_bytes());
        self.small.extend_from_slice(&log.0.to_be_bytes());
        self.small.extend_from_slice(&synced.to_bytes());
        let large = self.push_payload(entry);
        let crc = entry_crc(&self.small[start..], entry.kind(), large.as_deref());
        self.small[start + 8..start + 12].copy_from_slice(&crc.to_be_bytes());
        if let Some(large) = large {
            self.large.push((self.small.len(), large));
        }
        self.size += payload as usize + HEADER_SIZE;
    }

    /// Returns what is too large to copy.
    fn push_payload(&mut self, entry: &Entry) -> Option<Bytes> {
        match entry {
            Entry::Create(tp) => {
                self.small.extend_from_slice(&tp.topic.0);
                self.small.extend_from_slice(&tp.partition.0.to_be_bytes());
            }
            Entry::Batch(batch) => {
                self.small.extend_from_slice(&batch.prefix());
                if batch.rest().len() > COPY_MAX {
                    return Some(batch.rest().clone());
                }
                self.small.extend_from_slice(batch.rest());
            }
            Entry::Truncate(to) | Entry::StartOffset(to) => {
                self.small.extend_from_slice(&to.0.to_be_bytes());
            }
            Entry::State { key, value } => {
                let length = u32::try_from(key.len()).expect("the entry's size was checked");
                self.small.extend_from_slice(&length.to_be_bytes());
                self.small.extend_from_slice(key);
                self.small.extend_from_slice(value);
            }
            Entry::Drop | Entry::Seal => {}
        }
        None
    }

    /// The bytes in the order in which they are written.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.large.iter().map(|(at, _)| *at));
        let ends = self.large.iter().map(|(at, bytes)| (*at, Some(bytes)));
        let ends = ends.chain(std::iter::once((self.small.len(), None)));
        starts
            .zip(ends)
            .flat_map(|(start, (end, large))| {
                let large = large.map_or(&[][..], |bytes| &bytes[..]);
                [&self.small[start..end], large]
            })
            .filter(|segment| !segment.is_empty())
    }
}

/// The CRC of an entry whose bytes are `front`, then `large`. The CRC's own field
/// is left out.
fn entry_crc(front: &[u8], kind: u8, large: Option<&[u8]>) -> u32 {
    let crc = crc32c::crc32c(&front[..8]);
    let crc = crc32c::crc32c_append(crc, &front[12..HEADER_SIZE]);
    let payload = &front[HEADER_SIZE..];
    if kind != KIND_BATCH {
        return crc32c::crc32c_append(crc, payload);
    }
    let own = payload.len().min(BATCH_FRONT);
    let crc = crc32c::crc32c_append(crc, &payload[..own]);
    let missing = BATCH_FRONT - own;
    match large {
        Some(large) if missing > 0 => crc32c::crc32c_append(crc, &large[..missing]),
        _ => crc,
    }
}

const KIND_BATCH: u8 = 2;

/// An entry read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) log: LogId,
    pub(crate) entry: Entry,
    /// Bytes in the file, header included.
    pub(crate) size: u32,
    /// Everything below was durable when this was written.
    pub(crate) synced: Position,
}

/// Why there is no entry at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEntry {
    /// Nothing was written here since the file got its number.
    #[error("no entry begins here")]
    Nothing,
    #[error("the format version {0} is unknown")]
    Version(u8),
    #[error("the entry is longer than its file")]
    Length,
    #[error("the checksum does not fit")]
    Checksum,
    #[error("the payload is malformed")]
    Payload,
}

/// What the first 32 bytes of an entry say, before anything is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Front {
    kind: u8,
    crc: u32,
    pub(crate) log: LogId,
    pub(crate) size: u32,
    synced: Position,
}

impl Front {
    pub(crate) fn parse(bytes: &[u8], file: FileNumber) -> Result<Self, NoEntry> {
        let front = bytes.first_chunk::<HEADER_SIZE>().ok_or(NoEntry::Nothing)?;
        if front[..2] != MAGIC || field(front, 12) != file.0.to_be_bytes() {
            return Err(NoEntry::Nothing);
        }
        if front[2] != VERSION {
            return Err(NoEntry::Version(front[2]));
        }
        let payload = u32::from_be_bytes(field(front, 4));
        Ok(Self {
            kind: front[3],
            crc: u32::from_be_bytes(field(front, 8)),
            log: LogId(u64::from_be_bytes(field(front, 16))),
            size: payload.checked_add(32).ok_or(NoEntry::Length)?,
            synced: Position::from_bytes(field(front, 24)),
        })
    }

    /// The entry whose bytes are `bytes`: as many as the front says.
    pub(crate) fn verify(self, bytes: &Bytes) -> Result<Found, NoEntry> {
        if entry_crc(bytes, self.kind, None) != self.crc {
            return Err(NoEntry::Checksum);
        }
        let payload = bytes.slice(HEADER_SIZE..);
        let entry = match self.kind {
            1 => create(&payload),
            KIND_BATCH => {
                let batch = RecordBatch::from_bytes(payload).map_err(|_| NoEntry::Payload)?;
                if !batch.verify_crc() {
                    return Err(NoEntry::Checksum);
                }
                Some(Entry::Batch(batch))
            }
            3 => offset(&payload).map(Entry::Truncate),
            4 => offset(&payload).map(Entry::StartOffset),
            5 => Some(Entry::Drop),
            6 => state(&payload),
            7 => Some(Entry::Seal),
            _ => None,
        };
        Ok(Found {
            log: self.log,
            entry: entry.ok_or(NoEntry::Payload)?,
            size: self.size,
            synced: self.synced,
        })
    }
}

/// The smallest entry that holds a batch of these bytes.
pub(crate) fn batch_entry_size(header: &BatchHeader) -> u64 {
    header.size.0 + HEADER_SIZE as u64
}

fn create(payload: &[u8]) -> Option<Entry> {
    let payload: &[u8; 20] = payload.try_into().ok()?;
    Some(Entry::Create(TopicPartition {
        topic: TopicId(field(payload, 0)),
        partition: PartitionId(i32::from_be_bytes(field(payload, 16))),
    }))
}

fn offset(payload: &[u8]) -> Option<Offset> {
    let bytes = payload.try_into().ok()?;
    Some(Offset(i64::from_be_bytes(bytes)))
}

fn state(payload: &Bytes) -> Option<Entry> {
    let length = u32::from_be_bytes(*payload.first_chunk()?);
    let value_at = usize::try_from(length).ok()?.checked_add(4)?;
    if value_at > payload.len() {
        return None;
    }
    Some(Entry::State {
        key: payload.slice(4..value_at),
        value: payload.slice(value_at..),
    })
}

/// `N` bytes from `at` on.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..]
        .first_chunk()
        .expect("every field lies within the bytes that were taken")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;

    const FILE: FileNumber = FileNumber(7);
    const SYNCED: Position = Position {
        file: FileNumber(6),
        at: 99,
    };

    fn entries() -> Vec<Entry> {
        let tp = TopicPartition {
            topic: TopicId([5; 16]),
            partition: PartitionId(3),
        };
        vec![
            Entry::Create(tp),
            Entry::Batch(batch(Offset(12), 3, 100, 40)),
            Entry::Batch(batch(Offset(15), 1, 100, 5000)),
            Entry::Truncate(Offset(14)),
            Entry::State {
                key: Bytes::from_static(b"producers"),
                value: Bytes::from_static(b"none"),
            },
            Entry::StartOffset(Offset(13)),
            Entry::Drop,
            Entry::Seal,
        ]
    }

    fn written(entries: &[Entry]) -> Bytes {
        let mut outgoing = Outgoing::default();
        for entry in entries {
            outgoing.push(LogId(4), entry, FILE, SYNCED);
        }
        let bytes: Vec<u8> = outgoing.segments().flatten().copied().collect();
        assert_eq!(bytes.len(), outgoing.size());
        Bytes::from(bytes)
    }

    fn read(bytes: &Bytes) -> Result<Found, NoEntry> {
        let front = Front::parse(bytes, FILE)?;
        let size = usize::try_from(front.size).unwrap();
        if size > bytes.len() {
            return Err(NoEntry::Length);
        }
        front.verify(&bytes.slice(..size))
    }

    #[test]
    fn entries_are_read_back_as_they_were_written() {
        let mut bytes = written(&entries());
        for entry in entries() {
            let found = read(&bytes).unwrap();
            assert_eq!(found.entry, entry);
            assert_eq!(found.log, LogId(4));
            assert_eq!(found.synced, SYNCED);
            assert_eq!(Some(found.size), entry.size());
            bytes = bytes.slice(found.size as usize..);
        }
        assert!(bytes.is_empty());
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for entry in entries() {
            let bytes = written(std::slice::from_ref(&entry)).to_vec();
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(read(&flipped.into()).is_err(), "bit {bit} of {entry:?}");
            }
        }
    }

    #[test]
    fn an_entry_of_a_file_s_former_life_is_none() {
        let bytes = written(&[Entry::Drop]);
        let front = Front::parse(&bytes, FileNumber(8));
        assert_eq!(front.err(), Some(NoEntry::Nothing));
    }

    #[test]
    fn sorted_files_come_before_the_commit_log() {
        let files = [
            FileNumber::sorted(1),
            FileNumber::sorted(9),
            FileNumber(1),
            FileNumber(9),
        ];
        assert!(files.is_sorted(), "{files:?}");
        assert_eq!(files[1].file_name(), "00000000000000000009.sorted");
        assert_eq!(files[3].file_name(), "00000000000000000009.log");
    }

    #[test]
    fn an_unknown_version_is_named() {
        let mut bytes = written(&[Entry::Drop]).to_vec();
        bytes[2] = 9;
        assert_eq!(read(&bytes.into()), Err(NoEntry::Version(9)));
    }
}
