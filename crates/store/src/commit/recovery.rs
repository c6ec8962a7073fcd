//! What happens between opening a directory and serving it: the end of the commit
//! log is applied to the index again, from where the index is sure of itself.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::entry::{Entry, FileNumber, Found, NoEntry, Position};
use super::file::{CommitFile, Listing};
use super::scan::{Scanner, is_seal};
use crate::keys::{self, FileRow, IndexRow, LogRow, Piece, Table};
use crate::rocks::fold::{Fold, Origin};
use crate::rocks::index::{Index, IndexError};
use crate::rocks::log::{Log, Logs};
use crate::rocks::standby::Flush;
use crate::rocks::tail_cache::TailCache;
use crate::{LogId, ReadMode};

/// Entries that are applied together.
const STEP_ENTRIES: usize = 1024;

/// A store as it is found, with everything that survived applied.
pub(crate) struct Recovered {
    pub(crate) logs: Logs,
    pub(crate) fold: Fold,
    pub(crate) files: BTreeMap<FileNumber, Arc<CommitFile>>,
    pub(crate) end: Position,
    /// Where the next replay begins, unless the index is flushed before; also one with
    /// the index's copy.
    pub(crate) flushed: Position,
    pub(crate) flushes: u64,
    pub(crate) spares: Vec<PathBuf>,
}

/// Why a store is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoveryError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Index(#[from] IndexError),
    #[error("the index is missing, and the commit log alone begins too late to make it again")]
    IndexMissing,
    #[error("the index is older than its copy")]
    IndexOld,
    #[error("commit file {0} is missing")]
    FileMissing(u32),
}

/// What the index knows about itself and its logs.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) position: Option<Position>,
    pub(crate) synced: Option<Position>,
    pub(crate) next_log: u64,
    pub(crate) next_sorted: u32,
    /// The last flush.
    pub(crate) flushes: u64,
    pub(crate) files: BTreeMap<FileNumber, FileRow>,
    pub(crate) logs: BTreeMap<LogId, LogRow>,
}

impl Known {
    pub(crate) fn load(index: &Index) -> Result<Self, IndexError> {
        let next_log = index.get(&keys::NEXT_LOG)?;
        let next_log = next_log.and_then(|bytes| bytes.try_into().ok());
        let next_sorted = index.get(&keys::NEXT_SORTED)?;
        let next_sorted = next_sorted.and_then(|bytes| bytes.try_into().ok());
        let flushes = index.get(&keys::FLUSH)?;
        let flushes = flushes.and_then(|bytes| bytes.try_into().ok());
        let mut known = Self {
            flushes: flushes.map_or(0, u64::from_be_bytes),
            position: position(index, &keys::POSITION)?,
            synced: position(index, &keys::SYNCED)?,
            next_log: next_log.map_or(1, u64::from_be_bytes),
            next_sorted: next_sorted.map_or(1, u32::from_be_bytes),
            files: BTreeMap::new(),
            logs: BTreeMap::new(),
        };
        let (first, end) = keys::table_range(Table::Files);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut row = rows.first()?;
        while let Some((key, value)) = row {
            if let Some(number) = keys::file_of(key) {
                known.files.insert(number, FileRow::parse(value)?);
            }
            row = rows.next()?;
        }
        let (first, end) = keys::table_range(Table::Logs);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut row = rows.first()?;
        while let Some((key, value)) = row {
            if let Some(id) = keys::log_of(key) {
                known.logs.insert(id, LogRow::parse(value)?);
            }
            row = rows.next()?;
        }
        Ok(known)
    }

    /// A copy is made of what was flushed, so the index never falls behind it.
    pub(crate) fn is_older_than(&self, copied: Option<Flush>) -> bool {
        copied.is_some_and(|copied| self.flushes < copied.number)
    }
}

fn position(index: &Index, key: &[u8]) -> Result<Option<Position>, IndexError> {
    let bytes = index.get(key)?;
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    Ok(bytes.map(Position::from_bytes))
}

