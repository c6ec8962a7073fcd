//! What each entry of the commit log does to the index: the writer and recovery
//! both go through here.
//!
//! Must not know where entries come from, nor wait for any disk but the index's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::{Offset, TopicPartition};
use ottla_protocol::records::{BatchHeader, RecordBatch};

use super::changes::Changes;
use super::index::{Index, IndexError};
use super::log::{Log, Logs};
use super::tail_cache::TailCache;
use crate::audience::Call;
use crate::commit::entry::{Entry, FileNumber, Position, batch_entry_size};
use crate::keys::{self, FileRow, IndexRow, LogRow, Piece, Run, Table, TimeRow};
use crate::{LogId, ReadMode};

/// Batches of a log that share a row in `Time`.
const RUN_BATCHES: u8 = 128;
/// Rows that are removed one by one rather than by a range, which every later read
/// would have to look at.
const SINGLE_REMOVALS_MAX: usize = 64;

/// Changes of the index that become visible together. Owned by whoever applies
/// entries.
pub(crate) struct Fold {
    changes: Changes,
    touched: HashMap<LogId, Touched>,
    files: BTreeMap<FileNumber, FileRow>,
    changed_files: BTreeSet<FileNumber>,
    /// State that the index is told of when the commit log is durable up to there, in
    /// the order of the entries. The index cannot take it back.
    held: BTreeMap<Position, Held>,
    /// Files that nothing points at, and how far the commit log reached when that
    /// was seen. The file that is being written may be among them.
    pub(crate) dead: BTreeMap<FileNumber, Option<Position>>,
    next_log: u64,
    next_log_changed: bool,
}

/// State of a log that is not durable yet.
struct Held {
    log: Arc<Log>,
    key: Bytes,
    value: Bytes,
}

/// A log that an entry of the group is about.
struct Touched {
    log: Arc<Log>,
    row: LogRow,
    /// Rows of this log other than appended ones changed, so the index must take
    /// them in before the next look at it.
    is_cut: bool,
    is_dropped: bool,
    fresh: Vec<RecordBatch>,
    /// State, and where its entry lies if it has one.
    states: Vec<(Option<Position>, Bytes, Bytes)>,
    flushed: Option<u64>,
}

/// Who asked for an append.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin {
    Machine { incarnation: u64 },
    Recovery,
}

impl Fold {
    pub(crate) fn new(files: BTreeMap<FileNumber, FileRow>, next_log: u64) -> Self {
        let dead = files.iter().filter(|(_, file)| file.live_pieces == 0);
        Self {
            dead: dead.map(|(number, _)| (*number, None)).collect(),
            changes: Changes::default(),
            touched: HashMap::new(),
            files,
            changed_files: BTreeSet::new(),
            held: BTreeMap::new(),
            next_log,
            next_log_changed: false,
        }
    }

    /// Whether the group must end before this change: it reads rows that the group
    /// is about to write, or comes behind one that does.
    pub(crate) fn conflicts(&self, log: LogId, cuts: bool) -> bool {
        self.touched
            .get(&log)
            .is_some_and(|touched| cuts || touched.is_cut)
    }

    /// Whether an entry changes rows other than by adding some.
    pub(crate) const fn cuts(entry: &Entry) -> bool {
        matches!(
            entry,
            Entry::Truncate(_) | Entry::StartOffset(_) | Entry::Drop
        )
    }

    /// Whether the group is about a log at all.
    pub(crate) fn touches(&self, log: LogId) -> bool {
        self.touched.contains_key(&log)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }

    pub(crate) const fn next_log(&self) -> u64 {
        self.next_log
    }

    pub(crate) const fn files(&self) -> &BTreeMap<FileNumber, FileRow> {
        &self.files
    }

    /// The log as the group leaves it so far.
    pub(crate) fn row(&mut self, log: &Arc<Log>) -> &mut LogRow {
        &mut self.touch(log).row
    }

