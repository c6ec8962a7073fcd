//! Removes files beside the writer: freeing the blocks of a large one takes longer
//! than anybody's append should.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use super::disk::Disk;
use super::file::CommitFile;

/// Owned by the writer; its thread ends with it. What it did not get to is unknown to
/// the index, and goes at the next start.
#[derive(Debug)]
pub(crate) struct Remover {
    /// None once nothing more comes.
    files: Option<Sender<Dead>>,
    thread: Option<JoinHandle<()>>,
}

/// A file that nobody needs any more.
#[derive(Debug)]
pub(crate) enum Dead {
    Commit(Arc<CommitFile>),
    /// One that was kept for reuse.
    Spare(PathBuf),
}

impl Dead {
    pub(crate) fn remove(&self, disk: &Disk) -> io::Result<()> {
        match self {
            Self::Commit(file) => file.retire(disk, false).map(|_| ()),
            Self::Spare(path) => disk.remove(path),
        }
    }
}

impl Remover {
    pub(crate) fn start(disk: Disk) -> Self {
        let (files, todo) = channel::<Dead>();
        let builder = std::thread::Builder::new().name("ottla-remove".into());
        let thread = builder.spawn(move || {
            for file in todo {
                if let Err(error) = file.remove(&disk) {
                    tracing::error!(?file, %error, "a dead file cannot be removed");
                }
            }
        });
        Self {
            files: Some(files),
            thread: Some(thread.expect("a process may start one more thread")),
        }
    }

    pub(crate) fn remove(&self, file: Dead) {
        if let Some(files) = &self.files {
            files.send(file).expect("the thread lives as long as this");
        }
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        self.files = None;
        if let Some(thread) = self.thread.take() {
            // The thread's own panic was reported where it happened.
            let _ = thread.join();
        }
    }
}