pub(crate) fn recover(
    disk: &Disk,
    dir: &Path,
    index: &Index,
    copied: Option<Flush>,
    file_bytes: u32,
) -> Result<Recovered, RecoveryError> {
    let known = Known::load(index)?;
    if known.is_older_than(copied) {
        return Err(RecoveryError::IndexOld);
    }
    let listing = Listing::of(disk, dir)?;
    let mut files = BTreeMap::new();
    for number in &listing.files {
        files.insert(*number, Arc::new(CommitFile::open(disk, dir, *number)?));
    }
    let first = listing.files.iter().find(|number| !number.is_sorted());
    let begins_late = first.is_some_and(|first| first.0 > 1);
    // What was copied to sorted files, no entry of the commit log says.
    let has_sorted = listing.files.iter().any(|number| number.is_sorted());
    if known.position.is_none() && (begins_late || has_sorted) {
        return Err(RecoveryError::IndexMissing);
    }
    let flushed = known.position.unwrap_or(Position::START);
    let synced = known.synced.unwrap_or(flushed).min(flushed);
    if known.position.is_some() && !files.contains_key(&synced.file) {
        return Err(RecoveryError::FileMissing(synced.file.0));
    }
    let logs = Logs::default();
    for (id, row) in known.logs {
        logs.insert(Arc::new(Log::new(id, row, true)));
    }
    let mut replay = Replay {
        disk,
        index,
        logs: &logs,
        fold: Fold::new(known.files, known.next_log, known.next_sorted),
        pending: 0,
        applied: flushed,
        synced,
        durable: synced,
    };
    let end = replay.walk(&files, synced)?;
    if end < flushed {
        replay.roll_back(end)?;
        replay.commit(end)?;
        // Other entries will take these places, and the index on disk must not
        // claim to hold them already.
        index.flush()?;
    }
    replay.commit(end)?;
    replay.mark_missing(&files)?;
    replay.commit(end)?;
    let mut spares = listing.spares;
    replay.drop_behind(&mut files, synced, end, &mut spares)?;
    replay.start_writing(dir, &mut files, end, file_bytes)?;
    let fold = replay.fold;
    Ok(Recovered {
        logs,
        fold,
        files,
        end,
        flushed: copied.map_or(synced, |copied| copied.position.min(synced)),
        flushes: known.flushes,
        spares,
    })
}

/// Owned by `recover`.
struct Replay<'a> {
    disk: &'a Disk,
    index: &'a Index,
    logs: &'a Logs,
    fold: Fold,
    pending: usize,
    /// The index holds everything below already.
    applied: Position,
    /// What the index knows to be durable.
    synced: Position,
    /// What the entries say to be durable.
    durable: Position,
}