    pub(crate) fn create(&mut self, log: &Arc<Log>, tp: TopicPartition) {
        self.touch(log).row = LogRow::new(tp);
        if log.id.0 >= self.next_log {
            self.next_log = log.id.0 + 1;
            self.next_log_changed = true;
        }
    }

    /// The batch lies in the entry at `position` and its base is the log's end.
    pub(crate) fn append(
        &mut self,
        log: &Arc<Log>,
        batch: &RecordBatch,
        position: Position,
        origin: Origin,
    ) {
        let header = batch.header();
        let touched = self.touch(log);
        let row = &mut touched.row;
        assert_eq!(
            header.base_offset, row.bounds.end,
            "an append leaves no gap"
        );
        let index = IndexRow {
            position,
            preceding: row.preceding_end,
            header: *header,
        };
        row.bounds.end = header.next_offset();
        row.preceding_end += header.size.0;
        let closed_run = row.extend_run(header);
        let closed_piece = row.extend_piece(header, position.file);
        let is_new_piece = row
            .piece
            .is_some_and(|(_, piece)| piece.first == header.base_offset);
        if let Origin::Machine { incarnation } = origin {
            touched.flushed = Some(incarnation);
            touched.fresh.push(batch.clone());
        }
        let key = keys::offset_key(Table::Index, log.id, header.base_offset);
        self.changes.put(key, index.write());
        if let Some((first, run)) = closed_run {
            let key = keys::offset_key(Table::Time, log.id, first);
            self.changes.put(key, run.write());
        }
        if let Some((file, piece)) = closed_piece {
            self.changes
                .put(keys::piece_key(log.id, file), piece.write());
        }
        let file = self.file(position.file);
        file.live_bytes += batch_entry_size(header);
        file.live_pieces += u32::from(is_new_piece);
        self.dead.remove(&position.file);
    }

    /// The state lies in the entry at `position`; without one the index alone keeps it.
    pub(crate) fn state(
        &mut self,
        log: &Arc<Log>,
        key: Bytes,
        value: Bytes,
        position: Option<Position>,
    ) {
        self.touch(log).states.push((position, key, value));
    }

    /// Removes the batches with an offset at or above `to`.
    pub(crate) fn truncate(
        &mut self,
        index: &Index,
        log: &Arc<Log>,
        to: Offset,
    ) -> Result<(), IndexError> {
        let mut row = *self.row(log);
        if to >= row.bounds.end {
            return Ok(());
        }
        row.bounds.end = to;
        row.bounds.start = row.bounds.start.min(to);
        if let Some(cut) = first_reaching(index, log.id, to)? {
            let base = cut.header.base_offset;
            row.preceding_end = cut.preceding;
            row.preceding_start = row.preceding_start.min(cut.preceding);
            let (_, end) = keys::log_range(Table::Index, log.id);
            let first = keys::offset_key(Table::Index, log.id, base);
            remove_rows(&mut self.changes, index, &first, &end)?;
            self.cut_runs(index, log.id, &mut row, base)?;
            self.cut_pieces(index, log.id, &mut row, base)?;
        }
        let touched = self.touch(log);
        touched.row = row;
        touched.is_cut = true;
        Ok(())
    }

    /// Moves the start up to `to`, and the end too if it lies below.
    pub(crate) fn start_offset(
        &mut self,
        index: &Index,
        log: &Arc<Log>,
        to: Offset,
    ) -> Result<(), IndexError> {
        let mut row = *self.row(log);
        if to <= row.bounds.start {
            return Ok(());
        }
        row.bounds.start = to;
        row.bounds.end = row.bounds.end.max(to);
        let kept = first_reaching(index, log.id, to)?;
        row.preceding_start = kept.map_or(row.preceding_end, |kept| kept.preceding);
        let (first, end) = keys::log_range(Table::Index, log.id);
        match kept {
            Some(kept) => {
                let base = kept.header.base_offset;
                let end = keys::offset_key(Table::Index, log.id, base);
                remove_rows(&mut self.changes, index, &first, &end)?;
            }
            None => remove_rows(&mut self.changes, index, &first, &end)?,
        }
        self.forget_runs_below(index, log.id, &mut row, to)?;
        self.forget_pieces_below(index, log.id, &mut row, to)?;
        let touched = self.touch(log);
        touched.row = row;
        touched.is_cut = true;
        Ok(())
    }

