//! What is copied, in which order, and what was copied so far.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ottla_base::Offset;
use ottla_protocol::records::{BatchError, RecordBatch};

use super::target::{Target, entry_bytes};
use super::{Destination, Landing, MovedRow, Moves, Purpose};
use crate::commit::entry::FileNumber;
use crate::commit::file::CommitFile;
use crate::compaction::{Pass, Verdict, judge};
use crate::keys::{self, IndexRow, Piece, Table};
use crate::rocks::index::IndexError;
use crate::rocks::reader;
use crate::rocks::shared::Shared;
use crate::{LogId, ReadMode};

/// What is read at once.
const READ_BYTES: u64 = 1024 * 1024;
const READ_ROWS: usize = 1024;
/// Rows that the writer changes at once, while others wait for it.
const CHUNK_ROWS: usize = 100;
/// Rows that one target takes at most: so many are kept in memory.
const TARGET_ROWS: usize = 128 * 1024;

/// A stretch of offsets of one log that is to be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Parcel {
    pub(crate) log: LogId,
    pub(crate) first: Offset,
    pub(crate) last: Offset,
}

/// The pieces of all logs that lie in `files`, by log and offset.
pub(crate) fn parcels(
    shared: &Shared,
    files: &BTreeSet<FileNumber>,
) -> Result<VecDeque<Parcel>, IndexError> {
    let mut parcels = Vec::new();
    let mut add = |log: LogId, piece: Piece| {
        if files.contains(&piece.file) {
            parcels.push(Parcel {
                log,
                first: piece.first,
                last: piece.last,
            });
        }
    };
    let (first, end) = keys::table_range(Table::Pieces);
    let mut rows = shared.index.rows(&first, &end, ReadMode::Blocking)?;
    let mut current = rows.first()?;
    while let Some((key, value)) = current {
        let piece = Piece::parse(value)?;
        if let Some(log) = keys::log_of(key) {
            add(log, piece);
        }
        current = rows.next()?;
    }
    for log in shared.logs.all() {
        if let Some(piece) = log.state().row.piece {
            add(log.id, piece);
        }
    }
    parcels.sort_unstable();
    Ok(parcels.into())
}

/// One target's worth of copying. Owned by the job.
#[derive(Debug)]
pub(crate) struct Copying {
    target: Target,
    bytes_max: u64,
    purpose: Purpose,
    rows: usize,
    chunks: Vec<Moves>,
    /// Of the first parcel; ends where that begins now.
    open: Option<Moves>,
}

/// What is left to be told to the writer of a finished target.
#[derive(Debug)]
pub(crate) struct Copied {
    pub(crate) chunks: VecDeque<Arc<Moves>>,
    /// Held so that it does not go between two chunks, should the first one's log.
    _target: Arc<CommitFile>,
}

/// What a step of copying did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// So many bytes were read and written.
    Copied(u64),
    /// The target takes no more, or there is no more.
    Full,
}

/// Why a step of copying did nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Index(#[from] IndexError),
    /// Its CRC is right, so it came like that.
    #[error("a batch that is to be compacted is malformed: {0}")]
    Batch(#[from] BatchError),
}

impl Copying {
    pub(crate) const fn new(target: Target, bytes_max: u64, purpose: Purpose) -> Self {
        Self {
            target,
            bytes_max,
            purpose,
            rows: 0,
            chunks: Vec::new(),
            open: None,
        }
    }

    /// Copies some of the first parcel, which then begins behind that, or is gone. Of a
    /// log that is compacted only what the pass leaves is copied.
    pub(crate) fn step(
        &mut self,
        shared: &Shared,
        parcels: &mut VecDeque<Parcel>,
        pass: Option<&Pass>,
    ) -> Result<Progress, CopyError> {
        let Some(parcel) = parcels.front_mut() else {
            return Ok(Progress::Full);
        };
        let rows = some_rows(shared, *parcel)?;
        let batches = match reader::read_rows(shared, &rows) {
            Ok(batches) => batches,
            Err(obstacle) => {
                self.close();
                reader::give_up(shared, parcel.log, parcel.first, obstacle);
                let log = parcel.log;
                parcels.retain(|parcel| parcel.log != log);
                return Ok(Progress::Copied(0));
            }
        };
        let mut bytes = 0;
        for (row, batch) in rows.iter().zip(batches) {
            if !self.has_room(&batch) {
                self.close();
                return Ok(Progress::Full);
            }
            bytes += 2 * entry_bytes(&batch);
            let verdict = match pass {
                Some(pass) => judge(pass, &batch)?,
                None => Verdict::Stays,
            };
            let to = self.place(parcel.log, batch, verdict)?;
            self.add(*parcel, row, to);
            parcel.first = row.header.next_offset();
        }
        if rows.is_empty() || parcel.first > parcel.last {
            self.finish(*parcel, pass);
            parcels.pop_front();
        }
        Ok(Progress::Copied(bytes))
    }

