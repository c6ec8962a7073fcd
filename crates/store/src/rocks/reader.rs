//! Reads that the tail does not answer: positions from the index, bytes from the
//! commit files, every byte checked before it leaves.

use bytes::Bytes;
use ottla_base::Offset;
use ottla_protocol::records::{BatchHeader, RecordBatch};

use super::index::{Index, IndexError, Row, Rows};
use super::log::Log;
use super::shared::Shared;
use crate::commit::entry::{HEADER_SIZE, batch_entry_size};
use crate::keys::{self, IndexRow, Table, TimeRow};
use crate::{LogId, ReadError, ReadMode, ReadOutcome};

/// What part of a log is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) from: Offset,
    pub(crate) until: Offset,
    pub(crate) max_bytes: usize,
    pub(crate) at_least_one: bool,
    pub(crate) mode: ReadMode,
}

impl Wanted {
    /// Chooses batches in order, until one does not fit any more.
    pub(crate) fn selection(&self) -> Selection {
        Selection {
            until: self.until,
            room: self.max_bytes as u64,
            takes_any: self.at_least_one,
        }
    }
}

/// Decides which batches are part of an answer.
pub(crate) struct Selection {
    until: Offset,
    room: u64,
    takes_any: bool,
}

impl Selection {
    pub(crate) fn takes(&mut self, header: &BatchHeader) -> bool {
        let fits = header.size.0 <= self.room || self.takes_any;
        if !fits || header.next_offset() > self.until {
            return false;
        }
        self.takes_any = false;
        self.room = self.room.saturating_sub(header.size.0);
        true
    }
}

/// How often a read looks for its batches anew, because a file went since it looked
/// last. Each time what was in it has been copied to another.
const LOOKS_MAX: u32 = 8;

/// Why a run of batches was not read.
pub(crate) enum Obstacle {
    WouldBlock,
    /// The file is gone, because nothing in it is needed any more.
    Gone,
    Damage,
    Io(std::io::Error),
}

pub(crate) fn read(shared: &Shared, log: &Log, wanted: Wanted) -> Result<ReadOutcome, ReadError> {
    let mut looks = 0;
    loop {
        match look(shared, log, wanted)? {
            Look::Found(outcome) => return Ok(outcome),
            Look::Gone if looks == LOOKS_MAX => return Err(gone(shared, log, wanted.from)),
            Look::Gone => looks += 1,
        }
    }
}

enum Look {
    Found(ReadOutcome),
    /// The first batch is not where the index said.
    Gone,
}

fn look(shared: &Shared, log: &Log, wanted: Wanted) -> Result<Look, ReadError> {
    let would_block = Look::Found(ReadOutcome::WouldBlock);
    let rows = match select(&shared.index, log.id, wanted) {
        Ok(rows) => rows,
        Err(IndexError::WouldBlock) => return Ok(would_block),
        Err(error) => return Err(shared.unanswered(log, error)),
    };
    let begins_late = rows
        .first()
        .is_none_or(|row| row.header.base_offset > wanted.from);
    if begins_late {
        // The start may have moved since the bounds were looked at.
        log.state().row.bounds.check(wanted.from)?;
    }
    let mut batches = Vec::with_capacity(rows.len());
    for run in rows.chunk_by(is_followed_by) {
        match read_run(shared, run, wanted.mode) {
            Ok(read) => batches.extend(read),
            // What was read already is an answer too.
            Err(_) if !batches.is_empty() => break,
            Err(Obstacle::WouldBlock) => return Ok(would_block),
            Err(Obstacle::Io(error)) => return Err(ReadError::Io(error.to_string())),
            Err(Obstacle::Gone) => return Ok(Look::Gone),
            Err(Obstacle::Damage) => return Err(damaged(shared, log, wanted.from)),
        }
    }
    Ok(Look::Found(ReadOutcome::Ready(batches)))
}

/// The batches of these rows, which follow each other. Waits for the disk.
pub(crate) fn read_rows(shared: &Shared, rows: &[IndexRow]) -> Result<Vec<RecordBatch>, Obstacle> {
    let mut batches = Vec::with_capacity(rows.len());
    for run in rows.chunk_by(is_followed_by) {
        batches.extend(read_run(shared, run, ReadMode::Blocking)?);
    }
    Ok(batches)
}

