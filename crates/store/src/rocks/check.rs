//! Verifies a whole directory: every entry, every row, every count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ottla_base::{ByteSize, Offset, TopicPartition};
use ottla_protocol::records::BatchHeader;

use super::OpenError;
use super::index::IndexError;
use super::inspect::Inspected;
use super::standby::Places;
use crate::commit::disk::Disk;
use crate::commit::entry::{FileNumber, Front, HEADER_SIZE, NoEntry, Position, batch_entry_size};
use crate::commit::recovery::{Gap, GoesOn, look_behind};
use crate::commit::scan::{Scanner, is_seal};
use crate::keys::{self, FileRow, IndexRow, LogRow, Piece, Table, TimeRow};
use crate::{LogId, ReadMode};

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub done: ByteSize,
    pub total: ByteSize,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub logs: u64,
    /// In the commit log, needed or not.
    pub entries: u64,
    /// That the index names.
    pub batches: u64,
    pub faults: Vec<Fault>,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub place: Place,
    pub what: FaultKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The copy of the index.
    IndexCopy,
    Entry(Position),
    File(FileNumber),
    Partition(TopicPartition),
    Batch {
        partition: TopicPartition,
        base: Offset,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    #[error("the entry is damaged: {0}")]
    Entry(NoEntry),
    #[error("the batch is damaged, at {0} of the commit log")]
    Batch(Position),
    #[error("the file is missing")]
    FileMissing,
    #[error("the index counts {counted} live bytes in {pieces} logs, and there are {found}")]
    Live {
        counted: ByteSize,
        pieces: u32,
        found: ByteSize,
    },
    #[error("the log was found damaged before and is offline")]
    Offline,
    #[error("the batches do not follow each other up to the end")]
    Gap,
    #[error("the sum of the batches' sizes differs from what the index says")]
    Size,
    #[error("the commit log holds something else where the index says the batch is")]
    Elsewhere,
    #[error("the greatest timestamp of its run of batches is wrong")]
    Time,
    #[error("{0}")]
    IndexCopy(String),
    #[error("the index is older than its copy: the next start takes the copy")]
    IndexOld,
}