    pub(crate) fn drop_log(&mut self, index: &Index, log: &Arc<Log>) -> Result<(), IndexError> {
        let mut row = *self.row(log);
        self.forget_pieces_below(index, log.id, &mut row, Offset(i64::MAX))?;
        for table in [Table::Index, Table::Time, Table::State] {
            let (first, end) = keys::log_range(table, log.id);
            remove_rows(&mut self.changes, index, &first, &end)?;
        }
        self.held.retain(|_, held| held.log.id != log.id);
        let touched = self.touch(log);
        touched.row = row;
        touched.is_cut = true;
        touched.is_dropped = true;
        Ok(())
    }

    /// The commit log ends at `end`, and everything below `synced` is durable:
    /// writes the group into the index. Nobody sees what was appended before
    /// [`Fold::publish`].
    pub(crate) fn commit(
        &mut self,
        index: &Index,
        end: Position,
        synced: Position,
    ) -> Result<(), IndexError> {
        let released = self.release(synced);
        for (id, touched) in &self.touched {
            if touched.is_dropped {
                self.changes.unset(keys::log_key(*id));
            } else {
                self.changes.set(keys::log_key(*id), touched.row.write());
            }
            if touched.is_cut {
                // Readers learn of narrower bounds before the rows are gone, so that
                // whoever misses a row can tell why.
                touched.log.state().row.bounds = touched.row.bounds;
            }
        }
        self.file(end.file).length = end.at;
        for number in std::mem::take(&mut self.changed_files) {
            if let Some(file) = self.files.get(&number) {
                self.changes.set(keys::file_key(number), file.write());
            }
        }
        if std::mem::take(&mut self.next_log_changed) {
            self.changes
                .set(keys::NEXT_LOG, self.next_log.to_be_bytes());
        }
        self.changes.set(keys::POSITION, end.to_bytes());
        self.changes.set(keys::SYNCED, synced.to_bytes());
        index.write(&mut self.changes)?;
        for (position, held) in released {
            held.log.state().forget_held(&held.key, position);
        }
        Ok(())
    }

    /// State that is durable by now goes into the index; what is not waits.
    fn release(&mut self, synced: Position) -> BTreeMap<Position, Held> {
        let waiting = self.held.split_off(&synced);
        let released = std::mem::replace(&mut self.held, waiting);
        for held in released.values() {
            self.changes.keep_state(held.log.id, &held.key, &held.value);
        }
        for (id, touched) in &mut self.touched {
            if touched.is_dropped {
                continue;
            }
            for (position, key, value) in touched.states.drain(..) {
                match position {
                    Some(position) if position >= synced => {
                        let log = touched.log.clone();
                        log.state().hold(&key, &value, position);
                        self.held.insert(position, Held { log, key, value });
                    }
                    Some(_) | None => self.changes.keep_state(*id, &key, &value),
                }
            }
        }
        released
    }

    /// Shows the group to readers; returns what listeners are owed.
    pub(crate) fn publish(&mut self, logs: &Logs, tails: &mut TailCache) -> Vec<Call> {
        let mut calls = Vec::new();
        for (id, touched) in self.touched.drain() {
            let mut state = touched.log.state();
            state.row = LogRow {
                // A reader may have found damage in the meantime.
                damaged: state.row.damaged || touched.row.damaged,
                ..touched.row
            };
            state.is_written = true;
            if touched.is_dropped {
                state.tail.clear();
                drop(state);
                logs.remove(id);
                continue;
            }
            for batch in touched.fresh {
                tails.push(&touched.log, &mut state, batch);
            }
            if touched.is_cut {
                state.trim_tail();
            }
            if let Some(incarnation) = touched.flushed {
                let end = state.row.bounds.end;
                calls.extend(state.audience.flushed(incarnation, end));
            }
        }
        tails.shrink();
        calls
    }

