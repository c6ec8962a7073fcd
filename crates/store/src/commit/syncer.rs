//! Makes files durable beside the writer, where nobody waits for that.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

use super::entry::Position;
use super::file::CommitFile;

/// Owned by the writer; its thread ends with it. At most one job at a time.
#[derive(Debug)]
pub(crate) struct Syncer {
    jobs: Sender<(Vec<Arc<CommitFile>>, Position)>,
    done: Receiver<io::Result<Position>>,
    is_busy: bool,
}

impl Syncer {
    pub(crate) fn start() -> Self {
        let (jobs, todo) = channel::<(Vec<Arc<CommitFile>>, Position)>();
        let (report, done) = channel();
        let builder = std::thread::Builder::new().name("ottla-sync".into());
        let thread = builder.spawn(move || {
            for (files, up_to) in todo {
                let synced = files.iter().try_for_each(|file| file.sync());
                if report.send(synced.map(|()| up_to)).is_err() {
                    return;
                }
            }
        });
        thread.expect("a process may start one more thread");
        Self {
            jobs,
            done,
            is_busy: false,
        }
    }

    pub(crate) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Everything below `up_to` that is not durable yet lies in `files`.
    pub(crate) fn begin(&mut self, files: Vec<Arc<CommitFile>>, up_to: Position) {
        self.is_busy = true;
        let sent = self.jobs.send((files, up_to));
        sent.expect("the thread lives as long as this");
    }

    /// Up to where everything is durable, if a job is done.
    pub(crate) fn poll(&mut self) -> io::Result<Option<Position>> {
        match self.done.try_recv() {
            Ok(synced) => {
                self.is_busy = false;
                synced.map(Some)
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Ok(None),
        }
    }

    /// Returns when no job is under way.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_busy) {
            self.done
                .recv()
                .expect("the thread lives as long as this")?;
        }
        Ok(())
    }
}
