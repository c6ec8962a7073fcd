//! What was submitted and not yet carried out, in order.
//!
//! Must not know what an operation means.

use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

use ottla_base::TopicPartition;

use crate::{LogId, Op};

/// What travels to the writer.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    Create { log: LogId, tp: TopicPartition },
    Op(Op),
}

#[cfg(feature = "rocksdb")]
impl Command {
    pub(crate) const fn log(&self) -> LogId {
        match self {
            Self::Create { log, .. } => *log,
            Self::Op(op) => op.log(),
        }
    }
}

/// Shared by everyone who submits and the one writer that takes.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    inner: Mutex<Inner>,
    work: Condvar,
    progress: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<Command>,
    /// How many commands were ever pushed, and how many of them are done for good.
    pushed: u64,
    durable: u64,
    /// Everything below this count is wanted durable, whatever the policy.
    wanted: u64,
    writer_sleeps: bool,
    closing: bool,
    abandoned: bool,
}

/// Why the writer woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There are commands, or somebody waits for durability, or both.
    Work {
        sync: bool,
    },
    Deadline,
    /// Nothing more will come.
    Closed,
    /// The store is gone: leave everything as it is.
    Abandoned,
}

impl Queue {
    /// False when the queue is closed.
    pub(crate) fn push(&self, command: Command) -> bool {
        let mut inner = self.lock();
        if inner.closing || inner.abandoned {
            return false;
        }
        inner.waiting.push(command);
        inner.pushed += 1;
        self.wake_writer(inner);
        true
    }

    /// Moves everything that waits to the end of `into`; sleeps until there is
    /// something, at most until `deadline`.
    pub(crate) fn take(&self, into: &mut Vec<Command>, deadline: Option<Instant>) -> Wake {
        let mut inner = self.lock();
        loop {
            let sync = inner.wanted > inner.durable;
            if inner.abandoned {
                return Wake::Abandoned;
            }
            if !inner.waiting.is_empty() || sync {
                into.append(&mut inner.waiting);
                return Wake::Work { sync };
            }
            if inner.closing {
                return Wake::Closed;
            }
            inner.writer_sleeps = true;
            inner = match deadline {
                None => self.work.wait(inner).expect("no holder panics"),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        inner.writer_sleeps = false;
                        return Wake::Deadline;
                    }
                    let waited = self.work.wait_timeout(inner, left);
                    waited.expect("no holder panics").0
                }
            };
            inner.writer_sleeps = false;
        }
    }

    /// Takes at most `count` of what waits, without sleeping.
    pub(crate) fn take_some(&self, count: usize) -> Vec<Command> {
        let mut inner = self.lock();
        let count = count.min(inner.waiting.len());
        inner.waiting.drain(..count).collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// The first `count` commands that were ever pushed are durable.
    pub(crate) fn mark_durable(&self, count: u64) {
        let mut inner = self.lock();
        inner.durable = inner.durable.max(count);
        self.progress.notify_all();
    }

    /// Returns once everything that was pushed is durable, or never will be.
    pub(crate) fn wait_durable(&self) {
        let mut inner = self.lock();
        let goal = inner.pushed;
        inner.wanted = inner.wanted.max(goal);
        if inner.writer_sleeps {
            self.work.notify_one();
        }
        while inner.durable < goal && !inner.abandoned {
            inner = self.progress.wait(inner).expect("no holder panics");
        }
    }

    /// Refuses new commands; the writer ends when the old ones are done.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        inner.closing = true;
        inner.wanted = inner.pushed;
        self.wake_writer(inner);
    }

    /// Whatever waits is forgotten, and nobody waits any longer.
    pub(crate) fn abandon(&self) {
        let mut inner = self.lock();
        inner.abandoned = true;
        inner.waiting.clear();
        self.progress.notify_all();
        self.wake_writer(inner);
    }

    /// Whether nothing more will come.
    #[cfg(feature = "rocksdb")]
    pub(crate) fn is_ending(&self) -> bool {
        let inner = self.lock();
        inner.abandoned || inner.closing
    }

    fn wake_writer(&self, inner: MutexGuard<'_, Inner>) {
        let sleeps = inner.writer_sleeps;
        drop(inner);
        if sleeps {
            self.work.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no holder panics")
    }
}
