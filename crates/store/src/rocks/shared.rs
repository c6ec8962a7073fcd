//! What the writer and the readers of one store share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use super::index::Index;
use super::log::Logs;
use crate::StoreFailure;
use crate::commit::entry::FileNumber;
use crate::commit::file::CommitFile;
use crate::names::Names;
use crate::queue::Queue;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) commit_dir: PathBuf,
    pub(crate) index: Index,
    pub(crate) logs: Logs,
    pub(crate) queue: Queue,
    pub(crate) names: Mutex<Names>,
    files: RwLock<BTreeMap<FileNumber, Arc<CommitFile>>>,
    failure: Mutex<Option<StoreFailure>>,
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
            files: RwLock::new(files),
            failure: Mutex::new(None),
        }
    }

    pub(crate) fn file(&self, number: FileNumber) -> Option<Arc<CommitFile>> {
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

    pub(crate) fn failure(&self) -> Option<StoreFailure> {
        self.failure.lock().expect("no holder panics").clone()
    }

    pub(crate) fn set_failure(&self, failure: StoreFailure) {
        *self.failure.lock().expect("no holder panics") = Some(failure);
    }
}