    /// Nothing more comes into the file.
    pub(crate) fn on_sealed(&mut self, number: FileNumber) {
        if self.file(number).live_pieces == 0 {
            self.dead.insert(number, None);
        }
    }

    /// The file is gone.
    pub(crate) fn forget_file(&mut self, number: FileNumber) {
        self.dead.remove(&number);
        self.files.remove(&number);
        self.changed_files.remove(&number);
        self.changes.unset(keys::file_key(number));
    }

    fn touch(&mut self, log: &Arc<Log>) -> &mut Touched {
        self.touched.entry(log.id).or_insert_with(|| Touched {
            log: log.clone(),
            row: log.state().row,
            is_cut: false,
            is_dropped: false,
            fresh: Vec::new(),
            states: Vec::new(),
            flushed: None,
        })
    }

    fn file(&mut self, number: FileNumber) -> &mut FileRow {
        self.changed_files.insert(number);
        self.files.entry(number).or_default()
    }

    fn free_piece(&mut self, file: FileNumber, piece: Piece) {
        let row = self.file(file);
        row.live_pieces = row.live_pieces.saturating_sub(1);
        row.live_bytes = row.live_bytes.saturating_sub(piece.bytes);
        if row.live_pieces == 0 {
            self.dead.insert(file, None);
        }
    }

    /// Rows of `Time` cover only batches below `base`; the run that `base` lay in
    /// grows on from what is left of it.
    fn cut_runs(
        &mut self,
        index: &Index,
        log: LogId,
        row: &mut LogRow,
        base: Offset,
    ) -> Result<(), IndexError> {
        let mut open_from = row.run.map(|run| run.first);
        let (first, end) = keys::log_range(Table::Time, log);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.last()?;
        while let Some((key, value)) = current {
            if TimeRow::parse(value)?.last < base {
                break;
            }
            self.changes.delete(key);
            open_from = keys::offset_of(key);
            current = rows.previous()?;
        }
        row.run = None;
        if let Some(from) = open_from.filter(|from| *from < base) {
            let first = keys::offset_key(Table::Index, log, from);
            let end = keys::offset_key(Table::Index, log, base);
            let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
            let mut current = rows.first()?;
            while let Some((_, value)) = current {
                // What is left is shorter than a whole run.
                row.extend_run(&IndexRow::parse(value)?.header);
                current = rows.next()?;
            }
        }
        Ok(())
    }

    fn cut_pieces(
        &mut self,
        index: &Index,
        log: LogId,
        row: &mut LogRow,
        base: Offset,
    ) -> Result<(), IndexError> {
        match &mut row.piece {
            Some((_, piece)) if piece.first < base => {
                piece.last = piece.last.min(Offset(base.0 - 1));
                return Ok(());
            }
            Some((file, piece)) => self.free_piece(*file, *piece),
            None => {}
        }
        row.piece = None;
        let (first, end) = keys::log_range(Table::Pieces, log);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.last()?;
        while let Some((key, value)) = current {
            let piece = Piece::parse(value)?;
            let file = keys::piece_file_of(key);
            self.changes.delete(key);
            if piece.first < base {
                // It grows on, should what comes next lie in the same file.
                let last = piece.last.min(Offset(base.0 - 1));
                row.piece = file.map(|file| (file, Piece { last, ..piece }));
                break;
            }
            current = rows.previous()?;
            if let Some(file) = file {
                self.free_piece(file, piece);
            }
        }
        Ok(())
    }