/// A log's batches cannot be copied. Where they are damaged nobody gets to see them.
pub(crate) fn give_up(shared: &Shared, log: LogId, from: Offset, obstacle: Obstacle) {
    let Some(log) = shared.logs.get(log) else {
        return;
    };
    match obstacle {
        Obstacle::Damage => drop(damaged(shared, &log, from)),
        Obstacle::Io(error) => {
            tracing::error!(log = log.id.0, offset = %from, %error, "a batch cannot be read");
        }
        // The log was cut in the meantime.
        Obstacle::Gone | Obstacle::WouldBlock => {}
    }
}

fn select(index: &Index, log: LogId, wanted: Wanted) -> Result<Vec<IndexRow>, IndexError> {
    let mut selection = wanted.selection();
    let mut chosen = Vec::new();
    each_row(index, log, wanted.from, wanted.mode, |row| {
        let takes = selection.takes(&row.header);
        if takes {
            chosen.push(row);
        }
        takes
    })?;
    Ok(chosen)
}

/// Whether the entry of `next` lies right behind that of `row`.
fn is_followed_by(row: &IndexRow, next: &IndexRow) -> bool {
    let end = u64::from(row.position.at) + batch_entry_size(&row.header);
    row.position.file == next.position.file && end == u64::from(next.position.at)
}

/// Batches whose entries lie side by side.
fn read_run(
    shared: &Shared,
    run: &[IndexRow],
    mode: ReadMode,
) -> Result<Vec<RecordBatch>, Obstacle> {
    let Some(first) = run.first() else {
        return Ok(Vec::new());
    };
    let file = shared.file(first.position.file).ok_or(Obstacle::Gone)?;
    let length: u64 = run.iter().map(|row| batch_entry_size(&row.header)).sum();
    let length = usize::try_from(length).map_err(|_| Obstacle::Damage)?;
    let at = first.position.at;
    let bytes = match mode {
        ReadMode::NonBlocking => file
            .read_cached(at, length)
            .map_err(Obstacle::Io)?
            .ok_or(Obstacle::WouldBlock)?,
        ReadMode::Blocking => file
            .read_calmly(&shared.flushes, at, length)
            .map_err(Obstacle::Io)?,
    };
    cut(bytes, run)
}

fn cut(mut bytes: Bytes, run: &[IndexRow]) -> Result<Vec<RecordBatch>, Obstacle> {
    let mut batches = Vec::with_capacity(run.len());
    for row in run {
        let size = usize::try_from(batch_entry_size(&row.header)).map_err(|_| Obstacle::Damage)?;
        if bytes.len() < size {
            return Err(Obstacle::Damage);
        }
        let batch = bytes.split_to(size).slice(HEADER_SIZE..);
        let batch = RecordBatch::from_bytes(batch).map_err(|_| Obstacle::Damage)?;
        if *batch.header() != row.header || !batch.verify_crc() {
            return Err(Obstacle::Damage);
        }
        batches.push(batch);
    }
    Ok(batches)
}

fn gone(shared: &Shared, log: &Log, from: Offset) -> ReadError {
    let bounds = log.state().row.bounds;
    match bounds.check(from) {
        Err(out) => out,
        Ok(()) => damaged(shared, log, from),
    }
}

/// Takes the log offline.
fn damaged(shared: &Shared, log: &Log, offset: Offset) -> ReadError {
    shared.set_apart(log, &Unsound { offset });
    ReadError::Damaged(log.id)
}

#[derive(Debug, thiserror::Error)]
#[error("the batch at offset {offset} does not pass its checks")]
struct Unsound {
    offset: Offset,
}

pub(crate) fn headers(
    index: &Index,
    log: LogId,
    from: Offset,
    max: usize,
) -> Result<Vec<BatchHeader>, IndexError> {
    let mut headers = Vec::new();
    each_row(index, log, from, ReadMode::Blocking, |row| {
        let takes = headers.len() < max;
        if takes {
            headers.push(row.header);
        }
        takes
    })?;
    Ok(headers)
}

/// Gives `take` the rows from the one that holds `from` on, until it declines.
fn each_row(
    index: &Index,
    log: LogId,
    from: Offset,
    mode: ReadMode,
    mut take: impl FnMut(IndexRow) -> bool,
) -> Result<(), IndexError> {
    let (first, end) = keys::log_range(Table::Index, log);
    let mut rows = index.rows(&first, &end, mode)?;
    let mut row = holder(&mut rows, log, from)?;
    while let Some((_, value)) = row {
        if !take(IndexRow::parse(value)?) {
            return Ok(());
        }
        row = rows.next()?;
    }
    Ok(())
}

