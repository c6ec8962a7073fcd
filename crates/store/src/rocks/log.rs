//! What is in memory of each log.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use bytes::Bytes;
use ottla_base::Offset;
use ottla_protocol::records::RecordBatch;

use crate::audience::Audience;
use crate::commit::entry::Position;
use crate::keys::LogRow;
use crate::{Bounds, LogId, LogSummary};

/// One log. Only the writer moves its bounds.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) id: LogId,
    state: Mutex<LogState>,
}

#[derive(Debug)]
pub(crate) struct LogState {
    pub(crate) row: LogRow,
    /// The commit log has the entry that creates it.
    pub(crate) is_written: bool,
    pub(crate) audience: Audience,
    /// The last batches, none left out up to the end.
    pub(crate) tail: VecDeque<RecordBatch>,
    /// State that the index does not know yet, and where its entry lies.
    held: BTreeMap<Bytes, (Position, Bytes)>,
}

impl Log {
    pub(crate) const fn new(id: LogId, row: LogRow, is_written: bool) -> Self {
        Self {
            id,
            state: Mutex::new(LogState {
                row,
                is_written,
                audience: Audience::NOBODY,
                tail: VecDeque::new(),
                held: BTreeMap::new(),
            }),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, LogState> {
        self.state.lock().expect("no holder panics")
    }

    pub(crate) fn summary(&self) -> LogSummary {
        let row = self.state().row;
        LogSummary {
            id: self.id,
            tp: row.tp,
            start: row.bounds.start,
            end: row.bounds.end,
            size: row.size(),
            damaged: row.damaged,
        }
    }
}

impl LogState {
    pub(crate) fn hold(&mut self, key: &Bytes, value: &Bytes, position: Position) {
        self.held.insert(key.clone(), (position, value.clone()));
    }

    /// The index knows the state whose entry lies there.
    pub(crate) fn forget_held(&mut self, key: &Bytes, position: Position) {
        if self
            .held
            .get(key)
            .is_some_and(|(held, _)| *held == position)
        {
            self.held.remove(key);
        }
    }

    pub(crate) fn held(&self, key: &[u8]) -> Option<Bytes> {
        self.held.get(key).map(|(_, value)| value.clone())
    }

    /// The tail holds nothing outside of the bounds, nor what was compacted.
    pub(crate) fn trim_tail(&mut self, compacted_to: Offset) {
        let Bounds { start, end } = self.row.bounds;
        let start = start.max(compacted_to);
        while let Some(first) = self.tail.front()
            && first.header().last_offset() < start
        {
            self.tail.pop_front();
        }
        while let Some(last) = self.tail.back()
            && last.header().last_offset() >= end
        {
            self.tail.pop_back();
        }
    }

    /// Batches from the one that holds `from` on, if the tail reaches that far back.
    pub(crate) fn tail_from(&self, from: Offset) -> Option<impl Iterator<Item = &RecordBatch>> {
        let first = self.tail.front()?.header().base_offset;
        if from < first {
            return None;
        }
        let at = self
            .tail
            .partition_point(|batch| batch.header().last_offset() < from);
        Some(self.tail.range(at..))
    }
}

/// All logs, by id.
#[derive(Debug, Default)]
pub(crate) struct Logs(RwLock<HashMap<LogId, Arc<Log>>>);

impl Logs {
    pub(crate) fn get(&self, id: LogId) -> Option<Arc<Log>> {
        self.0.read().expect("no holder panics").get(&id).cloned()
    }

    pub(crate) fn insert(&self, log: Arc<Log>) {
        self.0
            .write()
            .expect("no holder panics")
            .insert(log.id, log);
    }

    pub(crate) fn remove(&self, id: LogId) {
        self.0.write().expect("no holder panics").remove(&id);
    }

    /// In the order of their ids.
    pub(crate) fn all(&self) -> Vec<Arc<Log>> {
        let logs = self.0.read().expect("no holder panics");
        let mut all: Vec<_> = logs.values().cloned().collect();
        all.sort_unstable_by_key(|log| log.id);
        all
    }
}
