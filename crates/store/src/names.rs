//! Which partition has which log, as of the last submitted operation.

use std::collections::HashMap;

use ottla_base::TopicPartition;

use crate::{LogId, StoreError};

/// Owned by a store, behind its lock.
#[derive(Debug)]
pub(crate) struct Names {
    by_tp: HashMap<TopicPartition, LogId>,
    next: u64,
}

impl Names {
    /// `next` is above every id that was ever given.
    pub(crate) fn new(logs: impl Iterator<Item = (TopicPartition, LogId)>, next: u64) -> Self {
        Self {
            by_tp: logs.collect(),
            next,
        }
    }

    pub(crate) fn claim(&mut self, tp: TopicPartition) -> Result<LogId, StoreError> {
        if let Some(&log) = self.by_tp.get(&tp) {
            return Err(StoreError::Exists { tp, log });
        }
        let log = LogId(self.next);
        self.next += 1;
        self.by_tp.insert(tp, log);
        Ok(log)
    }

    /// Above every id that was ever given.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// The partition may be given another log.
    pub(crate) fn release(&mut self, tp: TopicPartition, log: LogId) {
        if self.by_tp.get(&tp) == Some(&log) {
            self.by_tp.remove(&tp);
        }
    }
}