/// The row of the batch that holds `from`, or of the first one behind it.
fn holder<'a>(
    rows: &'a mut Rows<'_>,
    log: LogId,
    from: Offset,
) -> Result<Option<Row<'a>>, IndexError> {
    let key = keys::offset_key(Table::Index, log, from);
    let holds = match rows.seek_back(&key)? {
        Some((_, value)) => IndexRow::parse(value)?.header.last_offset() >= from,
        None => false,
    };
    if holds {
        rows.current()
    } else {
        rows.seek(&key)
    }
}

/// The first batch with an offset in `from..until` that has a timestamp at or
/// behind `timestamp`.
pub(crate) fn first_since(
    index: &Index,
    log: LogId,
    timestamp: i64,
    from: Offset,
    until: Offset,
) -> Result<Option<BatchHeader>, IndexError> {
    let mut start = from;
    for (first, run) in runs(index, log)? {
        if first >= until {
            break;
        }
        if run.last < start {
            continue;
        }
        if run.max_timestamp < timestamp {
            start = Offset(run.last.0 + 1);
            continue;
        }
        // The run's batches that count may lie before `from`.
        let found = first_in(index, log, timestamp, start.max(first), run.last)?;
        if found.is_some() {
            return Ok(found.filter(|found| found.base_offset < until));
        }
        start = Offset(run.last.0 + 1);
    }
    let found = first_in(index, log, timestamp, start, until)?;
    Ok(found.filter(|found| found.base_offset < until))
}

/// The first batch from the one that holds `from` on to the one that holds `last`
/// that has a timestamp at or behind `timestamp`. One that compaction left without
/// records has none.
fn first_in(
    index: &Index,
    log: LogId,
    timestamp: i64,
    from: Offset,
    last: Offset,
) -> Result<Option<BatchHeader>, IndexError> {
    let mut found = None;
    each_row(index, log, from, ReadMode::Blocking, |row| {
        if row.header.base_offset > last {
            return false;
        }
        if row.header.max_timestamp >= timestamp && row.header.record_count > 0 {
            found = Some(row.header);
        }
        found.is_none()
    })?;
    Ok(found)
}

/// The first batch with the greatest timestamp among those wholly below `until`.
pub(crate) fn max_timestamp(
    index: &Index,
    log: LogId,
    start: Offset,
    until: Offset,
) -> Result<Option<BatchHeader>, IndexError> {
    let mut runs = runs(index, log)?;
    runs.retain(|(first, run)| run.last >= start && *first < until);
    let behind = runs.last().map_or(start, |(_, run)| Offset(run.last.0 + 1));
    let mut best = greatest_in(index, log, behind, until)?;
    // The greatest bound first: most runs need no look at their batches.
    runs.sort_by_key(|(first, run)| (std::cmp::Reverse(run.max_timestamp), *first));
    for (first, run) in runs {
        if best.is_some_and(|best| best.max_timestamp > run.max_timestamp) {
            break;
        }
        let end = Offset(run.last.0 + 1).min(until);
        let found = greatest_in(index, log, first.max(start), end)?;
        best = match (best, found) {
            (Some(best), Some(found)) => Some(greater(best, found)),
            (best, found) => best.or(found),
        };
    }
    Ok(best)
}

fn greatest_in(
    index: &Index,
    log: LogId,
    from: Offset,
    until: Offset,
) -> Result<Option<BatchHeader>, IndexError> {
    let mut best: Option<BatchHeader> = None;
    each_row(index, log, from, ReadMode::Blocking, |row| {
        let is_below = row.header.next_offset() <= until;
        if is_below && row.header.record_count > 0 {
            best = Some(best.map_or(row.header, |best| greater(best, row.header)));
        }
        is_below
    })?;
    Ok(best)
}

/// The one with the greater timestamp; of equals the one that comes first.
fn greater(one: BatchHeader, other: BatchHeader) -> BatchHeader {
    let key = |header: &BatchHeader| (header.max_timestamp, -header.base_offset.0);
    if key(&other) > key(&one) { other } else { one }
}

fn runs(index: &Index, log: LogId) -> Result<Vec<(Offset, TimeRow)>, IndexError> {
    let (first, end) = keys::log_range(Table::Time, log);
    let mut rows = index.rows(&first, &end, ReadMode::Blocking)?;
    let mut runs = Vec::new();
    let mut row = rows.first()?;
    while let Some((key, value)) = row {
        if let Some(first) = keys::offset_of(key) {
            runs.push((first, TimeRow::parse(value)?));
        }
        row = rows.next()?;
    }
    Ok(runs)
}