/// Reads everything and changes nothing. Fails only where nothing can be looked at.
pub fn check(dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Report, OpenError> {
    check_on(&Disk::Real, dir, progress)
}

pub(crate) fn check_on(
    disk: &Disk,
    dir: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, OpenError> {
    let inspected = Inspected::open(disk, dir)?;
    let mut check = Check {
        inspected: &inspected,
        report: Report::default(),
        damaged: BTreeSet::new(),
        live: BTreeMap::new(),
    };
    let done = check
        .rows()
        .and_then(|()| check.entries(progress))
        .and_then(|()| check.logs());
    done.map_err(|error| OpenError::Io {
        dir: dir.into(),
        reason: error.to_string(),
    })?;
    check.files();
    if matches!(disk, Disk::Real) {
        check.copy(&Places::of(dir));
    }
    Ok(check.report)
}

#[derive(Debug, thiserror::Error)]
enum CheckError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Index(#[from] IndexError),
    #[error("{0}")]
    Row(#[from] keys::MalformedRow),
}

/// Owned by `check`.
struct Check<'a> {
    inspected: &'a Inspected,
    report: Report,
    /// Where an entry should begin and does not.
    damaged: BTreeSet<Position>,
    /// What the pieces of all logs add up to, by file.
    live: BTreeMap<FileNumber, FileRow>,
}

impl Check<'_> {
    fn fault(&mut self, place: Place, what: FaultKind) {
        self.report.faults.push(Fault { place, what });
    }

    /// RocksDB verifies what it reads, also the rows that are not looked at below.
    fn rows(&self) -> Result<(), CheckError> {
        Ok(self.inspected.index.read_through()?)
    }

    /// Whether the copy of the index could take its place, if there is one.
    fn copy(&mut self, places: &Places) {
        match places.read_copy() {
            Ok(copied) if self.inspected.known.is_older_than(copied) => {
                self.fault(Place::IndexCopy, FaultKind::IndexOld);
            }
            Ok(_) => {}
            Err(error) => {
                self.fault(Place::IndexCopy, FaultKind::IndexCopy(error.to_string()));
            }
        }
    }

    fn entries(&mut self, progress: &mut dyn FnMut(Progress)) -> Result<(), CheckError> {
        let files = &self.inspected.files;
        let mut total = 0;
        for file in files.values() {
            total += file.length()?;
        }
        let mut before = 0;
        for (number, file) in files {
            // What a rewrite did not finish is unknown to the index.
            if number.is_sorted() && !self.inspected.known.files.contains_key(number) {
                continue;
            }
            let mut scanner = Scanner::new(file, 0)?;
            loop {
                let position = scanner.position();
                if self.report.entries.is_multiple_of(256) {
                    progress(Progress {
                        done: ByteSize(before + u64::from(position.at)),
                        total: ByteSize(total),
                    });
                }
                match scanner.next()? {
                    Ok(found) => {
                        self.report.entries += 1;
                        if is_seal(&found) {
                            break;
                        }
                    }
                    Err(none) => {
                        let goes_on = match look_behind(files, &mut scanner, position)? {
                            Gap::End if !self.was_durable(position) => break,
                            Gap::End => scanner.resync()?,
                            Gap::Damage { goes_on, .. } => goes_on == GoesOn::Here,
                        };
                        self.damaged.insert(position);
                        self.fault(Place::Entry(position), FaultKind::Entry(none));
                        if !goes_on {
                            break;
                        }
                    }
                }
            }
            before += file.length()?;
        }
        let (done, total) = (ByteSize(total), ByteSize(total));
        progress(Progress { done, total });
        Ok(())
    }

    /// Whether the index says so, where no entry behind this place does.
    fn was_durable(&self, position: Position) -> bool {
        if position.file.is_sorted() {
            // The index names a sorted file when all of it is durable.
            return self.inspected.known.files.contains_key(&position.file);
        }
        let synced = self.inspected.known.synced;
        synced.is_some_and(|synced| synced.file == position.file && synced > position)
    }

    fn logs(&mut self) -> Result<(), CheckError> {
        for (id, row) in &self.inspected.known.logs {
            self.report.logs += 1;
            if row.damaged {
                self.fault(Place::Partition(row.tp), FaultKind::Offline);
            }
            self.batches(*id, row)?;
            self.runs(*id, row)?;
            self.pieces(*id, row)?;
        }
        Ok(())
    }

    fn batches(&mut self, log: LogId, row: &LogRow) -> Result<(), CheckError> {
        let (first, end) = keys::log_range(Table::Index, log);
        let mut rows = self
            .inspected
            .index
            .rows(&first, &end, ReadMode::Blocking)?;
        let mut next: Option<(Offset, u64)> = None;
        let mut size = 0;
        let mut current = rows.first()?;
        while let Some((_, value)) = current {
            let batch = IndexRow::parse(value)?;
            let header = &batch.header;
            self.report.batches += 1;
            let (base, preceding) = next.unwrap_or((header.base_offset, row.preceding_start));
            let place = Place::Batch {
                partition: row.tp,
                base: header.base_offset,
            };
            // Compaction leaves gaps, also in the copies of a log. A batch that is missing
            // for another reason is missing in the sum of sizes too.
            let is_next = base <= header.base_offset;
            let reaches = next.is_some() || header.last_offset() >= row.bounds.start;
            if !is_next || !reaches {
                self.fault(place, FaultKind::Gap);
            }
            let follows_compacted = row.clean > Offset::ZERO && base <= row.clean;
            let is_counted = !follows_compacted && row.compacted == 0;
            if is_counted && preceding != batch.preceding {
                self.fault(place, FaultKind::Size);
            }
            if self.damaged.contains(&batch.position) {
                self.fault(place, FaultKind::Batch(batch.position));
            } else if !self.lies_there(log, &batch)? {
                self.fault(place, FaultKind::Elsewhere);
            }
            size += header.size.0;
            next = Some((header.next_offset(), batch.preceding + header.size.0));
            current = rows.next()?;
        }
        if next.is_some_and(|(end, _)| end > row.bounds.end) {
            self.fault(Place::Partition(row.tp), FaultKind::Gap);
        }
        if ByteSize(size) != row.size() {
            self.fault(Place::Partition(row.tp), FaultKind::Size);
        }
        Ok(())
    }

    /// The entry's own checks were made already: what is missing is whether it is
    /// this one.
    fn lies_there(&self, log: LogId, row: &IndexRow) -> Result<bool, CheckError> {
        let Some(file) = self.inspected.files.get(&row.position.file) else {
            return Ok(false);
        };
        let bytes = file.read(row.position.at, HEADER_SIZE + BatchHeader::SIZE)?;
        let Ok(front) = Front::parse(&bytes, row.position.file) else {
            return Ok(false);
        };
        let header = BatchHeader::parse(bytes.get(HEADER_SIZE..).unwrap_or_default());
        let is_same = header.is_ok_and(|header| header == row.header);
        let is_as_long = u64::from(front.size) == batch_entry_size(&row.header);
        Ok(is_same && is_as_long && front.log == log)
    }

    fn runs(&mut self, log: LogId, row: &LogRow) -> Result<(), CheckError> {
        let (first, end) = keys::log_range(Table::Time, log);
        let index = &self.inspected.index;
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.first()?;
        while let Some((key, value)) = current {
            let run = TimeRow::parse(value)?;
            if let Some(base) = keys::offset_of(key) {
                let first = keys::offset_key(Table::Index, log, base);
                let end = keys::offset_key(Table::Index, log, Offset(run.last.0 + 1));
                let greatest = self.greatest(&first, &end)?;
                // Of a run that begins below the start some batches are gone.
                let is_whole = base >= row.bounds.start && base >= row.clean;
                let is_right = if is_whole {
                    greatest == Some(run.max_timestamp)
                } else {
                    greatest <= Some(run.max_timestamp)
                };
                if !is_right {
                    let partition = row.tp;
                    self.fault(Place::Batch { partition, base }, FaultKind::Time);
                }
            }
            current = rows.next()?;
        }
        Ok(())
    }

    fn greatest(&self, first: &[u8], end: &[u8]) -> Result<Option<i64>, CheckError> {
        let mut rows = self.inspected.index.rows(first, end, ReadMode::Blocking)?;
        let mut greatest = None;
        let mut current = rows.first()?;
        while let Some((_, value)) = current {
            greatest = greatest.max(Some(IndexRow::parse(value)?.header.max_timestamp));
            current = rows.next()?;
        }
        Ok(greatest)
    }

    fn pieces(&mut self, log: LogId, row: &LogRow) -> Result<(), CheckError> {
        let (first, end) = keys::log_range(Table::Pieces, log);
        let mut rows = self
            .inspected
            .index
            .rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.first()?;
        while let Some((_, value)) = current {
            self.add_piece(Piece::parse(value)?);
            current = rows.next()?;
        }
        if let Some(piece) = row.piece {
            self.add_piece(piece);
        }
        Ok(())
    }

    fn add_piece(&mut self, piece: Piece) {
        let live = self.live.entry(piece.file).or_default();
        live.live_bytes += piece.bytes;
        live.live_pieces += 1;
    }

    fn files(&mut self) {
        for (number, counted) in &self.inspected.known.files {
            let place = Place::File(*number);
            let found = self.live.remove(number).unwrap_or_default();
            let is_missing = !self.inspected.files.contains_key(number);
            if is_missing && found.live_pieces > 0 {
                self.fault(place, FaultKind::FileMissing);
            }
            let is_same =
                (counted.live_bytes, counted.live_pieces) == (found.live_bytes, found.live_pieces);
            if !is_same {
                self.fault(
                    place,
                    FaultKind::Live {
                        counted: ByteSize(counted.live_bytes),
                        pieces: counted.live_pieces,
                        found: ByteSize(found.live_bytes),
                    },
                );
            }
        }
    }
}