/// What to do about a place where no entry begins.
pub(crate) enum Gap {
    /// The log ends here.
    End,
    /// It goes on at the scanner's place, or in the next file; what lies between is
    /// lost.
    Damage {
        owner: Option<LogId>,
        goes_on: GoesOn,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GoesOn {
    Here,
    InNextFile,
}

pub(crate) type Files = BTreeMap<FileNumber, Arc<CommitFile>>;

impl Replay<'_> {
    /// Applies what the index does not hold; returns where the commit log ends.
    fn walk(&mut self, files: &Files, from: Position) -> Result<Position, RecoveryError> {
        let mut at = from;
        while let Some(file) = files.get(&at.file) {
            let mut scanner = Scanner::new(file, at.at)?;
            loop {
                let position = scanner.position();
                match scanner.next()? {
                    Ok(found) => {
                        self.durable = self.durable.max(found.synced);
                        if is_seal(&found) {
                            break;
                        }
                        self.apply(found, position)?;
                    }
                    Err(none) => match look_behind(files, &mut scanner, position)? {
                        Gap::End => {
                            self.report_end(files, position, none);
                            return Ok(position);
                        }
                        Gap::Damage { owner, goes_on } => {
                            self.on_damage(owner, position, none);
                            if goes_on == GoesOn::InNextFile {
                                break;
                            }
                        }
                    },
                }
            }
            self.fold.on_sealed(at.file);
            let next = FileNumber(at.file.0 + 1);
            if !files.contains_key(&next) && files.range(next..).next().is_some() {
                return Err(RecoveryError::FileMissing(next.0));
            }
            at = Position { file: next, at: 0 };
        }
        Ok(at)
    }

    fn report_end(&self, files: &Files, end: Position, none: NoEntry) {
        let is_last = files.range(end.file..).nth(1).is_none();
        if none != NoEntry::Nothing || !is_last {
            tracing::warn!(
                position = %end,
                reason = %none,
                "the commit log ends in an unfinished write, which was cut off"
            );
        }
    }

    fn on_damage(&mut self, owner: Option<LogId>, position: Position, none: NoEntry) {
        match owner.and_then(|id| self.logs.get(id)) {
            Some(log) => self.mark_damaged(&log, position, &none),
            None => tracing::error!(
                %position,
                reason = %none,
                "an entry of the commit log is damaged, and whose it was is not known"
            ),
        }
    }

    fn mark_damaged(&mut self, log: &Arc<Log>, position: Position, reason: &dyn std::error::Error) {
        let row = self.fold.row(log);
        row.damaged = true;
        tracing::error!(
            log = log.id.0,
            partition = %row.tp,
            %position,
            %reason,
            "the log is damaged and goes offline"
        );
    }

    fn apply(&mut self, found: Found, position: Position) -> Result<(), RecoveryError> {
        // The index is told of state only when it is durable.
        let is_state = matches!(found.entry, Entry::State { .. });
        if position < self.applied && !(is_state && self.logs.get(found.log).is_some()) {
            return Ok(());
        }
        let cuts = Fold::cuts(&found.entry);
        if self.fold.conflicts(found.log, cuts) || self.pending >= STEP_ENTRIES {
            self.commit(position)?;
        }
        self.pending += 1;
        if let Entry::Create(tp) = found.entry {
            let log = Arc::new(Log::new(found.log, LogRow::new(tp), true));
            self.logs.insert(log.clone());
            self.fold.create(&log, tp);
            return Ok(());
        }
        let Some(log) = self.logs.get(found.log) else {
            tracing::error!(log = found.log.0, %position, "an entry is about an unknown log");
            return Ok(());
        };
        match found.entry {
            Entry::Batch(batch) => {
                let row = self.fold.row(&log);
                if row.damaged {
                    return Ok(());
                }
                if batch.header().base_offset == row.bounds.end {
                    self.fold.append(&log, &batch, position, Origin::Recovery);
                } else {
                    self.mark_damaged(&log, position, &Missing);
                }
            }
            Entry::Truncate(to) => self.fold.truncate(self.index, &log, to)?,
            Entry::StartOffset(to) => self.fold.start_offset(self.index, &log, to)?,
            Entry::Drop => self.fold.drop_log(self.index, &log)?,
            Entry::State { key, value } => self.fold.state(&log, key, value, Some(position)),
            Entry::Create(_) | Entry::Seal => {}
        }
        Ok(())
    }

    /// The index ran ahead of a disk that lost power: takes back what points at
    /// bytes behind `end`.
    fn roll_back(&mut self, end: Position) -> Result<(), RecoveryError> {
        tracing::warn!(position = %end, "what was written last did not reach the disk");
        for log in self.logs.all() {
            let row = log.state().row;
            if row.piece.is_none_or(|piece| piece.file < end.file) {
                continue;
            }
            let (first, last) = keys::log_range(Table::Index, log.id);
            let mut rows = self.index.rows(&first, &last, ReadMode::Blocking)?;
            let mut lost = None;
            let mut current = rows.last()?;
            while let Some((_, value)) = current {
                let row = IndexRow::parse(value).map_err(IndexError::from)?;
                if row.position < end {
                    break;
                }
                lost = Some(row.header.base_offset);
                current = rows.previous()?;
            }
            if let Some(lost) = lost {
                self.fold.truncate(self.index, &log, lost)?;
            }
        }
        Ok(())
    }

    fn commit(&mut self, end: Position) -> Result<(), IndexError> {
        self.pending = 0;
        // Until the files are synced, only what was is called durable.
        let synced = self.synced.min(end);
        self.fold.commit(self.index, end, synced)?;
        let mut no_tails = TailCache::new(0);
        self.fold.publish(self.logs, &mut no_tails);
        Ok(())
    }

    /// Removes files that the log does not reach, and those that the index forgot.
    fn drop_behind(
        &mut self,
        files: &mut Files,
        synced: Position,
        end: Position,
        spares: &mut Vec<PathBuf>,
    ) -> Result<(), RecoveryError> {
        // What a replay from here would read again stays, whatever it holds.
        let known = self.fold.files();
        let is_unknown = |number: &FileNumber| *number < synced.file && !known.contains_key(number);
        let behind = |number: &FileNumber| *number > end.file || is_unknown(number);
        let gone: Vec<_> = files.keys().copied().filter(behind).collect();
        for number in gone {
            if let Some(file) = files.remove(&number) {
                spares.extend(file.retire(self.disk, false)?);
            }
            if number > end.file {
                self.fold.forget_file(number);
            }
        }
        Ok(())
    }

    /// Makes everything that was found durable, and the end ready to be written to.
    fn start_writing(
        &self,
        dir: &Path,
        files: &mut Files,
        end: Position,
        file_bytes: u32,
    ) -> Result<(), RecoveryError> {
        if let Some(active) = files.get(&end.file) {
            active.wipe_from(end.at, 0)?;
        } else {
            let file = CommitFile::create(self.disk, dir, end.file, file_bytes, None)?;
            files.insert(end.file, Arc::new(file));
        }
        // A file that the crash found just created has bytes that are durable, and a name
        // that may not be.
        self.disk.sync_dir(dir)?;
        let from = self.durable.min(end);
        for (number, file) in files.range(from.file..=end.file) {
            let first = if *number == from.file { from.at } else { 0 };
            let last = if *number == end.file {
                u64::from(end.at)
            } else {
                file.length()?
            };
            file.write_again(first, last)?;
            file.sync()?;
        }
        Ok(())
    }

    /// Logs with batches in files that are not there any more go offline.
    fn mark_missing(&mut self, files: &Files) -> Result<(), RecoveryError> {
        let live = self.fold.files().iter();
        let missing: Vec<_> = live
            .filter(|(number, row)| row.live_pieces > 0 && !files.contains_key(number))
            .map(|(number, _)| *number)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (first, end) = keys::table_range(Table::Pieces);
        let mut rows = self.index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.first()?;
        let mut hit = Vec::new();
        while let Some((key, value)) = current {
            let file = Piece::parse(value).map_err(IndexError::from)?.file;
            let is_missing = missing.contains(&file);
            hit.extend(keys::log_of(key).filter(|_| is_missing));
            current = rows.next()?;
        }
        for log in self.logs.all() {
            let piece = log.state().row.piece;
            let is_missing = piece.is_some_and(|piece| missing.contains(&piece.file));
            if is_missing || hit.contains(&log.id) {
                self.mark_damaged(&log, Position::START, &Missing);
            }
        }
        Ok(())
    }
}

/// Bytes that the index names are not there.
#[derive(Debug, thiserror::Error)]
#[error("batches of the log are missing")]
struct Missing;

/// Decides what a place without an entry is. An entry further on that was written
/// when this place was durable already proves that it was an entry once; without
/// one it is what a crash leaves of the last writes.
pub(crate) fn look_behind(
    files: &Files,
    scanner: &mut Scanner<'_>,
    gap: Position,
) -> io::Result<Gap> {
    let mut first = None;
    let mut was_durable = false;
    while !was_durable && scanner.resync()? {
        first.get_or_insert_with(|| scanner.position().at);
        was_durable = matches!(scanner.next()?, Ok(found) if found.synced > gap);
    }
    for (_, file) in files.range(FileNumber(gap.file.0 + 1)..) {
        let mut scanner = Scanner::new(file, 0)?;
        while !was_durable && let Ok(found) = scanner.next()? {
            was_durable = found.synced > gap;
        }
    }
    scanner.rewind(gap.at);
    if !was_durable {
        return Ok(Gap::End);
    }
    let Some(first) = first else {
        return Ok(Gap::Damage {
            owner: None,
            goes_on: GoesOn::InNextFile,
        });
    };
    let owner = scanner.claim_up_to(first)?;
    scanner.rewind(first);
    Ok(Gap::Damage {
        owner,
        goes_on: GoesOn::Here,
    })
}