    fn forget_runs_below(
        &mut self,
        index: &Index,
        log: LogId,
        row: &mut LogRow,
        to: Offset,
    ) -> Result<(), IndexError> {
        let (first, end) = keys::log_range(Table::Time, log);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.first()?;
        while let Some((key, value)) = current {
            if TimeRow::parse(value)?.last >= to {
                break;
            }
            self.changes.delete(key);
            current = rows.next()?;
        }
        if row.bounds.start == row.bounds.end {
            row.run = None;
        }
        Ok(())
    }

    fn forget_pieces_below(
        &mut self,
        index: &Index,
        log: LogId,
        row: &mut LogRow,
        to: Offset,
    ) -> Result<(), IndexError> {
        let (first, end) = keys::log_range(Table::Pieces, log);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.first()?;
        while let Some((key, value)) = current {
            let piece = Piece::parse(value)?;
            if piece.last >= to {
                break;
            }
            let file = keys::piece_file_of(key);
            self.changes.delete(key);
            current = rows.next()?;
            if let Some(file) = file {
                self.free_piece(file, piece);
            }
        }
        if let Some((file, piece)) = row.piece
            && piece.last < to
        {
            self.free_piece(file, piece);
            row.piece = None;
        }
        Ok(())
    }
}

impl Changes {
    fn keep_state(&mut self, log: LogId, key: &[u8], value: &[u8]) {
        let key = keys::state_key(log, key);
        if value.is_empty() {
            self.delete(key);
        } else {
            self.put(key, value);
        }
    }
}

impl LogRow {
    /// Returns the run that is full now, and where it began.
    fn extend_run(&mut self, header: &BatchHeader) -> Option<(Offset, TimeRow)> {
        let run = self.run.get_or_insert(Run {
            first: header.base_offset,
            batches: 0,
            max_timestamp: i64::MIN,
        });
        run.batches += 1;
        run.max_timestamp = run.max_timestamp.max(header.max_timestamp);
        if run.batches < RUN_BATCHES {
            return None;
        }
        let full = TimeRow {
            last: header.last_offset(),
            max_timestamp: run.max_timestamp,
        };
        let first = run.first;
        self.run = None;
        Some((first, full))
    }

    /// Returns the piece of the file before, if the log moved to another.
    fn extend_piece(
        &mut self,
        header: &BatchHeader,
        file: FileNumber,
    ) -> Option<(FileNumber, Piece)> {
        let bytes = batch_entry_size(header);
        let last = header.last_offset();
        if let Some((number, piece)) = &mut self.piece
            && *number == file
        {
            piece.last = last;
            piece.bytes += bytes;
            return None;
        }
        let fresh = Piece {
            first: header.base_offset,
            last,
            bytes,
        };
        self.piece.replace((file, fresh))
    }
}

/// The first batch whose last offset is at or above `offset`.
pub(crate) fn first_reaching(
    index: &Index,
    log: LogId,
    offset: Offset,
) -> Result<Option<IndexRow>, IndexError> {
    let (first, end) = keys::log_range(Table::Index, log);
    let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
    let key = keys::offset_key(Table::Index, log, offset);
    if let Some((_, value)) = rows.seek_back(&key)? {
        let row = IndexRow::parse(value)?;
        if row.header.last_offset() >= offset {
            return Ok(Some(row));
        }
    }
    match rows.seek(&key)? {
        Some((_, value)) => Ok(Some(IndexRow::parse(value)?)),
        None => Ok(None),
    }
}

fn remove_rows(
    changes: &mut Changes,
    index: &Index,
    first: &[u8],
    end: &[u8],
) -> Result<(), IndexError> {
    let mut rows = index.rows(first, end, ReadMode::Blocking)?;
    let mut few: Vec<Box<[u8]>> = Vec::new();
    let mut current = rows.first()?;
    while let Some((key, _)) = current {
        if few.len() == SINGLE_REMOVALS_MAX {
            changes.delete_range(first, end);
            return Ok(());
        }
        few.push(key.into());
        current = rows.next()?;
    }
    for key in few {
        changes.delete(key);
    }
    Ok(())
}
