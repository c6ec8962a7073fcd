//! The bytes of the index's rows: one struct per table, one place for all keys.
//!
//! Numbers are big-endian, so that rows sort as what they stand for. The index
//! holds one sorted space, and the first byte of a key names its table.

use ottla_base::{ByteSize, Offset, PartitionId, TopicId, TopicPartition};
use ottla_protocol::records::BatchHeader;

use crate::commit::entry::{FileNumber, Position};
use crate::{Bounds, LogId};

/// What a row is about; the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// One row per commit file.
    Files = b'F',
    /// One row per batch.
    Index = b'I',
    /// One row per log.
    Logs = b'L',
    /// What the index knows about itself.
    Meta = b'M',
    /// One row per log and run of offsets whose batches lie in one file, but for the
    /// last run of a log.
    Pieces = b'P',
    /// Small state, by log and key.
    State = b'S',
    /// One row per log and run of batches: their greatest timestamp.
    Time = b'T',
}

impl Table {
    const fn byte(self) -> u8 {
        self as u8
    }
}

/// The row is not one that this version writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of table {table:?} is malformed")]
pub(crate) struct MalformedRow {
    pub(crate) table: Table,
}

pub(crate) const FORMAT: [u8; 2] = [Table::Meta.byte(), b'f'];
pub(crate) const POSITION: [u8; 2] = [Table::Meta.byte(), b'p'];
pub(crate) const SYNCED: [u8; 2] = [Table::Meta.byte(), b's'];
pub(crate) const NEXT_LOG: [u8; 2] = [Table::Meta.byte(), b'n'];
pub(crate) const NEXT_SORTED: [u8; 2] = [Table::Meta.byte(), b'r'];
pub(crate) const FLUSH: [u8; 2] = [Table::Meta.byte(), b'w'];

/// The keys of a table of one kind: `first <= key < end`.
pub(crate) const fn table_range(table: Table) -> ([u8; 1], [u8; 1]) {
    ([table.byte()], [table.byte() + 1])
}

/// The keys of one log in a table: `first <= key < end`.
pub(crate) const fn log_range(table: Table, log: LogId) -> ([u8; 9], [u8; 9]) {
    (log_prefix(table, log), log_prefix(table, LogId(log.0 + 1)))
}

const fn log_prefix(table: Table, log: LogId) -> [u8; 9] {
    let [a, b, c, d, e, f, g, h] = log.0.to_be_bytes();
    [table.byte(), a, b, c, d, e, f, g, h]
}

pub(crate) const fn log_key(log: LogId) -> [u8; 9] {
    log_prefix(Table::Logs, log)
}

pub(crate) fn file_key(file: FileNumber) -> [u8; 5] {
    joined(&[&[Table::Files.byte()], &file.0.to_be_bytes()])
}

/// A row of `Index`, `Time` or `Pieces`: by the base offset of its first batch.
pub(crate) fn offset_key(table: Table, log: LogId, base: Offset) -> [u8; 17] {
    joined(&[&log_prefix(table, log), &base.0.to_be_bytes()])
}

pub(crate) fn state_key(log: LogId, key: &[u8]) -> Vec<u8> {
    [&log_prefix(Table::State, log)[..], key].concat()
}

/// The log of a key of `Logs`, `Index`, `Time`, `Pieces` or `State`.
pub(crate) fn log_of(key: &[u8]) -> Option<LogId> {
    let bytes = key.get(1..)?.first_chunk()?;
    Some(LogId(u64::from_be_bytes(*bytes)))
}

/// The base offset of a key of `Index`, `Time` or `Pieces`.
pub(crate) fn offset_of(key: &[u8]) -> Option<Offset> {
    let bytes = key.get(9..)?.try_into().ok()?;
    Some(Offset(i64::from_be_bytes(bytes)))
}

/// The file of a key of `Files`.
pub(crate) fn file_of(key: &[u8]) -> Option<FileNumber> {
    let bytes = key.get(1..)?.try_into().ok()?;
    Some(FileNumber(u32::from_be_bytes(bytes)))
}

/// Where a batch lies, and its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexRow {
    /// Of the entry that holds the batch.
    pub(crate) position: Position,
    /// Bytes of all batches that the log ever held before this one, as they were
    /// before any compaction.
    pub(crate) preceding: u64,
    pub(crate) header: BatchHeader,
}

impl IndexRow {
    pub(crate) fn write(&self) -> [u8; 77] {
        joined(&[
            &self.position.to_bytes(),
            &self.preceding.to_be_bytes(),
            &self.header.write(),
        ])
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MalformedRow> {
        let table = Table::Index;
        let mut fields = Fields::of(bytes, 77, table)?;
        Ok(Self {
            position: Position::from_bytes(fields.next()),
            preceding: u64::from_be_bytes(fields.next()),
            header: BatchHeader::parse(&fields.next::<61>()).map_err(|_| MalformedRow { table })?,
        })
    }
}

/// A run of consecutive batches of one log and their greatest timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeRow {
    pub(crate) last: Offset,
    pub(crate) max_timestamp: i64,
}

