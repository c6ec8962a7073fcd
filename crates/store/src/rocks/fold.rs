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
use crate::rewrite::{Destination, Landing, Moves, Purpose};
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
    /// Files that rows were moved away from. They are needed until the index is
    /// flushed: no entry of the commit log says what was moved.
    pub(crate) left: BTreeSet<FileNumber>,
    /// Whose batch was appended last, and to which file.
    last_append: Option<(FileNumber, LogId)>,
    next_log: u64,
    next_log_changed: bool,
    next_sorted: u32,
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
    start_moved: bool,
    /// Batches below were compacted: what the tail has of them is old.
    compacted_to: Offset,
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
    pub(crate) fn new(
        files: BTreeMap<FileNumber, FileRow>,
        next_log: u64,
        next_sorted: u32,
    ) -> Self {
        let dead = files.iter().filter(|(_, file)| file.live_pieces == 0);
        Self {
            dead: dead.map(|(number, _)| (*number, None)).collect(),
            changes: Changes::default(),
            touched: HashMap::new(),
            files,
            changed_files: BTreeSet::new(),
            held: BTreeMap::new(),
            left: BTreeSet::new(),
            last_append: None,
            next_log,
            next_log_changed: false,
            next_sorted,
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

    pub(crate) const fn next_sorted(&self) -> u32 {
        self.next_sorted
    }

    pub(crate) const fn files(&self) -> &BTreeMap<FileNumber, FileRow> {
        &self.files
    }

    /// What is needed of all files.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.files.values().map(|file| file.live_bytes).sum()
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

    /// The batch lies in the entry at `position` and begins at the log's end or beyond.
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
        assert!(
            row.bounds.end <= header.base_offset,
            "an append begins before the end"
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
            .is_some_and(|piece| piece.first == header.base_offset);
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
        if let Some(piece) = closed_piece {
            self.put_piece(log.id, piece);
        }
        let before = self.last_append.replace((position.file, log.id));
        let file = self.file(position.file);
        file.live_bytes += batch_entry_size(header);
        file.live_pieces += u32::from(is_new_piece);
        file.runs += u32::from(before != Some((position.file, log.id)));
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
        let mut gone_from = to;
        if let Some(cut) = first_reaching(index, log.id, to)? {
            let base = cut.header.base_offset;
            gone_from = to.min(base);
            if base < row.clean || row.compacted != 0 {
                let (_, end) = keys::log_range(Table::Index, log.id);
                let first = keys::offset_key(Table::Index, log.id, base);
                let held = row.preceding_end - cut.preceding;
                row.compacted -= difference(held, bytes_of(index, &first, &end)?);
            }
            row.preceding_end = cut.preceding;
            row.preceding_start = row.preceding_start.min(cut.preceding);
            let (_, end) = keys::log_range(Table::Index, log.id);
            let first = keys::offset_key(Table::Index, log.id, base);
            remove_rows(&mut self.changes, index, &first, &end)?;
        }
        // What was compacted may hold no batch there, and still have the offsets.
        self.cut_runs(index, log.id, &mut row, gone_from)?;
        self.cut_pieces(index, log.id, &mut row, gone_from)?;
        row.clean = row.clean.min(to);
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
        let (first, end) = keys::log_range(Table::Index, log.id);
        let base = kept.map(|kept| kept.header.base_offset);
        let end = match base {
            Some(base) => keys::offset_key(Table::Index, log.id, base).to_vec(),
            None => end.to_vec(),
        };
        let preceding = kept.map_or(row.preceding_end, |kept| kept.preceding);
        if row.clean > row.bounds.start || row.compacted != 0 {
            let held = preceding - row.preceding_start;
            row.compacted -= difference(held, bytes_of(index, &first, &end)?);
        }
        row.preceding_start = preceding;
        remove_rows(&mut self.changes, index, &first, &end)?;
        self.forget_runs_below(index, log.id, &mut row, to)?;
        self.forget_pieces_below(index, log.id, &mut row, to)?;
        let touched = self.touch(log);
        touched.row = row;
        touched.is_cut = true;
        touched.start_moved = true;
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

    /// The log is gone, and what the index has of it is not known.
    pub(crate) fn drop_unseen(&mut self, log: &Arc<Log>) {
        self.held.retain(|_, held| held.log.id != log.id);
        let touched = self.touch(log);
        touched.is_cut = true;
        touched.is_dropped = true;
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
                state.trim_tail(touched.compacted_to);
            }
            if touched.start_moved {
                let start = state.row.bounds.start;
                calls.extend(state.audience.start_moved(start));
            }
            if let Some(incarnation) = touched.flushed {
                let end = state.row.bounds.end;
                calls.extend(state.audience.flushed(incarnation, end));
            }
        }
        tails.shrink();
        calls
    }

    /// Lets rows of a log point at what the rewrite job wrote, unless the log has
    /// other batches by now than the job saw.
    pub(crate) fn relocate(
        &mut self,
        index: &Index,
        log: &Arc<Log>,
        moves: &Moves,
    ) -> Result<(), IndexError> {
        let mut row = *self.row(log);
        let Some(matched) = matching(index, log.id, moves)? else {
            return Ok(());
        };
        let Some(pieces) = self.pieces_within(index, log.id, &row, moves)? else {
            return Ok(());
        };
        // The log may have been cut since: what is appended next has the offsets behind.
        let through = moves.through.min(Offset(row.bounds.end.0 - 1));
        let mut bytes_left: BTreeMap<FileNumber, u64> = BTreeMap::new();
        let mut bytes_moved = 0;
        let mut fresh = Vec::new();
        for (old, to) in matched {
            let key = keys::offset_key(Table::Index, log.id, old.header.base_offset);
            *bytes_left.entry(old.position.file).or_default() += batch_entry_size(&old.header);
            self.left.insert(old.position.file);
            let Some(Landing { at, header }) = to else {
                row.compacted += difference(old.header.size.0, 0);
                self.changes.delete(key);
                continue;
            };
            row.compacted += difference(old.header.size.0, header.size.0);
            bytes_moved += batch_entry_size(&header);
            fresh.push(header);
            let position = Position {
                file: moves.target,
                at,
            };
            let moved = IndexRow {
                position,
                header,
                ..old
            };
            self.changes.put(key, moved.write());
        }
        self.take_pieces(log.id, &mut row, moves, pieces, bytes_left);
        if bytes_moved > 0 {
            let piece = Piece {
                file: moves.target,
                first: moves.first,
                last: through,
                bytes: bytes_moved,
            };
            self.add_moved_piece(index, log.id, moves, piece)?;
        }
        if moves.purpose != Purpose::Copy {
            self.time_anew(index, log.id, moves, through, &fresh)?;
        }
        let touched = self.touch(log);
        match moves.purpose {
            Purpose::Copy => {}
            Purpose::Compact => touched.compacted_to = moves.through.plus(1),
            Purpose::CompactedTo(clean) => {
                touched.compacted_to = moves.through.plus(1);
                row.clean = row.clean.max(clean.min(row.bounds.end));
            }
        }
        touched.row = row;
        touched.is_cut = true;
        Ok(())
    }

    /// Rows of `Time` within what was compacted give way to one for what is left.
    fn time_anew(
        &mut self,
        index: &Index,
        log: LogId,
        moves: &Moves,
        through: Offset,
        left: &[BatchHeader],
    ) -> Result<(), IndexError> {
        let first = keys::offset_key(Table::Time, log, moves.first);
        let end = keys::offset_key(Table::Time, log, moves.through.plus(1));
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.first()?;
        while let Some((key, value)) = current {
            if TimeRow::parse(value)?.last <= moves.through {
                self.changes.delete(key);
            }
            current = rows.next()?;
        }
        let greatest = left.iter().map(|header| header.max_timestamp).max();
        if let (Some(front), Some(max_timestamp)) = (left.first(), greatest) {
            let run = TimeRow {
                last: through,
                max_timestamp,
            };
            let key = keys::offset_key(Table::Time, log, front.base_offset);
            self.changes.put(key, run.write());
        }
        Ok(())
    }

    /// The pieces that lie within what is moved, or begin there; none if one begins
    /// before it.
    fn pieces_within(
        &self,
        index: &Index,
        log: LogId,
        row: &LogRow,
        moves: &Moves,
    ) -> Result<Option<Vec<Piece>>, IndexError> {
        let mut pieces = Vec::new();
        let (first, end) = keys::log_range(Table::Pieces, log);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let key = keys::offset_key(Table::Pieces, log, moves.first);
        let mut current = rows.seek_back(&key)?;
        if current.is_none() {
            current = rows.seek(&key)?;
        }
        while let Some((_, value)) = current {
            let piece = Piece::parse(value)?;
            if piece.first > moves.through {
                break;
            }
            if piece.last >= moves.first {
                pieces.push(piece);
            }
            current = rows.next()?;
        }
        let overlaps = |piece: &Piece| piece.first <= moves.through && piece.last >= moves.first;
        pieces.extend(row.piece.filter(overlaps));
        let begins_before = pieces.iter().any(|piece| piece.first < moves.first);
        Ok((!begins_before).then_some(pieces))
    }

    /// The pieces keep what lies behind the moves.
    fn take_pieces(
        &mut self,
        log: LogId,
        row: &mut LogRow,
        moves: &Moves,
        pieces: Vec<Piece>,
        mut bytes_left: BTreeMap<FileNumber, u64>,
    ) {
        for piece in pieces {
            // Also where none of its batches is left.
            self.left.insert(piece.file);
            let is_open = row.piece == Some(piece);
            let left = self.carve(piece, moves.through, &mut bytes_left);
            if is_open {
                row.piece = left;
            } else {
                let key = keys::offset_key(Table::Pieces, log, piece.first);
                self.changes.delete(key);
                if let Some(left) = left {
                    self.put_piece(log, left);
                }
            }
        }
    }

    /// What is left of a piece behind `through`.
    fn carve(
        &mut self,
        piece: Piece,
        through: Offset,
        bytes_left: &mut BTreeMap<FileNumber, u64>,
    ) -> Option<Piece> {
        if piece.last <= through {
            let bytes = bytes_left.entry(piece.file).or_default();
            *bytes = bytes.saturating_sub(piece.bytes);
            self.free_piece(piece);
            return None;
        }
        let bytes = bytes_left.remove(&piece.file).unwrap_or(0).min(piece.bytes);
        let file = self.file(piece.file);
        file.live_bytes = file.live_bytes.saturating_sub(bytes);
        Some(Piece {
            first: through.plus(1),
            bytes: piece.bytes - bytes,
            ..piece
        })
    }

    /// The piece lies in the target now; it goes on with the one before.
    fn add_moved_piece(
        &mut self,
        index: &Index,
        log: LogId,
        moves: &Moves,
        mut piece: Piece,
    ) -> Result<(), IndexError> {
        let bytes = piece.bytes;
        let (first, _) = keys::log_range(Table::Pieces, log);
        let end = keys::offset_key(Table::Pieces, log, moves.first);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let before = match rows.last()? {
            Some((_, value)) => Some(Piece::parse(value)?),
            None => None,
        };
        let before = before
            .filter(|before| before.file == moves.target && before.last.plus(1) == moves.first);
        if let Some(before) = before {
            piece.first = before.first;
            piece.bytes += before.bytes;
        }
        self.put_piece(log, piece);
        self.next_sorted = self.next_sorted.max(moves.target.within_kind() + 1);
        self.changes
            .set(keys::NEXT_SORTED, self.next_sorted.to_be_bytes());
        let file = self.file(moves.target);
        file.length = moves.target_length;
        file.live_bytes += bytes;
        if before.is_none() {
            file.live_pieces += 1;
            file.runs += 1;
        }
        self.dead.remove(&moves.target);
        Ok(())
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
            start_moved: false,
            compacted_to: Offset::ZERO,
            fresh: Vec::new(),
            states: Vec::new(),
            flushed: None,
        })
    }

    fn file(&mut self, number: FileNumber) -> &mut FileRow {
        self.changed_files.insert(number);
        self.files.entry(number).or_default()
    }

    fn put_piece(&mut self, log: LogId, piece: Piece) {
        let key = keys::offset_key(Table::Pieces, log, piece.first);
        self.changes.put(key, piece.write());
    }

    fn free_piece(&mut self, piece: Piece) {
        let row = self.file(piece.file);
        row.live_pieces = row.live_pieces.saturating_sub(1);
        row.live_bytes = row.live_bytes.saturating_sub(piece.bytes);
        if row.live_pieces == 0 {
            self.dead.insert(piece.file, None);
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
            Some(piece) if piece.first < base => {
                piece.last = piece.last.min(Offset(base.0 - 1));
                return Ok(());
            }
            Some(piece) => self.free_piece(*piece),
            None => {}
        }
        row.piece = None;
        let (first, end) = keys::log_range(Table::Pieces, log);
        let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.last()?;
        while let Some((key, value)) = current {
            let piece = Piece::parse(value)?;
            if piece.last < base {
                break;
            }
            if piece.first < base {
                let last = Offset(base.0 - 1);
                self.changes.put(key, Piece { last, ..piece }.write());
                break;
            }
            self.changes.delete(key);
            current = rows.previous()?;
            self.free_piece(piece);
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
            self.changes.delete(key);
            current = rows.next()?;
            self.free_piece(piece);
        }
        if let Some(piece) = row.piece
            && piece.last < to
        {
            self.free_piece(piece);
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
    fn extend_piece(&mut self, header: &BatchHeader, file: FileNumber) -> Option<Piece> {
        let bytes = batch_entry_size(header);
        let last = header.last_offset();
        if let Some(piece) = &mut self.piece
            && piece.file == file
        {
            piece.last = last;
            piece.bytes += bytes;
            return None;
        }
        self.piece.replace(Piece {
            file,
            first: header.base_offset,
            last,
            bytes,
        })
    }
}

/// A row as it is, and what becomes of it.
type Match = (IndexRow, Option<Landing>);

/// The rows within what is moved, each with where it goes; none if there is a row
/// that the job did not see there. Rows that went meanwhile are missed by nobody.
fn matching(index: &Index, log: LogId, moves: &Moves) -> Result<Option<Vec<Match>>, IndexError> {
    let first = keys::offset_key(Table::Index, log, moves.first);
    let end = keys::offset_key(Table::Index, log, moves.through.plus(1));
    let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
    let mut matched = Vec::with_capacity(moves.rows.len());
    let mut current = rows.first()?;
    while let Some((_, value)) = current {
        let row = IndexRow::parse(value)?;
        let seen = moves.row(row.header.base_offset);
        let Some(seen) = seen.filter(|seen| seen.from == row.position) else {
            return Ok(None);
        };
        let to = match &seen.to {
            Destination::Verbatim { at } => Some(Landing {
                at: *at,
                header: row.header,
            }),
            Destination::Rebuilt(landing) => Some(**landing),
            Destination::Nowhere => None,
        };
        matched.push((row, to));
        current = rows.next()?;
    }
    Ok(Some(matched))
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

/// How much more one is than the other.
fn difference(one: u64, other: u64) -> i64 {
    one.cast_signed() - other.cast_signed()
}

/// Bytes of the batches whose rows in `Index` are `first <= key < end`.
fn bytes_of(index: &Index, first: &[u8], end: &[u8]) -> Result<u64, IndexError> {
    let mut rows = index.rows(first, end, ReadMode::Blocking)?;
    let mut bytes = 0;
    let mut current = rows.first()?;
    while let Some((_, value)) = current {
        bytes += IndexRow::parse(value)?.header.size.0;
        current = rows.next()?;
    }
    Ok(bytes)
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
