//! What the writer and the readers of one store share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use super::index::{Index, IndexError};
use super::log::{Log, Logs};
use crate::commit::entry::FileNumber;
use crate::commit::file::CommitFile;
use crate::commit::flush_first::FlushFirst;
use crate::names::Names;
use crate::queue::{Command, Queue};
use crate::{Compaction, LogId, ReadError, Rewriting, StoreFailure};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) commit_dir: PathBuf,
    pub(crate) index: Index,
    pub(crate) logs: Logs,
    pub(crate) queue: Queue,
    pub(crate) names: Mutex<Names>,
    pub(crate) flushes: FlushFirst,
    files: RwLock<BTreeMap<FileNumber, Arc<CommitFile>>>,
    failure: Mutex<Option<StoreFailure>>,
    compactions: Mutex<BTreeMap<LogId, Compaction>>,
    rewriting: Mutex<Rewriting>,
    /// A file that whoever looks for it next just misses.
    #[cfg(test)]
    pub(crate) goes_once: Mutex<Option<FileNumber>>,
}

impl Shared {
    pub(crate) fn new(
        commit_dir: PathBuf,
        index: Index,
        logs: Logs,
        names: Names,
        files: BTreeMap<FileNumber, Arc<CommitFile>>,
    ) -> Self {
        Self {
            commit_dir,
            index,
            logs,
            queue: Queue::default(),
            names: Mutex::new(names),
            flushes: FlushFirst::default(),
            files: RwLock::new(files),
            failure: Mutex::new(None),
            compactions: Mutex::default(),
            rewriting: Mutex::default(),
            #[cfg(test)]
            goes_once: Mutex::new(None),
        }
    }

    pub(crate) fn file(&self, number: FileNumber) -> Option<Arc<CommitFile>> {
        #[cfg(test)]
        if self
            .goes_once
            .lock()
            .expect("no holder panics")
            .take_if(|gone| *gone == number)
            .is_some()
        {
            return None;
        }
        let files = self.files.read().expect("no holder panics");
        files.get(&number).cloned()
    }

    pub(crate) fn insert_file(&self, file: Arc<CommitFile>) {
        let mut files = self.files.write().expect("no holder panics");
        files.insert(file.number, file);
    }

    pub(crate) fn remove_file(&self, number: FileNumber) -> Option<Arc<CommitFile>> {
        self.files
            .write()
            .expect("no holder panics")
            .remove(&number)
    }

    /// Whether the rewrite job holds a sorted file, to which it moves batches; or a
    /// reader does.
    pub(crate) fn is_being_filled(&self, number: FileNumber) -> bool {
        let files = self.files.read().expect("no holder panics");
        let file = files.get(&number);
        number.is_sorted() && file.is_some_and(|file| Arc::strong_count(file) > 1)
    }

    pub(crate) fn sorted_files(&self) -> Vec<FileNumber> {
        let files = self.files.read().expect("no holder panics");
        let sorted = files.keys().filter(|number| number.is_sorted());
        sorted.copied().collect()
    }

    pub(crate) fn set_compaction(&self, log: LogId, compaction: Option<Compaction>) {
        let mut compactions = self.compactions.lock().expect("no holder panics");
        match compaction {
            Some(rules) => compactions.insert(log, rules),
            None => compactions.remove(&log),
        };
    }

    /// The rules of every log that is to be compacted and still exists.
    pub(crate) fn compactions(&self) -> Vec<(Arc<Log>, Compaction)> {
        let mut compactions = self.compactions.lock().expect("no holder panics");
        compactions.retain(|id, _| self.logs.get(*id).is_some());
        let logs = compactions.iter();
        logs.filter_map(|(id, rules)| Some((self.logs.get(*id)?, *rules)))
            .collect()
    }

    pub(crate) fn set_rewriting(&self, rewriting: Rewriting) {
        *self.rewriting.lock().expect("no holder panics") = rewriting;
    }

    pub(crate) fn rewriting(&self) -> Rewriting {
        *self.rewriting.lock().expect("no holder panics")
    }

    /// Takes a log offline. Its listener hears of it behind what it is owed already.
    pub(crate) fn set_apart(&self, log: &Log, reason: &dyn std::error::Error) {
        {
            let mut state = log.state();
            if std::mem::replace(&mut state.row.damaged, true) {
                return;
            }
            let partition = state.row.tp;
            tracing::error!(log = log.id.0, %partition, %reason, "the log goes offline");
        }
        self.queue.push(Command::SetApart(log.id));
        self.queue.wake();
    }

    /// Why the index does not answer what is asked of a log, which goes offline where its
    /// rows are damaged.
    pub(crate) fn unanswered(&self, log: &Log, error: IndexError) -> ReadError {
        if matches!(error, IndexError::Damaged(_)) {
            self.set_apart(log, &error);
            return ReadError::Damaged(log.id);
        }
        error.into()
    }

    pub(crate) fn failure(&self) -> Option<StoreFailure> {
        self.failure.lock().expect("no holder panics").clone()
    }

    pub(crate) fn set_failure(&self, failure: StoreFailure) {
        *self.failure.lock().expect("no holder panics") = Some(failure);
    }
}