impl TimeRow {
    pub(crate) fn write(&self) -> [u8; 16] {
        joined(&[
            &self.last.0.to_be_bytes(),
            &self.max_timestamp.to_be_bytes(),
        ])
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MalformedRow> {
        let mut fields = Fields::of(bytes, 16, Table::Time)?;
        Ok(Self {
            last: fields.offset(),
            max_timestamp: i64::from_be_bytes(fields.next()),
        })
    }
}

/// A run of offsets of one log whose batches all lie in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) file: FileNumber,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
    /// Of the entries; those that were cut off its end may still be counted.
    pub(crate) bytes: u64,
}

impl Piece {
    pub(crate) fn write(&self) -> [u8; 28] {
        joined(&[
            &self.file.0.to_be_bytes(),
            &self.first.0.to_be_bytes(),
            &self.last.0.to_be_bytes(),
            &self.bytes.to_be_bytes(),
        ])
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MalformedRow> {
        let mut fields = Fields::of(bytes, 28, Table::Pieces)?;
        Ok(fields.piece())
    }
}

/// What is still needed of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileRow {
    /// Bytes written.
    pub(crate) length: u32,
    pub(crate) live_bytes: u64,
    /// How many pieces of logs lie in it.
    pub(crate) live_pieces: u32,
    /// How often the log changed from one batch to the next when it was written.
    pub(crate) runs: u32,
}

impl FileRow {
    pub(crate) fn write(&self) -> [u8; 20] {
        joined(&[
            &self.length.to_be_bytes(),
            &self.live_bytes.to_be_bytes(),
            &self.live_pieces.to_be_bytes(),
            &self.runs.to_be_bytes(),
        ])
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MalformedRow> {
        let mut fields = Fields::of(bytes, 20, Table::Files)?;
        Ok(Self {
            length: u32::from_be_bytes(fields.next()),
            live_bytes: u64::from_be_bytes(fields.next()),
            live_pieces: u32::from_be_bytes(fields.next()),
            runs: u32::from_be_bytes(fields.next()),
        })
    }
}

/// Everything that is known about a log as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LogRow {
    pub(crate) tp: TopicPartition,
    pub(crate) bounds: Bounds,
    /// Bytes of all batches ever held, below the start and below the end.
    pub(crate) preceding_start: u64,
    pub(crate) preceding_end: u64,
    /// How many of those between start and end compaction has removed. It may have
    /// added some: a batch that says when its markers go can be larger.
    pub(crate) compacted: i64,
    /// Every batch below was compacted, and none of those behind.
    pub(crate) clean: Offset,
    pub(crate) damaged: bool,
    /// The run of offsets at the end, where it grows.
    pub(crate) piece: Option<Piece>,
    /// The batches at the end that have no row in `Time` yet.
    pub(crate) run: Option<Run>,
}

/// A run of batches that still grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) first: Offset,
    pub(crate) batches: u8,
    pub(crate) max_timestamp: i64,
}

impl LogRow {
    const SIZE: usize = 20 + 16 + 16 + 16 + 1 + 28 + 17;

    pub(crate) const fn new(tp: TopicPartition) -> Self {
        Self {
            tp,
            bounds: Bounds::EMPTY,
            preceding_start: 0,
            preceding_end: 0,
            compacted: 0,
            clean: Offset::ZERO,
            damaged: false,
            piece: None,
            run: None,
        }
    }

    /// Bytes of the batches within the bounds.
    pub(crate) const fn size(&self) -> ByteSize {
        let held = self.preceding_end - self.preceding_start;
        ByteSize(held.saturating_add_signed(-self.compacted))
    }