    /// Everything that was copied is durable when this returns, and can be read.
    pub(crate) fn seal(self, shared: &Shared) -> std::io::Result<Copied> {
        let (file, target_length) = self.target.seal()?;
        shared.insert_file(file.clone());
        let chunks = self.chunks.into_iter();
        let chunks = chunks.map(|chunk| {
            Arc::new(Moves {
                target_length,
                ..chunk
            })
        });
        Ok(Copied {
            chunks: chunks.collect(),
            _target: file,
        })
    }

    pub(crate) fn discard(self) -> std::io::Result<()> {
        self.target.discard()
    }

    fn has_room(&self, batch: &RecordBatch) -> bool {
        let fits = self.target.length() + entry_bytes(batch) <= self.bytes_max;
        self.rows == 0 || (fits && self.rows < TARGET_ROWS)
    }

    fn place(
        &mut self,
        log: LogId,
        batch: RecordBatch,
        verdict: Verdict,
    ) -> std::io::Result<Destination> {
        Ok(match verdict {
            Verdict::Stays => Destination::Verbatim {
                at: self.target.push(log, batch)?,
            },
            Verdict::Becomes(batch) => {
                let header = *batch.header();
                let at = self.target.push(log, batch)?;
                Destination::Rebuilt(Box::new(Landing { at, header }))
            }
            Verdict::Goes => Destination::Nowhere,
        })
    }

    fn add(&mut self, parcel: Parcel, row: &IndexRow, to: Destination) {
        self.rows += 1;
        let chunk = self.open(parcel);
        chunk.through = row.header.last_offset();
        chunk.rows.push(MovedRow {
            base: row.header.base_offset,
            from: row.position,
            to,
        });
        if chunk.rows.len() == CHUNK_ROWS {
            self.close();
        }
    }

    /// What is left of the parcel holds no batch any more, and is covered too.
    fn finish(&mut self, parcel: Parcel, pass: Option<&Pass>) {
        if parcel.first <= parcel.last {
            self.open(parcel).through = parcel.last;
        }
        self.close();
        if let (Some(pass), Some(last)) = (pass, self.chunks.last_mut()) {
            last.purpose = Purpose::CompactedTo(pass.latest.end());
        }
    }

    fn open(&mut self, parcel: Parcel) -> &mut Moves {
        let (target, purpose) = (self.target.number(), self.purpose);
        self.open.get_or_insert_with(|| Moves {
            log: parcel.log,
            first: parcel.first,
            through: parcel.first,
            target,
            target_length: 0,
            rows: Vec::new(),
            purpose,
        })
    }

    fn close(&mut self) {
        self.chunks.extend(self.open.take());
    }
}

/// The rows at the front of a parcel: as many as are read at once.
pub(crate) fn some_rows(shared: &Shared, parcel: Parcel) -> Result<Vec<IndexRow>, IndexError> {
    let first = keys::offset_key(Table::Index, parcel.log, parcel.first);
    let end = keys::offset_key(Table::Index, parcel.log, parcel.last.plus(1));
    let mut rows = shared.index.rows(&first, &end, ReadMode::Blocking)?;
    let mut chosen: Vec<IndexRow> = Vec::new();
    let mut bytes = 0;
    let mut current = rows.first()?;
    while let Some((_, value)) = current {
        let row = IndexRow::parse(value)?;
        bytes += row.header.size.0;
        let is_enough = bytes > READ_BYTES || chosen.len() == READ_ROWS;
        if is_enough && !chosen.is_empty() {
            break;
        }
        chosen.push(row);
        current = rows.next()?;
    }
    Ok(chosen)
}
