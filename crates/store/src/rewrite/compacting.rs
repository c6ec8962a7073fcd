//! Which log is compacted next, and what is learned of it before it is copied.

use std::collections::{BTreeMap, BTreeSet};

use ottla_base::Offset;

use super::copying::{CopyError, Parcel, some_rows};
use crate::commit::entry::FileNumber;
use crate::compaction::{Extent, LastOfProducers, Latest, Pass, Segments, learn};
use crate::keys::{self, IndexRow, LogRow, Table};
use crate::rocks::index::IndexError;
use crate::rocks::reader;
use crate::rocks::shared::Shared;
use crate::{Compaction, LogId, ReadMode};

/// What is known of the logs that are to be compacted. Owned by the job.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    known: BTreeMap<LogId, Known>,
    /// Logs that cannot be compacted; the others are.
    hopeless: BTreeSet<LogId>,
}

/// The segments of a log, and what they were found by.
#[derive(Debug)]
struct Known {
    segments: Segments,
    clean: Offset,
    rules: (u64, i64, i64),
}

/// A log that is to be compacted now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) log: LogId,
    pub(crate) rules: Compaction,
    pub(crate) extent: Extent,
}

impl Candidates {
    /// The log of which most is dirty, if there is one of which enough is.
    pub(crate) fn dirtiest(&mut self, shared: &Shared) -> Result<Option<Due>, IndexError> {
        let compactions = shared.compactions();
        self.known
            .retain(|id, _| compactions.iter().any(|(log, _)| log.id == *id));
        let mut best: Option<(Due, f64)> = None;
        for (log, rules) in compactions {
            let row = log.state().row;
            if row.damaged || self.hopeless.contains(&log.id) {
                continue;
            }
            let segments = self.caught_up(shared, log.id, &row, &rules)?;
            let clean_bytes = row.size().0.saturating_sub(segments.bytes());
            let Some((extent, ratio)) = segments.due(clean_bytes, &rules) else {
                continue;
            };
            if best.is_none_or(|(_, most)| ratio > most) {
                let log = log.id;
                best = Some((Due { log, rules, extent }, ratio));
            }
        }
        Ok(best.map(|(due, _)| due))
    }

    /// The log is left alone until the next start.
    pub(crate) fn give_up(&mut self, log: LogId) {
        self.hopeless.insert(log);
    }

    fn caught_up(
        &mut self,
        shared: &Shared,
        log: LogId,
        row: &LogRow,
        rules: &Compaction,
    ) -> Result<&Segments, IndexError> {
        let clean = row.clean.max(row.bounds.start);
        let shape = (rules.segment_bytes, rules.segment_ms, rules.max_lag_ms);
        let fresh = || Known {
            segments: Segments::from(clean),
            clean,
            rules: shape,
        };
        let known = self.known.entry(log).or_insert_with(fresh);
        known.segments.forget_below(clean);
        let is_cut = known.segments.next() > row.bounds.end;
        let has_moved = known.clean != clean && known.segments.first() != clean;
        if is_cut || has_moved || known.rules != shape {
            *known = fresh();
        }
        known.clean = clean;
        if known.segments.next() < row.bounds.end {
            let first = keys::offset_key(Table::Index, log, known.segments.next());
            let end = keys::offset_key(Table::Index, log, row.bounds.end);
            let mut rows = shared.index.rows(&first, &end, ReadMode::Blocking)?;
            let mut current = rows.first()?;
            while let Some((_, value)) = current {
                known.segments.add(&IndexRow::parse(value)?.header, rules);
                current = rows.next()?;
            }
        }
        Ok(&known.segments)
    }
}

impl Due {
    /// The file that the last of its batches lies in.
    pub(crate) fn last_file(&self, shared: &Shared) -> Result<Option<FileNumber>, IndexError> {
        let (first, _) = keys::log_range(Table::Index, self.log);
        let end = keys::offset_key(Table::Index, self.log, self.extent.end);
        let mut rows = shared.index.rows(&first, &end, ReadMode::Blocking)?;
        match rows.last()? {
            Some((_, value)) => Ok(Some(IndexRow::parse(value)?.position.file)),
            None => Ok(None),
        }
    }
}

/// Reads the keys of what is dirty. Owned by the job.
#[derive(Debug)]
pub(crate) struct Learning {
    pub(crate) due: Due,
    latest: Latest,
    next: Offset,
}

/// How far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// So many bytes were read.
    Some(u64),
    /// All of it, or as many keys as there is memory for.
    All,
    /// A batch cannot be read.
    Failed,
}

impl Learning {
    pub(crate) fn new(due: Due, keys_memory: usize) -> Self {
        Self {
            due,
            latest: Latest::new(keys_memory, due.extent.dirty),
            next: due.extent.dirty,
        }
    }

    pub(crate) fn step(&mut self, shared: &Shared) -> Result<Learned, CopyError> {
        let Due { log, extent, .. } = self.due;
        let rest = Parcel {
            log,
            first: self.next,
            last: extent.end.plus(-1),
        };
        let rows = some_rows(shared, rest)?;
        if rows.is_empty() {
            self.latest.advance(extent.end);
            return Ok(Learned::All);
        }
        let batches = match reader::read_rows(shared, &rows) {
            Ok(batches) => batches,
            Err(obstacle) => {
                reader::give_up(shared, log, self.next, obstacle);
                return Ok(Learned::Failed);
            }
        };
        let mut bytes = 0;
        for batch in batches {
            if learn(&mut self.latest, &batch)?.is_err() {
                return Ok(Learned::All);
            }
            bytes += batch.size().0;
            self.next = batch.header().next_offset();
        }
        Ok(Learned::Some(bytes))
    }

    /// What is needed to judge each batch; none if not even the keys of one batch were
    /// learned.
    pub(crate) fn finish(self, shared: &Shared) -> Result<Option<Pass>, IndexError> {
        if self.latest.end() <= self.due.extent.dirty {
            return Ok(None);
        }
        let mut producers = LastOfProducers::default();
        let (first, end) = keys::log_range(Table::Index, self.due.log);
        let mut rows = shared.index.rows(&first, &end, ReadMode::Blocking)?;
        let mut current = rows.first()?;
        while let Some((_, value)) = current {
            let header = IndexRow::parse(value)?.header;
            // What is not committed may be cut off again, and then the one before counts.
            if header.next_offset() > self.due.rules.until {
                break;
            }
            producers.add(&header);
            current = rows.next()?;
        }
        Ok(Some(Pass {
            rules: self.due.rules,
            latest: self.latest,
            producers,
            end: self.due.extent.end,
        }))
    }
}