    pub(crate) fn write(&self) -> [u8; Self::SIZE] {
        // File numbers start at 1, and a run has at least one batch.
        let piece = self.piece.unwrap_or(Piece::NONE);
        let run = self.run.unwrap_or(Run::NONE);
        joined(&[
            &self.tp.topic.0,
            &self.tp.partition.0.to_be_bytes(),
            &self.bounds.start.0.to_be_bytes(),
            &self.bounds.end.0.to_be_bytes(),
            &self.preceding_start.to_be_bytes(),
            &self.preceding_end.to_be_bytes(),
            &self.compacted.to_be_bytes(),
            &self.clean.0.to_be_bytes(),
            &[u8::from(self.damaged)],
            &piece.write(),
            &run.first.0.to_be_bytes(),
            &[run.batches],
            &run.max_timestamp.to_be_bytes(),
        ])
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MalformedRow> {
        let mut fields = Fields::of(bytes, Self::SIZE, Table::Logs)?;
        let tp = TopicPartition {
            topic: TopicId(fields.next()),
            partition: PartitionId(i32::from_be_bytes(fields.next())),
        };
        let bounds = Bounds {
            start: fields.offset(),
            end: fields.offset(),
        };
        let preceding_start = u64::from_be_bytes(fields.next());
        let preceding_end = u64::from_be_bytes(fields.next());
        let compacted = i64::from_be_bytes(fields.next());
        let clean = fields.offset();
        let damaged = fields.next() != [0];
        let piece = fields.piece();
        let run = Run {
            first: fields.offset(),
            batches: u8::from_be_bytes(fields.next()),
            max_timestamp: i64::from_be_bytes(fields.next()),
        };
        Ok(Self {
            tp,
            bounds,
            preceding_start,
            preceding_end,
            compacted,
            clean,
            damaged,
            piece: (piece.file.0 != 0).then_some(piece),
            run: (run.batches != 0).then_some(run),
        })
    }
}

impl Piece {
    const NONE: Self = Self {
        file: FileNumber(0),
        first: Offset::ZERO,
        last: Offset::ZERO,
        bytes: 0,
    };
}

impl Run {
    const NONE: Self = Self {
        first: Offset::ZERO,
        batches: 0,
        max_timestamp: 0,
    };
}

/// `N` bytes made of `parts`.
fn joined<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut at = 0;
    for part in parts {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    assert_eq!(at, N, "the parts fill the row");
    bytes
}

/// The fields of a row, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8], size: usize, table: Table) -> Result<Self, MalformedRow> {
        if bytes.len() == size {
            Ok(Self(bytes))
        } else {
            Err(MalformedRow { table })
        }
    }

    fn next<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .expect("the row's size was checked");
        self.0 = rest;
        *field
    }

    fn offset(&mut self) -> Offset {
        Offset(i64::from_be_bytes(self.next()))
    }

    fn piece(&mut self) -> Piece {
        Piece {
            file: FileNumber(u32::from_be_bytes(self.next())),
            first: self.offset(),
            last: self.offset(),
            bytes: u64::from_be_bytes(self.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;

    const PIECE: Piece = Piece {
        file: FileNumber(u32::MAX),
        first: Offset(1),
        last: Offset(1 << 40),
        bytes: u64::MAX,
    };

    fn log_row() -> LogRow {
        LogRow {
            tp: TopicPartition {
                topic: TopicId([9; 16]),
                partition: PartitionId(17),
            },
            bounds: Bounds {
                start: Offset(2),
                end: Offset(i64::MAX),
            },
            preceding_start: 3,
            preceding_end: 4,
            compacted: 1,
            clean: Offset(5),
            damaged: true,
            piece: Some(PIECE),
            run: Some(Run {
                first: Offset(6),
                batches: 127,
                max_timestamp: -1,
            }),
        }
    }

    #[test]
    fn rows_are_read_back_as_they_were_written() {
        let index = IndexRow {
            position: Position {
                file: FileNumber(3),
                at: u32::MAX,
            },
            preceding: 1 << 50,
            header: *batch(Offset(77), 3, 9, 10).header(),
        };
        assert_eq!(IndexRow::parse(&index.write()), Ok(index));
        let time = TimeRow {
            last: Offset(8),
            max_timestamp: -1,
        };
        assert_eq!(TimeRow::parse(&time.write()), Ok(time));
        assert_eq!(Piece::parse(&PIECE.write()), Ok(PIECE));
        let file = FileRow {
            length: 1,
            live_bytes: 2,
            live_pieces: 3,
            runs: 4,
        };
        assert_eq!(FileRow::parse(&file.write()), Ok(file));
        for row in [log_row(), LogRow::new(log_row().tp)] {
            assert_eq!(LogRow::parse(&row.write()), Ok(row));
        }
    }

    #[test]
    fn a_row_of_another_length_is_malformed() {
        let bytes = log_row().write();
        let table = Table::Logs;
        assert_eq!(LogRow::parse(&bytes[1..]), Err(MalformedRow { table }));
    }

    #[test]
    fn keys_name_what_they_are_about() {
        let log = LogId(0x0102_0304_0506_0708);
        let key = offset_key(Table::Index, log, Offset(5));
        assert_eq!(log_of(&key), Some(log));
        assert_eq!(offset_of(&key), Some(Offset(5)));
        assert_eq!(file_of(&file_key(FileNumber(6))), Some(FileNumber(6)));
        assert_eq!(log_of(&log_key(log)), Some(log));
    }

    #[test]
    fn keys_sort_by_log_and_then_by_offset() {
        let key = |log, offset| offset_key(Table::Index, LogId(log), Offset(offset));
        let (first, end) = log_range(Table::Index, LogId(1));
        let sorted = [
            &first[..],
            &key(1, 0),
            &key(1, 255),
            &key(1, 256),
            &key(1, i64::MAX),
            &end[..],
            &key(2, 0),
            &key(256, 0),
        ];
        assert!(sorted.is_sorted(), "{sorted:?}");
    }
}
