//! Makes files durable beside the writer, where nobody waits for that.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::entry::Position;
use super::file::CommitFile;
use crate::memory::Stepping;

/// Owned by the writer; its thread ends with it. At most one job at a time.
#[derive(Debug)]
pub(crate) struct Syncer {
    worker: Worker,
    is_busy: bool,
}

/// Files that hold whatever is not durable yet, up to a position.
type Job = (Vec<Arc<CommitFile>>, Position);

/// Who does a job.
#[derive(Debug)]
enum Worker {
    Thread {
        jobs: Sender<Job>,
        done: Receiver<io::Result<Position>>,
    },
    /// Whoever looks whether it is done.
    Caller(Option<Job>),
}

impl Syncer {
    pub(crate) fn start(stepping: Stepping) -> Self {
        let worker = match stepping {
            Stepping::Thread => Worker::start(),
            Stepping::Manual => Worker::Caller(None),
        };
        Self {
            worker,
            is_busy: false,
        }
    }

    pub(crate) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Everything below `up_to` that is not durable yet lies in `files`.
    pub(crate) fn begin(&mut self, files: Vec<Arc<CommitFile>>, up_to: Position) {
        self.is_busy = true;
        match &mut self.worker {
            Worker::Thread { jobs, .. } => {
                let sent = jobs.send((files, up_to));
                sent.expect("the thread lives as long as this");
            }
            Worker::Caller(job) => *job = Some((files, up_to)),
        }
    }

    /// Up to where everything is durable, if a job is done.
    pub(crate) fn poll(&mut self) -> io::Result<Option<Position>> {
        let done = match &mut self.worker {
            Worker::Thread { done, .. } => done.try_recv().ok(),
            Worker::Caller(job) => job.take().map(carry_out),
        };
        if done.is_some() {
            self.is_busy = false;
        }
        done.transpose()
    }

    /// Returns when no job is under way.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.is_busy) {
            return Ok(());
        }
        match &mut self.worker {
            Worker::Thread { done, .. } => {
                let done = done.recv();
                done.expect("the thread lives as long as this")?;
            }
            Worker::Caller(job) => {
                job.take().map(carry_out).transpose()?;
            }
        }
        Ok(())
    }
}

impl Worker {
    fn start() -> Self {
        let (jobs, todo) = channel::<Job>();
        let (report, done) = channel();
        let builder = std::thread::Builder::new().name("ottla-sync".into());
        let thread = builder.spawn(move || {
            for job in todo {
                if report.send(carry_out(job)).is_err() {
                    return;
                }
            }
        });
        thread.expect("a process may start one more thread");
        Self::Thread { jobs, done }
    }
}

fn carry_out((files, up_to): Job) -> io::Result<Position> {
    files.iter().try_for_each(|file| file.sync())?;
    Ok(up_to)
}
